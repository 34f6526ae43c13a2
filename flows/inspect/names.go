package inspect

import (
	"net/netip"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// names are the endpoints by what flows call them: a dump names each of them many
// times, and a network has thousands.
type names struct {
	// ports are those that are plugged in here, by their OpenFlow port.
	ports map[uint64]overlay.Endpoint
	// owners are the labels of all of them.
	owners map[owned]string
}

// owned is what an endpoint has in its network: a MAC address or an IPv4 address.
type owned struct {
	network string
	mac     overlay.MAC
	addr    netip.Addr
}

func newNames(s *overlay.Snapshot, h flows.Host) names {
	n := names{ports: map[uint64]overlay.Endpoint{}, owners: map[owned]string{}}
	for id, p := range h.Ports {
		if e, known := s.Endpoint(p.Network, id); known {
			n.ports[uint64(p.OFPort)] = e
		}
	}
	for network := range s.MemberNetworks() {
		for e := range s.Endpoints(network) {
			n.owners[owned{network: network, mac: e.MAC}] = e.Label()
			n.owners[owned{network: network, addr: e.IPv4}] = e.Label()
		}
	}
	return n
}
