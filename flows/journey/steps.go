package journey

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
)

// foreign is the rule of flows that are not ovsnet's.
const foreign = "foreign"

func newStep(t flows.TableID) Step { return Step{Table: t, TableName: t.String(), Miss: true} }

// of fills in a flow that matched.
func (s Step) of(f flows.Flow) Step {
	s.Miss, s.Priority, s.Match, s.Actions, s.Cookie = false, f.Priority, f.Match.String(), f.Actions.String(), fmt.Sprintf("%#x", f.Cookie)
	return s
}

// ownStep is a look-up among the desired flows.
func (l Look) ownStep(at trace.Step) Step {
	s := newStep(at.Table)
	if at.Flow == nil {
		return s
	}
	s = s.of(*at.Flow)
	s.Rule, s.Reason, s.State = at.Flow.Why.Rule.String(), flows.Reason(*at.Flow, l.bridge.Snapshot), Unseen
	return s
}

// hold adds to a step through desired flows what is installed.
func (s *Step) hold(want *flows.Flow, has map[flows.Key]flows.Installed) {
	if want == nil {
		return
	}
	f, there := has[want.Key]
	switch {
	case !there:
		s.State = Missing
		return
	case f.Actions != want.Actions || f.Cookie != want.Cookie:
		s.State = Altered
	default:
		s.State = Agreed
	}
	s.Packets, s.Bytes = f.Packets, f.Bytes
}

// ovsStep is a look-up by Open vSwitch.
func (l Look) ovsStep(at trace.OFStep, has map[flows.Key]flows.Installed) Step {
	s := newStep(at.Table)
	if at.Miss {
		return s
	}
	if at.Unread != nil {
		s.Miss, s.Match, s.Rule, s.State, s.Reason = false, at.Text, foreign, Foreign, "not ovsnet's, and not understood"
		return s
	}
	f, there := has[at.Key]
	if !there {
		// It went between trace and dump.
		f = flows.Installed{Flow: flows.Flow{Key: at.Key, Cookie: at.Cookie}}
	}
	s = s.of(f.Flow)
	s.Packets, s.Bytes = f.Packets, f.Bytes
	i, desired := slices.BinarySearchFunc(l.desired, at.Key, func(f flows.Flow, k flows.Key) int { return f.Key.Compare(k) })
	switch {
	case desired:
		want := l.desired[i]
		s.Rule, s.Reason, s.State = want.Why.Rule.String(), flows.Reason(want, l.bridge.Snapshot), Agreed
		if there && f.Actions != want.Actions {
			s.State, s.Should = Altered, want.Actions.String()
		} else if at.Cookie != want.Cookie {
			s.State = Altered
		}
	case flows.Ours(at.Cookie):
		why := flows.Purposes(l.bridge.Snapshot)(at.Cookie)
		s.Rule, s.State, s.Reason = why.Rule.String(), Vanishing, flows.Formerly(why, l.bridge.Snapshot)
	default:
		s.Rule, s.Reason, s.State = foreign, "not ovsnet's", Foreign
	}
	return s
}

// findings say what is wrong where the two ways part.
func (l Look) findings(p Passage, seen Seen) []Finding {
	var list []Finding
	for i, s := range p.Installed.Steps {
		if s.State == Altered {
			list = append(list, Finding{Table: s.TableName, Text: altered(s)})
		}
		same := i < len(l.own.Steps) && sameFlow(l.own.Steps[i], seen.OFProto.Steps[i])
		if same {
			continue
		}
		if i < len(p.Desired.Steps) {
			list = append(list, parted(p.Desired.Steps[i], s)...)
		} else {
			list = append(list, Finding{Table: s.TableName, Text: "the packet goes on in " + s.TableName + ", where it should not come: " + s.words()})
		}
		return list
	}
	if n := len(p.Installed.Steps); n < len(p.Desired.Steps) {
		d := p.Desired.Steps[n]
		list = append(list, Finding{Table: d.TableName, Text: "the packet should go on in " + d.TableName + ", and does not: " + d.words()})
	}
	if len(list) == 0 && len(p.Disagreements) > 0 {
		list = append(list, unsent(p)...)
	}
	return list
}

func sameFlow(own trace.Step, ovs trace.OFStep) bool {
	if own.Table != ovs.Table || (own.Flow == nil) != ovs.Miss || ovs.Unread != nil {
		return false
	}
	return own.Flow == nil || own.Flow.Key == ovs.Key
}

// altered says what somebody made of a flow of ovsnet's.
func altered(s Step) string {
	if s.Should == "" {
		return fmt.Sprintf("flow altered: %q has cookie %s, which is not ovsnet's", s.Reason, s.Cookie)
	}
	return fmt.Sprintf("flow altered: %q does %s; it should do %s", s.Reason, orDrop(s.Actions), orDrop(s.Should))
}

func orDrop(actions string) string {
	if actions == "" {
		return "drop"
	}
	return actions
}

// parted says why Open vSwitch took another flow than it should.
func parted(want, has Step) []Finding {
	var list []Finding
	if want.State == Missing {
		list = append(list, Finding{Table: want.TableName, Text: fmt.Sprintf("flow missing: %q is not installed (priority %d, %s)", want.Reason, want.Priority, orAny(want.Match))})
	}
	kind := map[State]string{Foreign: "foreign flow: one that is not ovsnet's", Vanishing: "flow left over: one of ovsnet's that is " + has.Reason}[has.State]
	if kind != "" {
		list = append(list, Finding{Table: has.TableName, Text: fmt.Sprintf("%s (priority %d, %s) takes the packet before %q", kind, has.Priority, orAny(has.Match), want.words())})
	}
	if len(list) == 0 {
		list = append(list, Finding{Table: has.TableName, Text: fmt.Sprintf("another flow: the packet meets %q and should meet %q", has.words(), want.words())})
	}
	return list
}

func orAny(match string) string {
	if match == "" {
		return "any packet"
	}
	return match
}

// words say what a step did.
func (s Step) words() string {
	if s.Miss {
		return "no flow of " + s.TableName
	}
	return s.Reason
}

// unsent says why Open vSwitch, with the right flows, sends something else.
func unsent(p Passage) []Finding {
	if len(p.Installed.Warnings) > 0 {
		return []Finding{{Text: "Open vSwitch does not send what the flows say: " + strings.Join(p.Installed.Warnings, "; ")}}
	}
	d := p.Disagreements[0]
	said := func(text string) string {
		if text == "" {
			return "nothing"
		}
		return text
	}
	return []Finding{{Text: fmt.Sprintf("the flows are as desired, and ovsnet expects %s where Open vSwitch says %s", said(d.Desired), said(d.Installed))}}
}
