package journey

import (
	"fmt"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/flows"
)

// Sending is what the sender's host tells of a probe.
type Sending struct {
	// Sent is when the packet was given to the switch, Answered when an answer left
	// the switch for the sender; both by that host's clock, the latter zero without
	// one.
	Sent     time.Time `json:"sent"`
	Answered time.Time `json:"answered,omitzero"`
}

// Arrival is what the receiver's host tells of a probe.
type Arrival struct {
	// At is when it left the switch for the receiver, by that host's clock; zero
	// where it did not.
	At time.Time `json:"at,omitzero"`
}

// Live is what became of a packet that was really sent.
type Live struct {
	Probe   Probe   `json:"probe"`
	Sending Sending `json:"sending"`
	Arrival Arrival `json:"arrival"`
	// Delivered says that the packet did what it is for. Text says in a line what
	// became of it, and Times how long that took, by whose clock.
	Delivered bool     `json:"delivered"`
	Text      string   `json:"text"`
	Times     []string `json:"times"`
	// Moved are the flows on its way whose counters were looked at before and
	// afterwards.
	Moved []Moved `json:"moved"`
}

// Moved is one flow's counter around a probe. Other packets move it as well.
type Moved struct {
	Node      string        `json:"node"`
	Table     flows.TableID `json:"table"`
	TableName string        `json:"table_name"`
	Reason    string        `json:"reason"`
	Before    uint64        `json:"before"`
	After     uint64        `json:"after"`
	// Ends says that the packet ends here.
	Ends bool `json:"ends,omitempty"`
}

// By is by how many packets it moved.
func (m Moved) By() uint64 { return m.After - min(m.After, m.Before) }

// Counters holds the counters of the flows that a packet meets, as a walk before it
// was sent has them, against a walk after it.
func Counters(before, after Walk) []Moved {
	type place struct {
		node  string
		key   string
		table flows.TableID
	}
	at := func(p Passage, s Step) place {
		return place{p.Node, fmt.Sprintf("%d,%s", s.Priority, s.Match), s.Table}
	}
	packets := map[place]uint64{}
	for _, p := range before.Passages {
		for _, s := range counted(p) {
			packets[at(p, s)] = s.Packets
		}
	}
	list := []Moved{}
	for _, p := range after.Passages {
		steps := counted(p)
		for i, s := range steps {
			then, looked := packets[at(p, s)]
			if !looked {
				continue
			}
			m := Moved{Node: p.Node, Table: s.Table, TableName: s.TableName, Reason: s.Reason, Before: then, After: s.Packets}
			m.Ends = i == len(steps)-1 && len(p.Installed.Exits) == 0 && !p.Installed.Steps[len(p.Installed.Steps)-1].Miss
			list = append(list, m)
		}
	}
	return list
}

// counted are the steps of a passage that have a counter.
func counted(p Passage) []Step {
	var list []Step
	if p.Installed == nil {
		return nil
	}
	for _, s := range p.Installed.Steps {
		if !s.Miss {
			list = append(list, s)
		}
	}
	return list
}

// Settled reports whether every counter has moved: Open vSwitch counts what its
// datapath does within a second.
func Settled(list []Moved) bool {
	for _, m := range list {
		if m.By() == 0 {
			return false
		}
	}
	return true
}

// Judge says what became of the probe.
func (l *Live) Judge(t Trace) {
	asksForAddress := l.Probe.Proto == "arp"
	end := NameOfEnd(t.To)
	there := !l.Arrival.At.IsZero()
	answered := !l.Sending.Answered.IsZero()
	l.Times = []string{}
	switch {
	case asksForAddress && answered:
		l.Delivered, l.Text = true, "answered: the sender was told the address of "+end
	case there:
		l.Delivered, l.Text = true, "delivered to "+end
	case answered:
		l.Delivered, l.Text = true, "delivered to "+end+", which answered; how it came there was not seen"
	default:
		l.Text = l.lost(t, asksForAddress)
	}
	if there && t.From.Node == t.To.Node {
		l.time(l.Arrival.At.Sub(l.Sending.Sent), "from the sender's switch port to the receiver's, by %s's clock", t.From.Node)
	} else if there {
		l.time(l.Arrival.At.Sub(l.Sending.Sent), "from the sender's switch port to the receiver's, by two clocks, as far as those of %s and %s agree", t.From.Node, t.To.Node)
	}
	switch {
	case answered && asksForAddress:
		l.time(l.Sending.Answered.Sub(l.Sending.Sent), "until the answer, by %s's clock", t.From.Node)
	case answered:
		l.time(l.Sending.Answered.Sub(l.Sending.Sent), "there and back, with the receiver's answer, by %s's clock", t.From.Node)
	}
}

func (l *Live) time(d time.Duration, what string, args ...any) {
	l.Times = append(l.Times, fmt.Sprintf("%.2f ms ", float64(d.Microseconds())/1000)+fmt.Sprintf(what, args...))
}

// lost says how far a probe came that did not arrive: to the last flow that counted
// it.
func (l *Live) lost(t Trace, asksForAddress bool) string {
	text := "not delivered to " + NameOfEnd(t.To)
	if asksForAddress {
		text = "not answered: the sender was not told the address of " + NameOfEnd(t.To)
	}
	last := -1
	for i, m := range l.Moved {
		if m.By() == 0 {
			break
		}
		last = i
	}
	switch {
	case len(l.Moved) == 0:
		return text + "; which flows counted it is not known"
	case last < 0:
		return text + "; no flow counted it"
	case l.Moved[last].Ends:
		return fmt.Sprintf("%s: dropped on %s; the flow that counted it: %s", text, l.Moved[last].place(), strings.TrimPrefix(l.Moved[last].Reason, "drop: "))
	}
	at := l.Moved[last]
	text += fmt.Sprintf(": the last flow that counted it is on %s, %s", at.place(), at.Reason)
	switch {
	case last+1 < len(l.Moved) && l.Moved[last+1].Node != at.Node:
		next := l.Moved[last+1].Node
		return text + fmt.Sprintf("; it was lost between %s and %s: see the path between the hosts, its MTU, firewalls, and ovsnet status on %s", at.Node, next, next)
	case last+1 < len(l.Moved):
		return text + fmt.Sprintf("; the next, on %s, did not", l.Moved[last+1].place())
	}
	return text + ", which sent it on; it did not come out of the switch there"
}

func (m Moved) place() string { return place(m.Node, m.TableName) }

// NameOfEnd names an end of a trace for people, as NameOf does an endpoint.
func NameOfEnd(e End) string {
	text := e.Name
	switch {
	case e.IPv4.IsValid():
		text += " (" + e.IPv4.String() + ")"
	case e.IPv6.IsValid():
		text += " (" + e.IPv6.String() + ")"
	}
	return text + " in " + e.Network + ", on " + e.Node
}

// live writes what became of the packet that was sent.
func (p printer) live(l Live) {
	p.line("")
	color := red
	if l.Delivered {
		color = green
	}
	p.line("%s: %s", p.paint(bold, "sent"), p.paint(color, l.Text))
	for _, t := range l.Times {
		p.line("  %s", t)
	}
	for _, m := range l.Moved {
		count := fmt.Sprintf("+%d", m.By())
		if m.By() == 0 {
			count = p.paint(amber, " 0")
		}
		p.line("  %-4s %-20s%s packets (%d → %d)  %s", m.Node, Step{Table: m.Table, TableName: m.TableName}.table(), count, m.Before, m.After, m.Reason)
	}
}
