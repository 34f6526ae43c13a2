package journey

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/flows/trace"
)

// Style is how a trace looks to people.
type Style struct {
	// Wide shows of each step match, actions and counters as well, and every
	// disagreement in the words of both engines.
	Wide bool
	// Color marks with ANSI colours (ECMA-48) what is good and what is not.
	Color bool
}

// The colours.
const (
	red   = "31"
	green = "32"
	amber = "33"
	dim   = "2"
	bold  = "1"
)

func (s Style) paint(color, text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// printer writes a trace; the first error is kept by the writer.
type printer struct {
	*bufio.Writer
	Style
}

// WriteText writes the trace for people. A question for an address that was
// answered as it should takes one line, unless Wide asks for all.
func (t Trace) WriteText(to io.Writer, style Style) error {
	p := printer{bufio.NewWriter(to), style}
	for i, w := range t.Walks {
		if i > 0 {
			p.line("")
		}
		p.line("%s", p.paint(bold, w.title()))
		if w.Purpose == PurposeAddress && w.fine() && !style.Wide {
			p.line("  %s", p.outcome(w.Verdict))
			continue
		}
		for _, passage := range w.Passages {
			p.passage(passage)
		}
		if w.Unfollowed > 0 {
			p.line("  (%d further copies to other hosts, not followed)", w.Unfollowed)
		}
		if w.Verdict.Text != t.Verdict.Text {
			p.line("  %s", p.outcome(w.Verdict))
		}
	}
	p.line("")
	p.verdict(t)
	if t.Live != nil {
		p.live(*t.Live)
	}
	if err := p.Flush(); err != nil {
		return fmt.Errorf("write the trace: %w", err)
	}
	return nil
}

func (p printer) line(format string, args ...any) {
	_, _ = fmt.Fprintf(p, format+"\n", args...)
}

// fine reports whether there is nothing to say of a walk but its outcome.
func (w Walk) fine() bool { return w.Verdict.Good() && w.Verdict.Agreed && w.Verdict.Checked }

func (w Walk) title() string {
	return map[string]string{PurposeAddress: "question for the address", PurposePacket: "packet"}[w.Purpose] + "  " + w.Packet
}

func (p printer) outcome(v Verdict) string {
	color := red
	if v.Good() {
		color = green
	}
	return p.paint(color, v.Text)
}

// passage writes one host's part.
func (p printer) passage(at Passage) {
	heading := at.Node + "  " + at.Entry
	if at.Source == ByHost {
		heading += "  (read without its agent)"
	}
	p.line("%s", p.paint(bold, heading))
	if at.Source == ByRecords {
		p.line("  %s", p.paint(amber, "evaluated from the cluster's records alone: "+at.Silent))
	} else if at.Unasked != "" {
		p.line("  %s", p.paint(amber, "desired flows only: "+at.Unasked))
	}
	way := at.way()
	for i, s := range way.Steps {
		if i == len(way.Steps)-1 && strings.HasPrefix(way.Why, s.Reason) {
			s.Reason = way.Why
		}
		p.step(s, i == len(way.Steps)-1 && way.Why != "")
	}
	for _, e := range way.Exits {
		p.line("  → %s", p.exit(e))
	}
	for _, w := range way.Warnings {
		p.line("  ! %s", p.paint(amber, w))
	}
	for _, f := range at.Findings {
		p.line("  ! %s", p.paint(red, f.Text))
	}
	p.differences(at)
}

// step writes a look-up; ends says that the packet ends there.
func (p printer) step(s Step, ends bool) {
	mark := s.Reason
	switch {
	case s.Miss:
		mark = p.paint(red, "no flow matches")
	case s.State != Agreed && s.State != Unseen:
		mark = p.paint(red, fmt.Sprintf("%s [%s]", s.Reason, s.State))
	case ends:
		mark = p.paint(red, mark)
	}
	p.line("  %-20s%s", s.table(), mark)
	if p.Wide && !s.Miss {
		p.line("  %20s%s", "", p.paint(dim, fmt.Sprintf("priority=%d,%s actions=%s", s.Priority, orAny(s.Match), orDrop(s.Actions))))
		if s.State != Unseen && s.State != Missing {
			p.line("  %20s%s", "", p.paint(dim, fmt.Sprintf("%d packets, %d bytes, cookie %s", s.Packets, s.Bytes, s.Cookie)))
		}
	}
}

// table is the step's table, by number and, where it has one, name.
func (s Step) table() string {
	if number := strconv.Itoa(int(s.Table)); number != s.TableName {
		return number + " " + s.TableName
	}
	return s.TableName
}

// exit writes where a packet leaves, and of an answer what it is.
func (p printer) exit(e Exit) string {
	text := e.Name
	switch {
	case e.Tunnel != nil && e.Host == "":
		text = p.paint(red, fmt.Sprintf("tunnel to %s, which is no host of the cluster, VNI %d", e.Tunnel.Dst, e.Tunnel.VNI))
	case e.Tunnel != nil:
		text = fmt.Sprintf("tunnel to %s (%s), VNI %d", e.Host, e.Tunnel.Dst, e.Tunnel.VNI)
	case e.Back:
		text = "back by " + text
	}
	if p.Wide || e.Back {
		text += "  " + p.paint(dim, e.Frame)
	}
	return text
}

// differences writes what the engines differ in, and the way that should be.
func (p printer) differences(at Passage) {
	if len(at.Disagreements) == 0 {
		return
	}
	should := make([]string, 0, len(at.Desired.Steps)+1)
	for _, s := range at.Desired.Steps {
		should = append(should, s.TableName)
	}
	var leaves []string
	for _, e := range at.Desired.Exits {
		leaves = append(leaves, p.exit(e))
	}
	if len(leaves) == 0 {
		leaves = []string{"dropped"}
	}
	p.line("  desired: %s → %s", strings.Join(should, ", "), strings.Join(leaves, "; "))
	if !p.Wide {
		return
	}
	for _, d := range at.Disagreements {
		p.line("  %s", p.paint(amber, trace.Disagreement{About: trace.Aspect(d.About), Step: d.Step - 1, Own: d.Desired, OVS: d.Installed}.String()))
	}
}

// verdict writes the end of all.
func (p printer) verdict(t Trace) {
	v := t.Verdict
	p.line("%s: %s", p.paint(bold, "verdict"), p.outcome(v))
	for _, c := range v.Causes {
		p.line("  cause: %s", p.paint(red, c))
	}
	p.line("  %s", p.paint(map[bool]string{true: dim, false: amber}[v.Agreed && v.Checked], t.engines()))
}

// engines says whether both spoke, and agree.
func (t Trace) engines() string {
	var hosts, unchecked, differ []string
	for _, w := range t.Walks {
		for _, at := range w.Passages {
			list := &hosts
			switch {
			case at.Installed == nil:
				list = &unchecked
			case len(at.Disagreements) > 0:
				list = &differ
			}
			if !slices.Contains(*list, at.Node) {
				*list = append(*list, at.Node)
			}
		}
	}
	var say []string
	if len(differ) > 0 {
		say = append(say, "desired and installed flows disagree on "+strings.Join(differ, ", "))
	}
	if len(unchecked) > 0 {
		say = append(say, "not checked against Open vSwitch on "+strings.Join(unchecked, ", "))
	}
	if len(say) == 0 {
		return "ovsnet's evaluation of the desired flows and Open vSwitch's of the installed ones agree on " + strings.Join(hosts, ", ")
	}
	return strings.Join(say, "; ")
}
