package ofctl_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// world is host h1 of three, with networks web (VNI 0x1000) and db (VNI
// 0x1001) that have the same addresses: web-1 and web-2 are on ports 11 and 12,
// db-1 on 13; web-3 and db-2 are on h2, web-4 is on h3.
func world() (*overlay.Snapshot, flows.Host) {
	edit := overlay.NewSnapshot().Edit()
	for i := range 3 {
		edit.SetNode(overlay.Node{Name: fmt.Sprintf("h%d", i+1), VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}})
	}
	edit.SetNetwork(overlay.Network{ID: "web", Name: "web", VNI: 0x1000})
	edit.SetNetwork(overlay.Network{ID: "db", Name: "db", VNI: 0x1001})
	host := flows.Host{Node: "h1", Tunnel: 1, Ports: map[string]flows.Port{}}
	place := func(network, id, node string, last byte) {
		addr := netip.AddrFrom4([4]byte{10, 0, 0, last})
		edit.SetEndpoint(overlay.Endpoint{ID: id, Network: network, Node: node, MAC: overlay.MACFromAddr(addr), IPv4: addr, Names: []string{id}})
		if node == "h1" {
			host.Ports[id] = flows.Port{Network: network, OFPort: uint32(11 + len(host.Ports))}
		}
	}
	place("web", "web-1", "h1", 1)
	place("web", "web-2", "h1", 2)
	place("db", "db-1", "h1", 1)
	place("web", "web-3", "h2", 3)
	place("web", "web-4", "h3", 4)
	place("db", "db-2", "h2", 3)
	return edit.Snapshot(), host
}

func route(peer overlay.Node) (netip.Addr, bool) { return peer.VTEP(), peer.VTEP().IsValid() }

// call is the context of one call.
func call(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// apply installs the flows of the snapshot and fails unless OVS then shows
// exactly these.
func (s *realSwitch) apply(snapshot *overlay.Snapshot, host flows.Host) []flows.Flow {
	s.t.Helper()
	desired := flows.Compile(snapshot, host, route)
	s.reach(desired)
	if change, foreign := flows.Diff(slices.Values(desired), s.dump()); !change.Empty() || len(foreign) > 0 {
		s.t.Fatalf("OVS shows other flows than were installed:\nmissing or other %v\ntoo many %v\nforeign %v", change.Add, change.Delete, foreign)
	}
	return desired
}

// reach makes the installed flows the desired ones.
func (s *realSwitch) reach(desired []flows.Flow) {
	s.t.Helper()
	change, _ := flows.Diff(slices.Values(desired), s.dump())
	if err := s.client.Apply(call(s.t), change); err != nil {
		s.t.Fatal(err)
	}
}

func (s *realSwitch) dump() []flows.Installed {
	s.t.Helper()
	installed, err := s.client.Dump(call(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	return installed
}
