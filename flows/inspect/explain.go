package inspect

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// Explanation tells one flow in sentences, as `ovsnet flows explain -o json`
// prints it.
type Explanation struct {
	// Line is the flow.
	Line
	// Flow is the flow in the words of ovs-ofctl.
	Flow string `json:"flow"`
	// Does says what the flow does with which packets, Why for what, and Without
	// what would happen if it were not there.
	Does    string `json:"does"`
	Why     string `json:"why"`
	Without string `json:"without"`
	// Standing says how it is with the flow on the host now.
	Standing string `json:"standing"`
	// Packet is the packet on whose way the flow is; empty where none was asked
	// for.
	Packet string `json:"packet,omitempty"`
	// Silent is why the host itself said nothing, where the flow is known of the
	// cluster's records alone; its State is then unseen, and numbers of ports are
	// made up.
	Silent string `json:"silent,omitempty"`
}

// explain tells one pair in sentences.
func (b Bridge) explain(p pair) Explanation {
	e := Explanation{Line: b.line(p), Flow: p.flow().String(), Does: b.sentence(p.flow()), Standing: standing(p)}
	if p.has != nil {
		e.Flow = written(*p.has)
		if p.has.Unread != nil {
			e.Flow = strings.TrimSpace(p.has.Unread.Text) // the column is one of it
			e.Does = fmt.Sprintf("Not understood at column %d: %s.", p.has.Unread.Column, p.has.Unread.Cause)
		}
	}
	switch p.state() {
	case Foreign:
		e.Why, e.Without = "it is not ovsnet's, so only who made it knows.", "what ovsnet's own flows say would hold."
		if shadowed := strings.TrimPrefix(b.shadow(p), p.unread()); shadowed != "" {
			e.Without = "what ovsnet's own flows say would hold: " + strings.TrimPrefix(shadowed, "; ") + "."
		}
	case Vanishing:
		r := flows.RuleOf(p.has.Cookie)
		e.Why = fmt.Sprintf("by its cookie it is one of ovsnet's (%s: it %s), but this host should not have it: what it was for is gone, or the line is another host's.", r, r.Meaning())
		e.Without = "nothing would be missed here."
	default:
		c := b.causeOf(b.why(p))
		e.Why, e.Without = c.why, c.without
	}
	return e
}

// standing says how an installed flow stands to the desired one.
func standing(p pair) string {
	switch p.state() {
	case Missing:
		return "missing: OVS does not have it, though it should"
	case Altered:
		return "altered (" + strings.Join(p.alterations(), ", ") + "): it should be " + p.want.String()
	case Vanishing:
		return "no longer wanted"
	case Foreign:
		return "foreign"
	}
	return "as it should be"
}

// ExplainDump explains the flows of a dump, which may be of this host or not, at
// this time or earlier: each is held against what the host should have now.
func (b Bridge) ExplainDump(dumped []flows.Installed) iter.Seq[Explanation] {
	return func(yield func(Explanation) bool) {
		desired := map[flows.Key]*flows.Flow{}
		for i := range b.desired() {
			desired[b.desired()[i].Key] = &b.desired()[i]
		}
		foreign := 0
		for i := range dumped {
			p := pair{has: &dumped[i]}
			if want, ok := desired[dumped[i].Key]; ok && dumped[i].Unread == nil {
				p.want = want
				p.has.Actions = asWanted(p.has.Actions, want.Actions)
			}
			if !yield(b.explain(p.counted(&foreign))) {
				return
			}
		}
	}
}

// asWanted returns the wanted actions where the others only say them in the words
// of OpenFlow 1.0, which has no goto_table: it prints a resubmit.
func asWanted(has, want flows.Actions) flows.Actions {
	var steps []flows.Action
	for step := range want.All() {
		if step.Op == flows.OpGoto {
			step = flows.Resubmit(step.Table)
		}
		steps = append(steps, step)
	}
	if has == flows.NewActions(steps...) {
		return want
	}
	return has
}

