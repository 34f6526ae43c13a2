package journey

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// Outcome is how a walk ends.
type Outcome string

// The outcomes.
const (
	// Delivered is that the receiver gets the packet.
	Delivered Outcome = "delivered"
	// Answered is that the sender gets the answer that it asked for, from a switch
	// on the way.
	Answered Outcome = "answered"
	// Dropped is that the packet ends before.
	Dropped Outcome = "dropped"
)

// Verdict is what becomes of a packet.
type Verdict struct {
	Outcome Outcome `json:"outcome"`
	// Checked is set where both engines spoke about every host on the way, and
	// Agreed where they agree too.
	Checked bool `json:"checked"`
	Agreed  bool `json:"agreed"`
	// Node and Table are where the packet ends, Table empty where it is no table's
	// doing.
	Node  string `json:"node"`
	Table string `json:"table"`
	// Text says it in one line; Causes say what is wrong, the first cause first.
	Text   string   `json:"text"`
	Causes []string `json:"causes"`
}

// Good reports whether the packet did what it is for.
func (v Verdict) Good() bool { return v.Outcome != Dropped }

// verdict judges a walk.
func (w Walker) verdict(walk Walk, from, to overlay.Endpoint, frame trace.Packet) Verdict {
	v := Verdict{Checked: true, Agreed: true, Causes: []string{}}
	for _, p := range walk.Passages {
		v.Checked = v.Checked && p.Installed != nil
		v.Agreed = v.Agreed && len(p.Disagreements) == 0
		for _, f := range p.Findings {
			v.Causes = append(v.Causes, "on "+place(p.Node, f.Table)+": "+f.Text)
		}
		if v.Outcome != "" {
			continue
		}
		for _, e := range p.way().Exits {
			if outcome, text := w.arrives(p, e, from, to, frame); outcome != "" {
				v.Outcome, v.Node, v.Text = outcome, p.Node, text
				break
			}
		}
	}
	if v.Outcome == "" {
		w.end(&v, walk, to)
		if frame.Get(flows.EthType).Lo == flows.EthTypeIPv6 {
			v.Causes = append(v.Causes, noIPv6+": nobody answers neighbour discovery, and containers reach each other by their IPv4 addresses alone")
		}
		if from.Network != to.Network {
			v.Causes = append(v.Causes, fmt.Sprintf("%s is in network %s and %s in %s: networks are separate; connect one of them to the other's network",
				from.Label(), networkName(w.Snapshot, from.Network), to.Label(), networkName(w.Snapshot, to.Network)))
		}
	}
	if v.Good() && len(walk.Passages) > 1 {
		w.narrow(&v, from, to)
	}
	if v.Good() && !v.Checked {
		v.Text = "as far as is known, " + v.Text
	}
	return v
}

// narrow adds what the way carries that is less than what the network's packets
// may be, by the records of both ends' hosts. What was traced is small.
func (w Walker) narrow(v *Verdict, from, to overlay.Endpoint) {
	network, known := w.Snapshot.Network(from.Network)
	carried := network.MTU
	for _, name := range []string{from.Node, to.Node} {
		node, recorded := w.Snapshot.Node(name)
		if !known || !recorded || node.MTU == 0 || node.MTU >= network.MTU {
			continue
		}
		carried = min(carried, node.MTU)
		v.Causes = append(v.Causes, fmt.Sprintf("on %s: the underlay carries packets of up to %d bytes, and network %s has MTU %d: larger ones are lost; raise the MTU of %s's underlay by %d",
			name, node.MTU, network.Name, network.MTU, name, network.MTU-node.MTU))
	}
	if carried < network.MTU {
		v.Text += fmt.Sprintf(", but no packet of more than %d bytes", carried)
	}
}

func place(node, table string) string {
	if table == "" {
		return node
	}
	return node + " in " + table
}

