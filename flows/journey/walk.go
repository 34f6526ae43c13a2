package journey

import (
	"context"
	"slices"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// Hosts answers questions about hosts.
type Hosts interface {
	// Pass answers what the host does with a packet. An error is why nobody there
	// answered.
	Pass(ctx context.Context, node string, q Question) (Passage, error)
}

// Walker follows packets from host to host. Its fields are not changed.
type Walker struct {
	// Snapshot is the whole cluster.
	Snapshot *overlay.Snapshot
	// Hosts are asked first. What a host that does not answer would do follows from
	// the Snapshot, with RouteOf telling where it sends to.
	Hosts   Hosts
	RouteOf func(self overlay.Node) flows.Route
}

// Walk is one packet's way from host to host.
type Walk struct {
	// Purpose is what the packet is for, and Packet its headers, in the words of
	// ovs-ofctl.
	Purpose string `json:"purpose"`
	Packet  string `json:"packet"`
	// Passages are the hosts it passes, the sender's first.
	Passages []Passage `json:"passages"`
	// Unfollowed counts copies to other hosts that were not followed.
	Unfollowed int     `json:"unfollowed"`
	Verdict    Verdict `json:"verdict"`
}

// maxHosts is how many hosts a walk passes: a broadcast goes to every member, and
// that of the receiver comes first.
const maxHosts = 5

// call is one host's turn.
type call struct {
	node string
	q    Question
}

// Walk follows a packet of from's, until it is where it goes to.
func (w Walker) Walk(ctx context.Context, from, to overlay.Endpoint, packet Packet) (Walk, error) {
	walk := Walk{Purpose: packet.Purpose, Packet: packet.Frame.Match().String(), Passages: []Passage{}}
	next := []call{{from.Node, Question{Frame: walk.Packet, Endpoint: &EndpointName{from.Network, from.ID}}}}
	seen := map[string]bool{}
	for len(next) > 0 {
		c := next[0]
		next = next[1:]
		if seen[c.node] || len(walk.Passages) == maxHosts {
			walk.Unfollowed++
			continue
		}
		seen[c.node] = true
		p, err := w.pass(ctx, c)
		if err != nil {
			return Walk{}, err
		}
		walk.Passages = append(walk.Passages, p)
		next = append(next, onward(p)...)
		slices.SortStableFunc(next, func(a, b call) int { return rank(a, to) - rank(b, to) })
	}
	walk.Verdict = w.verdict(walk, from, to, packet.Frame)
	return walk, nil
}

// rank puts the receiver's host first.
func rank(c call, to overlay.Endpoint) int {
	if c.node == to.Node {
		return 0
	}
	return 1
}

// onward are the hosts that a packet goes on to.
func onward(p Passage) []call {
	var next []call
	for _, e := range p.way().Exits {
		if e.Tunnel != nil && e.Host != "" {
			next = append(next, call{e.Host, Question{Frame: e.Frame, Tunnel: e.Tunnel}})
		}
	}
	return next
}

// pass asks a host, or, where it does not answer, the records.
func (w Walker) pass(ctx context.Context, c call) (Passage, error) {
	p, silent := w.Hosts.Pass(ctx, c.node, c.q)
	if silent == nil {
		return p, nil
	}
	if ctx.Err() != nil {
		return Passage{}, silent
	}
	self, _ := w.Snapshot.Node(c.node)
	l, err := NewLook(Assumed(w.Snapshot, c.node, w.RouteOf(self)), c.q)
	if err != nil {
		return Passage{}, err
	}
	p = l.Unseen(ByRecords, "the host was not asked")
	p.Silent = silent.Error()
	return p, nil
}

// Assumed is a host of which only the records are known: with a tunnel port, and a
// port for each of its endpoints. The ports' numbers are made up.
func Assumed(s *overlay.Snapshot, node string, route flows.Route) Bridge {
	b := Bridge{Snapshot: s, Route: route, Host: flows.Host{Node: node, Tunnel: 1, Ports: map[string]flows.Port{}}}
	for e := range s.EndpointsOn(node) {
		b.Host.Ports[e.ID] = flows.Port{Network: e.Network, OFPort: uint32(len(b.Host.Ports) + 2)}
	}
	return b
}

// Packet is what is sent, and what for.
type Packet struct {
	Purpose string
	Frame   trace.Packet
}