// ExplainCookie explains the host's flows that have the cookie.
func (b Bridge) ExplainCookie(cookie uint64) (iter.Seq[Explanation], error) {
	var found []pair
	for p := range b.pairs() {
		if p.flow().Cookie == cookie {
			found = append(found, p)
		}
	}
	object := fmt.Sprintf("cookie %#x", cookie)
	if len(found) == 0 && flows.Ours(cookie) {
		r := flows.RuleOf(cookie)
		if !slices.Contains(flows.Rules(), r) {
			return nil, overlay.Refuse(overlay.Missing, object, "see ovsnet flows ls -o wide", "it begins as those of ovsnet do, but this build knows no rule %d, and no flow of this host has it", r)
		}
		return nil, overlay.Refuse(overlay.Missing, object, "ask the host that the flow is on, with --node", "it marks a flow of ovsnet's (%s: it %s), and no flow of this host has it", r, r.Meaning())
	}
	if len(found) == 0 {
		return nil, overlay.Refuse(overlay.Missing, object, "see ovsnet flows ls -o wide", "it is not ovsnet's, and no flow of this host has it")
	}
	return func(yield func(Explanation) bool) {
		for _, p := range found {
			if !yield(b.explain(p)) {
				return
			}
		}
	}, nil
}

// WriteExplanations writes explanations for people, as they come. Where style is
// wide the flow is written with its statistics, and with what it follows from.
func WriteExplanations(w io.Writer, list iter.Seq2[Explanation, error], style Style) error {
	out := bufio.NewWriter(w)
	packet, any := "", false
	for e, err := range list {
		if err != nil {
			_ = out.Flush()
			return err
		}
		if any {
			_, _ = out.WriteString("\n")
		}
		if any = true; e.Packet != packet {
			packet = e.Packet
			_, _ = fmt.Fprintf(out, "%s\n", style.paint(bold, "== "+packet))
			if e.Silent != "" {
				_, _ = fmt.Fprintln(out, style.paint(amber, "evaluated from the cluster's records alone, numbers of ports made up: "+e.Silent))
			}
			_, _ = out.WriteString("\n")
		}
		_, _ = fmt.Fprintf(out, "%s\n", style.paint(bold, e.title()))
		parts := [][2]string{{"does", e.Does}, {"why", e.Why}, {"without it", e.Without}, {"now", e.now()}}
		if style.Wide {
			e.Flow = e.dumped()
			parts = append(parts, [2]string{"flow", e.about()})
		}
		_, _ = fmt.Fprintf(out, "    %s\n", style.paint(dim, e.Flow))
		for _, part := range parts {
			_, _ = fmt.Fprintf(out, "  %-11s %s\n", part[0], style.paint(e.colorOf(part[0]), part[1]))
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the explanations: %w", err)
	}
	return nil
}

// dumped is the flow with its statistics, as ovs-ofctl dumps it. One that is not
// installed has none, nor has one that was dumped without; one that was not
// understood stands as it was dumped.
func (e Explanation) dumped() string {
	table := fmt.Sprintf(" table=%d,", e.Table)
	head, tail, found := strings.Cut(e.Flow, table)
	if e.State == Missing || e.State == Unseen || e.Age == 0 && e.Packets == 0 || !found || strings.Contains(head, " duration=") {
		return e.Flow
	}
	seconds := func(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) }
	return fmt.Sprintf("%s duration=%ss,%s n_packets=%d, n_bytes=%d, idle_age=%s, %s", head, seconds(e.Age), table, e.Packets, e.Bytes, seconds(e.Idle), strings.TrimLeft(tail, " "))
}

func (e Explanation) title() string {
	return fmt.Sprintf("%d %s, priority %d: %s", e.Table, e.TableName, e.Priority, e.Reason)
}

func (e Explanation) now() string {
	if e.State == Missing || e.State == Unseen {
		return e.Standing + "."
	}
	return fmt.Sprintf("%s; %d packets, %d bytes in %s.", e.Standing, e.Packets, e.Bytes, ago(e.Age))
}

func (e Explanation) colorOf(part string) string {
	if part == "now" && slices.Contains([]State{Missing, Altered, Vanishing, Foreign}, e.State) {
		return red
	}
	return plain
}
