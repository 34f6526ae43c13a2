package journey

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ovsnet/ovsnet/overlay"
)

// Trace is what becomes of a packet from one endpoint to another, and of the
// question for an address that comes before it.
type Trace struct {
	From End `json:"from"`
	To   End `json:"to"`
	// Walks are in the order in which the packets are sent.
	Walks []Walk `json:"walks"`
	// Verdict is that of the first walk that does not do what it is for, or of the
	// last; Checked and Agreed speak of all of them.
	Verdict Verdict `json:"verdict"`
	// Live is what became of a packet that was really sent; nil where none was.
	Live *Live `json:"live,omitempty"`
}

// End is an endpoint at one end.
type End struct {
	ID string `json:"id"`
	// Name is what people call it; Network is the network's name.
	Name    string      `json:"name"`
	Network string      `json:"network"`
	Node    string      `json:"node"`
	MAC     overlay.MAC `json:"mac"`
	IPv4    netip.Addr  `json:"ipv4,omitzero"`
	IPv6    netip.Addr  `json:"ipv6,omitzero"`
}

// Trace follows what the sender sends to the receiver, which is another endpoint.
func (w Walker) Trace(ctx context.Context, from, to overlay.Endpoint, wish Wish) (Trace, error) {
	if from.ID == to.ID {
		return Trace{}, overlay.Refuse(overlay.Invalid, fmt.Sprintf("from %s to %s", from.Label(), to.Label()), "name two endpoints",
			"both are %s, and what a container sends to itself does not leave it", NameOf(w.Snapshot, from))
	}
	packets, err := Packets(from, to, wish)
	if err != nil {
		return Trace{}, err
	}
	t := Trace{From: w.side(from), To: w.side(to), Walks: []Walk{}}
	for _, p := range packets {
		walk, err := w.Walk(ctx, from, to, p)
		if err != nil {
			return Trace{}, err
		}
		t.Walks = append(t.Walks, walk)
	}
	t.Verdict = overall(t.Walks)
	return t, nil
}

// overall is the verdict on all walks, with the causes of all.
func overall(walks []Walk) Verdict {
	v := walks[len(walks)-1].Verdict
	for i := len(walks) - 1; i >= 0; i-- {
		if w := walks[i]; !w.Verdict.Good() {
			v = w.Verdict
			if w.Purpose == PurposeAddress {
				v.Text = "the sender gets no answer to its question for the address: " + v.Text
			}
		}
	}
	v.Causes = []string{}
	for _, w := range walks {
		v.Checked = v.Checked && w.Verdict.Checked
		v.Agreed = v.Agreed && w.Verdict.Agreed
		for _, c := range w.Verdict.Causes {
			if !slices.Contains(v.Causes, c) {
				v.Causes = append(v.Causes, c)
			}
		}
	}
	return v
}

func (w Walker) side(e overlay.Endpoint) End {
	return End{ID: e.ID, Name: e.Label(), Network: networkName(w.Snapshot, e.Network), Node: e.Node, MAC: e.MAC, IPv4: e.IPv4, IPv6: e.IPv6}
}
