package flows

import (
	"cmp"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/ovsnet/ovsnet/overlay"
)

// Port is where an endpoint of this host is plugged in.
type Port struct {
	// Network is the network's ID, OFPort the OpenFlow port number, 1 to 65279.
	Network string
	OFPort  uint32
}

// Host is what compiling needs to know of the host that the flows are for.
type Host struct {
	// Node is the host's name.
	Node string
	// Tunnel is the tunnel port's OpenFlow number; 0 while it has none, and then
	// no flow concerns other hosts.
	Tunnel uint32
	// Ports are the endpoints whose port is up here, by endpoint ID.
	Ports map[string]Port
}

// Route says which of a peer's addresses this host sends to; false where it can
// reach none. The same peer record must always give the same answer.
type Route func(peer overlay.Node) (netip.Addr, bool)

// input is everything that the flows follow from. Each of its methods that
// returns flows is one unit: the flows that follow from one object.
type input struct {
	snapshot *overlay.Snapshot
	host     Host
	route    Route
	// locals are the IDs of the endpoints in Host.Ports by network. A network
	// that is not here has no flows.
	locals map[string][]string
}

func newInput(s *overlay.Snapshot, h Host, route Route) *input {
	h.Ports = maps.Clone(h.Ports)
	in := &input{snapshot: s, host: h, route: route, locals: map[string][]string{}}
	for id, p := range h.Ports {
		if p.OFPort > 0 {
			in.locals[p.Network] = append(in.locals[p.Network], id)
		}
	}
	for _, ids := range in.locals {
		slices.Sort(ids)
	}
	return in
}

// active returns a network's record; false unless an endpoint of it is up here.
func (in *input) active(network string) (overlay.Network, bool) {
	n, known := in.snapshot.Network(network)
	if !known {
		return overlay.Network{}, false
	}
	for _, id := range in.locals[network] {
		if _, ok := in.place(n, id); ok {
			return n, true
		}
	}
	return overlay.Network{}, false
}

// place returns where a local endpoint is; false while its record or its port
// is missing.
func (in *input) place(n overlay.Network, id string) (place, bool) {
	at := in.host.Ports[id]
	e, known := in.snapshot.Endpoint(n.ID, id)
	return place{network: n, endpoint: e, port: at.OFPort},
		known && e.Node == in.host.Node && at.Network == n.ID && at.OFPort > 0
}

// peer returns how to reach another host; false for this one, an unknown one,
// and while there is no tunnel.
func (in *input) peer(node string) (peer, bool) {
	record, known := in.snapshot.Node(node)
	if !known || node == in.host.Node || in.host.Tunnel == 0 {
		return peer{}, false
	}
	addr, ok := in.route(record)
	return peer{node: node, addr: addr.Unmap()}, ok
}

// ofHost are the flows that follow from the host itself.
func (in *input) ofHost() []Flow {
	if in.host.Tunnel == 0 {
		return misses()
	}
	return append(misses(), unknownPeer(in.host.Tunnel))
}

// ofNode are the flows that take in what a peer sends, from any of its addresses.
func (in *input) ofNode(name string) []Flow {
	record, known := in.snapshot.Node(name)
	if !known || name == in.host.Node || in.host.Tunnel == 0 {
		return nil
	}
	var flows []Flow
	for _, addr := range record.VTEPs {
		flows = append(flows, knownPeer(in.host.Tunnel, peer{node: name, addr: addr.Unmap()}))
	}
	return flows
}

// ofNetwork are the flows that a network has as a whole.
func (in *input) ofNetwork(id string) []Flow {
	n, ok := in.active(id)
	if !ok {
		return nil
	}
	flows := []Flow{arpUnanswered(n), unknownUnicast(n)}
	if in.host.Tunnel != 0 {
		flows = append(flows, knownVNI(n))
	}
	return append(flows, in.flooding(n).flows()...)
}

func (in *input) flooding(n overlay.Network) flooding {
	f := flooding{network: n, tunnel: in.host.Tunnel}
	for _, id := range in.locals[n.ID] {
		if p, ok := in.place(n, id); ok {
			f.ports = append(f.ports, p.port)
		}
	}
	slices.Sort(f.ports)
	for host := range in.snapshot.MemberHosts(n.ID) {
		if p, ok := in.peer(host); ok {
			f.peers = append(f.peers, p)
		}
	}
	slices.SortStableFunc(f.peers, func(a, b peer) int { return cmp.Compare(a.addr.BitLen(), b.addr.BitLen()) })
	return f
}

// ofEndpoint are the flows that follow from one endpoint, here or elsewhere. An
// endpoint here whose port is not up, and one on a host that cannot be reached,
// have none: nobody should wait for an answer from them.
func (in *input) ofEndpoint(network, id string) []Flow {
	n, ok := in.active(network)
	if !ok {
		return nil
	}
	e, known := in.snapshot.Endpoint(network, id)
	if !known {
		return nil
	}
	if e.Node == in.host.Node {
		return in.ofLocal(n, id)
	}
	to, ok := in.peer(e.Node)
	if !ok {
		return nil
	}
	flows := []Flow{toRemote(n, e, to, in.host.Tunnel)}
	if e.IPv4.Is4() {
		flows = append(flows, arpAnswer(n, e))
	}
	return flows
}

func (in *input) ofLocal(n overlay.Network, id string) []Flow {
	p, up := in.place(n, id)
	if !up {
		return nil
	}
	flows := []Flow{fromEndpoint(p), spoofed(p), toLocal(p)}
	if p.endpoint.IPv4.Is4() {
		flows = append(flows, ownIPv4(p), ownARP(p), ownProbe(p), ownAddress(p), arpAnswer(n, p.endpoint))
	}
	return flows
}

// units yields the flows of every unit.
func (in *input) units() iter.Seq[[]Flow] {
	return func(yield func([]Flow) bool) {
		if !yield(in.ofHost()) {
			return
		}
		for n := range in.snapshot.Nodes() {
			if !yield(in.ofNode(n.Name)) {
				return
			}
		}
		for network := range in.locals {
			if !in.ofWhole(network, yield) {
				return
			}
		}
	}
}

// ofWhole yields the units of a network and all its endpoints, and reports
// whether yield wants more.
func (in *input) ofWhole(network string, yield func([]Flow) bool) bool {
	if _, ok := in.active(network); !ok {
		return true
	}
	if !yield(in.ofNetwork(network)) {
		return false
	}
	for e := range in.snapshot.Endpoints(network) {
		if !yield(in.ofEndpoint(network, e.ID)) {
			return false
		}
	}
	return true
}
