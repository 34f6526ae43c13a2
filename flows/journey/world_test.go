package journey_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// world is a cluster of three hosts with the networks web and db. Its switches are
// ovsnet's own evaluation of flows that a test may change: what a real Open
// vSwitch says is held against it elsewhere.
type world struct {
	snapshot *overlay.Snapshot
	hosts    map[string]*host
}

// host is one host's switch.
type host struct {
	bridge    journey.Bridge
	installed []flows.Flow
	// silent and away are why the host, or its Open vSwitch, does not answer.
	silent, away error
	// warnings are what Open vSwitch says that it does not send.
	warnings []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	edit := overlay.NewSnapshot().Edit()
	for i := range 3 {
		edit.SetNode(overlay.Node{Name: fmt.Sprintf("h%d", i+1), VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}})
	}
	for i, name := range []string{"web", "db"} {
		edit.SetNetwork(overlay.Network{ID: name, Name: name, VNI: uint32(4096 + i)})
	}
	for i, e := range []struct{ id, network, node string }{
		{"web-1", "web", "h1"}, {"web-2", "web", "h2"}, {"web-3", "web", "h3"}, {"web-4", "web", "h1"}, {"db-1", "db", "h1"}, {"db-2", "db", "h2"},
	} {
		addr := netip.AddrFrom4([4]byte{10, 10, 0, byte(i + 2)})
		if e.network == "db" {
			addr = netip.AddrFrom4([4]byte{10, 20, 0, byte(i + 2)})
		}
		edit.SetEndpoint(overlay.Endpoint{ID: e.id, Network: e.network, Node: e.node, MAC: overlay.MACFromAddr(addr), IPv4: addr, Names: []string{e.id}})
	}
	w := &world{snapshot: edit.Snapshot(), hosts: map[string]*host{}}
	for n := range w.snapshot.Nodes() {
		b := journey.Bridge{Snapshot: w.snapshot, Route: routeOf(n), Host: flows.Host{Node: n.Name, Tunnel: 1, Ports: map[string]flows.Port{}}}
		for e := range w.snapshot.EndpointsOn(n.Name) {
			b.Host.Ports[e.ID] = flows.Port{Network: e.Network, OFPort: uint32(len(b.Host.Ports) + 2)}
		}
		w.hosts[n.Name] = &host{bridge: b, installed: flows.Compile(w.snapshot, b.Host, b.Route)}
	}
	return w
}

func routeOf(overlay.Node) flows.Route {
	return func(peer overlay.Node) (netip.Addr, bool) { return peer.VTEP(), peer.VTEP().IsValid() }
}

// Pass makes world a journey.Hosts.
func (w *world) Pass(_ context.Context, node string, q journey.Question) (journey.Passage, error) {
	h := w.hosts[node]
	if h.silent != nil {
		return journey.Passage{}, h.silent
	}
	l, err := journey.NewLook(h.bridge, q)
	if err != nil {
		return journey.Passage{}, err
	}
	if h.away != nil {
		return l.Unseen(journey.ByAgent, h.away.Error()), nil
	}
	if p := l.Passage(journey.ByAgent, h.see(l)); len(p.Disagreements) == 0 {
		return p, nil
	}
	l = l.Whole()
	return l.Passage(journey.ByAgent, h.see(l)), nil
}

// see is what Open vSwitch would say of the packet.
func (h *host) see(l journey.Look) journey.Seen {
	ports := trace.Ports{Tunnel: 1}
	seen := journey.Seen{Datapath: trace.Datapath{1: 1}}
	for _, p := range h.bridge.Host.Ports {
		seen.Datapath[p.OFPort] = flows.PortNo(p.OFPort)
	}
	r := trace.Run(ports, h.installed, l.Packet())
	for _, s := range r.Steps {
		step := trace.OFStep{Table: s.Table, Miss: s.Flow == nil}
		if s.Flow != nil {
			step.Key, step.Cookie = s.Flow.Key, s.Flow.Cookie
		}
		seen.OFProto.Steps = append(seen.OFProto.Steps, step)
	}
	for _, s := range r.Sends {
		if s.Tunnel != nil && h.warnings != nil {
			continue
		}
		seen.OFProto.Sends = append(seen.OFProto.Sends, trace.OFSend{Port: uint32(s.Port), Tunnel: s.Tunnel, Changes: changes(s.Packet)})
	}
	seen.OFProto.Warnings = h.warnings
	if slices.ContainsFunc(r.Withheld, func(w trace.Withheld) bool { return w.Why == trace.IsInPort }) {
		seen.OFProto.Warnings = append(slices.Clip(h.warnings), trace.SkippedInPort)
	}
	for _, wanted := range l.Wanted(seen.OFProto) {
		for _, f := range h.installed {
			if f.Table == wanted.Table && f.Cookie == wanted.Cookie {
				f.Why = flows.Why{}
				seen.Flows = append(seen.Flows, flows.Installed{Flow: f, Packets: 3, Bytes: 294})
			}
		}
	}
	return seen
}

// changes give a packet the headers of another.
func changes(p trace.Packet) []flows.FieldMatch { return slices.Collect(p.Frame().Match().Fields()) }

func (w *world) walker() journey.Walker {
	return journey.Walker{Snapshot: w.snapshot, Hosts: w, RouteOf: routeOf}
}

func (w *world) endpoint(name string) overlay.Endpoint { return w.snapshot.FindEndpoints(name, "")[0] }

// narrow gives a network an MTU, and a host an underlay that carries so much of it.
func (w *world) narrow(t *testing.T, network string, mtu int, node string, carried int) {
	t.Helper()
	edit := w.snapshot.Edit()
	n, _ := w.snapshot.Network(network)
	h, _ := w.snapshot.Node(node)
	n.MTU, h.MTU = mtu, carried
	edit.SetNetwork(n)
	edit.SetNode(h)
	w.snapshot = edit.Snapshot()
	for _, h := range w.hosts {
		h.bridge.Snapshot = w.snapshot
	}
}

// change removes the flow that begins with the key, and puts others in its place.
func (w *world) change(t *testing.T, node, key string, instead ...string) {
	t.Helper()
	h, found := w.hosts[node], false
	for i, f := range h.installed {
		if strings.HasPrefix(f.Key.String(), key) {
			h.installed, found = slices.Delete(slices.Clone(h.installed), i, i+1), true
			break
		}
	}
	if key != "" && !found {
		t.Fatalf("%s has no flow %s", node, key)
	}
	for _, line := range instead {
		f, err := flows.ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		h.installed = append(h.installed, f.Flow)
	}
}

var errStopped = errors.New(`node "h2": its agent did not answer within 4s; its last sign of life came 7s ago; see ovsnet status and the agent's log on that host`)