// arrives says whether an exit is what the packet was sent for.
func (w Walker) arrives(p Passage, e Exit, from, to overlay.Endpoint, sent trace.Packet) (Outcome, string) {
	left, err := trace.ParseFrame(e.Frame)
	if err != nil || e.Endpoint == nil {
		return "", ""
	}
	switch {
	case e.Back && e.Endpoint.Endpoint == from.ID && answers(left, sent):
		return w.answered(p, left, to)
	case p.Node != to.Node || e.Endpoint.Endpoint != to.ID:
		return "", ""
	case left != sent.Frame():
		return Delivered, fmt.Sprintf("delivered to %s, changed on the way: it was %s and is %s", NameOf(w.Snapshot, to), sent.Match(), left.Match())
	}
	return Delivered, "delivered to " + NameOf(w.Snapshot, to)
}

// answers reports whether a packet is the answer to a question for an address:
// ARP's (RFC 826), or neighbour discovery's (RFC 4861).
func answers(p, question trace.Packet) bool {
	if question.Get(flows.EthType).Lo == flows.EthTypeARP {
		return p.Get(flows.ArpOp).Lo == 2 && p.Get(flows.ArpSPA) == question.Get(flows.ArpTPA)
	}
	return question.Has(flows.NDTarget) && p.Has(flows.NDTLL) && p.Get(flows.NDTarget) == question.Get(flows.NDTarget)
}

func (w Walker) answered(p Passage, answer trace.Packet, to overlay.Endpoint) (Outcome, string) {
	mac, addr := answer.Get(flows.ArpSHA).MAC(), answer.Get(flows.ArpSPA).IPv4()
	if answer.Has(flows.NDTLL) {
		mac, addr = answer.Get(flows.NDTLL).MAC(), answer.Get(flows.NDTarget).IPv6()
	}
	if mac != to.MAC {
		return Dropped, fmt.Sprintf("answered wrongly on %s: %s is at %s, and should be at %s, which is %s", p.Node, addr, mac, to.MAC, NameOf(w.Snapshot, to))
	}
	return Answered, fmt.Sprintf("answered on %s: %s is at %s, which is %s", p.Node, addr, mac, NameOf(w.Snapshot, to))
}

// end says where a packet ends that does not arrive.
func (w Walker) end(v *Verdict, walk Walk, to overlay.Endpoint) {
	v.Outcome = Dropped
	p := last(walk.Passages, to)
	way := p.way()
	v.Node = p.Node
	if len(way.Exits) == 0 {
		v.Text = "dropped on " + p.Node
		if n := len(way.Steps); n > 0 {
			v.Table = way.Steps[n-1].TableName
			v.Text = "dropped on " + place(p.Node, v.Table)
		}
		v.Text += because(strings.TrimPrefix(way.Why, "drop: "))
		return
	}
	var whither []string
	for _, e := range way.Exits {
		whither = append(whither, e.whither(p.Node))
	}
	v.Text = fmt.Sprintf("goes astray on %s: it leaves %s, and not to %s", p.Node, strings.Join(slices.Compact(whither), "; "), NameOf(w.Snapshot, to))
}

// last is the passage at which a packet that does not arrive ends: where it got
// to the receiver's host there, else at the last host.
func last(passages []Passage, to overlay.Endpoint) Passage {
	for _, p := range passages {
		if p.Node == to.Node {
			return p
		}
	}
	return passages[len(passages)-1]
}

// whither says where an exit leads.
func (e Exit) whither(node string) string {
	switch {
	case e.Tunnel == nil && e.Back:
		return "back by " + e.Name
	case e.Tunnel == nil:
		return "by " + e.Name
	case e.Host == "":
		return fmt.Sprintf("through the tunnel to %s, which is no host of the cluster, with VNI %d", e.Tunnel.Dst, e.Tunnel.VNI)
	case e.Host == node:
		return fmt.Sprintf("through the tunnel to %s, which is this host itself, with VNI %d", e.Tunnel.Dst, e.Tunnel.VNI)
	}
	return fmt.Sprintf("through the tunnel to %s (%s) with VNI %d", e.Host, e.Tunnel.Dst, e.Tunnel.VNI)
}
