package trace

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
)

// Aspect is what two engines disagree about.
type Aspect string

// The aspects.
const (
	// WrongTable is that the packet goes to another table, or ends elsewhere.
	WrongTable Aspect = "table"
	// WrongFlow is that another flow matched, or none.
	WrongFlow Aspect = "flow"
	// WrongCookie is that a flow of the same key has another cookie: somebody
	// else wrote it.
	WrongCookie Aspect = "cookie"
	// Ambiguous is that more than one flow of the highest priority matches, and
	// the two engines took different ones. Neither is wrong.
	Ambiguous Aspect = "ambiguous"
	// WrongSend is that a packet leaves in one engine only.
	WrongSend Aspect = "send"
	// WrongVerdict is that one engine gave the packet up as a whole.
	WrongVerdict Aspect = "verdict"
	// Unread is that Open vSwitch does what ovsnet cannot read.
	Unread Aspect = "unread"
)

// Disagreement is one thing on which the two engines differ.
type Disagreement struct {
	About Aspect
	// Step is the index of the step in both; -1 for what is of the whole packet.
	Step int
	// Own and OVS are what either says; empty for nothing.
	Own, OVS string
}

// String writes the disagreement in one line.
func (d Disagreement) String() string {
	where := ""
	if d.Step >= 0 {
		where = fmt.Sprintf(" at step %d", d.Step+1)
	}
	return fmt.Sprintf("%s%s: ovsnet says %s, Open vSwitch says %s", d.About, where, orNothing(d.Own), orNothing(d.OVS))
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// Compare holds ovsnet's evaluation against that of Open vSwitch, of the same
// packet: the way through the tables, up to the first difference, and each
// packet that leaves, with its headers and its tunnel. Their order does not
// count. The ports are those of the bridge that Open vSwitch was asked about.
// No disagreement is none. Where Open vSwitch did not do something, or waits,
// its warnings are part of what it says.
func Compare(own Result, ovs OFProto, ports Datapath) []Disagreement {
	list := compareSteps(own, ovs)
	if own.Unknown != "" {
		return list
	}
	if ovs.Unread != "" {
		return append(list, Disagreement{About: Unread, Step: -1, OVS: ovs.Unread})
	}
	if (own.Aborted != "") != (ovs.Failure != "") {
		list = append(list, Disagreement{About: WrongVerdict, Step: -1, Own: own.Aborted, OVS: ovs.Failure})
	}
	return append(list, compareSends(own, ovs, ports)...)
}

func compareSteps(own Result, ovs OFProto) []Disagreement {
	for i := range max(len(own.Steps), len(ovs.Steps)) {
		switch {
		case i >= len(own.Steps) && own.Unknown != "":
			return nil
		case i >= len(own.Steps):
			return []Disagreement{{About: WrongTable, Step: i, OVS: ovs.Steps[i].String()}}
		case i >= len(ovs.Steps):
			return []Disagreement{{About: WrongTable, Step: i, Own: own.Steps[i].String()}}
		}
		if d, differs := compareStep(own.Steps[i], ovs.Steps[i]); differs {
			d.Step, d.Own, d.OVS = i, own.Steps[i].String(), ovs.Steps[i].String()
			return []Disagreement{d}
		}
	}
	return nil
}

func compareStep(own Step, ovs OFStep) (Disagreement, bool) {
	switch {
	case own.Table != ovs.Table:
		return Disagreement{About: WrongTable}, true
	case own.Flow == nil && ovs.Miss:
		return Disagreement{}, false
	case own.Flow == nil || ovs.Miss || ovs.Unread != nil:
		return Disagreement{About: WrongFlow}, true
	case own.Flow.Key == ovs.Key:
		return Disagreement{About: WrongCookie}, own.Flow.Cookie != ovs.Cookie
	}
	if slices.ContainsFunc(own.Rivals, func(f *flows.Flow) bool { return f.Key == ovs.Key }) {
		return Disagreement{About: Ambiguous}, true
	}
	return Disagreement{About: WrongFlow}, true
}

// compareSends finds what leaves in one engine only.
func compareSends(own Result, ovs OFProto, ports Datapath) []Disagreement {
	mine, theirs := map[string]int{}, map[string]int{}
	for _, s := range own.Sends {
		mine[s.String()]++
	}
	for _, s := range ovs.Sends {
		theirs[s.of(own.Packet, ports)]++
	}
	var list []Disagreement
	for text, n := range mine {
		for range n - theirs[text] {
			list = append(list, Disagreement{About: WrongSend, Step: -1, Own: text, OVS: strings.Join(ovs.Warnings, "; ")})
		}
	}
	for text, n := range theirs {
		for range n - mine[text] {
			list = append(list, Disagreement{About: WrongSend, Step: -1, OVS: text})
		}
	}
	slices.SortFunc(list, func(a, b Disagreement) int { return strings.Compare(a.Own+a.OVS, b.Own+b.OVS) })
	return list
}

// of says what leaves in the words of Send: the packet that came in, changed.
func (s OFSend) of(p Packet, ports Datapath) string {
	leaving, known := s.Leaving(p, ports)
	if !known {
		return fmt.Sprintf("%s out of the datapath's port %d, which is none of the bridge", leaving.Packet.Frame(), s.Port)
	}
	return leaving.String()
}

// String says where the packet goes and what it is by then.
func (s Send) String() string {
	text := fmt.Sprintf("%s out of port %s", s.Packet.Frame(), s.Port)
	if s.Tunnel != nil {
		text += fmt.Sprintf(" to %s with VNI 0x%x", s.Tunnel.Dst, s.Tunnel.VNI)
	}
	return text
}

// String says the table and what matched there.
func (s Step) String() string {
	if s.Flow == nil {
		return fmt.Sprintf("table=%d: no flow", s.Table)
	}
	text := fmt.Sprintf("cookie=0x%x, %s", s.Flow.Cookie, s.Flow.Key)
	for _, f := range s.Rivals {
		text += " or " + f.Key.String()
	}
	return text
}

// String says the table and what matched there, in the words of Step where the
// match is known.
func (s OFStep) String() string {
	switch {
	case s.Miss:
		return fmt.Sprintf("table=%d: no flow", s.Table)
	case s.Unread != nil:
		return fmt.Sprintf("table=%d: %s", s.Table, s.Text)
	}
	return fmt.Sprintf("cookie=0x%x, %s", s.Cookie, s.Key)
}
