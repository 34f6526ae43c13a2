package trace

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
)

// OFProto is what Open vSwitch's own `ofproto/trace` says of a packet.
type OFProto struct {
	// Bridge is the bridge that was asked.
	Bridge string
	// Steps are the look-ups in that bridge, in the order in which they happened.
	Steps []OFStep
	// Sends are the packets that leave.
	Sends []OFSend
	// Warnings are what Open vSwitch says about things that it did not do, and
	// what it waits for, as in "native tunnel routing failed".
	Warnings []string
	// Failure is why the packet was given up as a whole; empty where it was not.
	Failure string
	// Unread is why Sends are not known: the datapath does what no flow of
	// ovsnet's asks for, such as tracking connections; empty where they are.
	Unread string
}

// OFStep is one look-up by Open vSwitch.
type OFStep struct {
	Table flows.TableID
	// Miss is set where no flow matched; then there is no key.
	Miss bool
	// Key and Cookie are the flow's.
	Key    flows.Key
	Cookie uint64
	// Text is the step as it was printed.
	Text string
	// Unread is why Key is empty: a match that ovsnet does not know.
	Unread error
}

// SyntaxError is a trace that cannot be read.
type SyntaxError struct {
	// Line is the number of the line, from 1; Column where in it, in bytes from
	// 1, the trouble begins.
	Line, Column int
	// Text is the line, Cause what is wrong.
	Text, Cause string
}

// Error shows the line and the place in it.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("trace by Open vSwitch, line %d, column %d: %s: %q", e.Line, e.Column, e.Cause, e.Text)
}

// ParseOFProto reads what `ovs-appctl ofproto/trace BRIDGE FLOW` prints
// (ovs-vswitchd(8)), of Open vSwitch 3.1. What leads through other bridges, such
// as that of the underlay, is left out. The error is a *SyntaxError.
func ParseOFProto(text string) (OFProto, error) {
	p := ofParser{foreign: -1}
	for i, line := range strings.Split(text, "\n") {
		if cause := p.line(strings.TrimRight(line, " \r")); cause != nil {
			column := len(line) - len(strings.TrimLeft(line, " ")) + 1
			return OFProto{}, &SyntaxError{Line: i + 1, Column: column, Text: line, Cause: cause.Error()}
		}
	}
	if !p.complete {
		return OFProto{}, &SyntaxError{Line: 1, Column: 1, Text: firstLine(text), Cause: "a trace without datapath actions"}
	}
	return p.trace, nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

const datapathActions = "Datapath actions: "

// ofParser reads a trace from top to bottom.
type ofParser struct {
	trace    OFProto
	complete bool
	// foreign is the level from which on lines belong to another bridge; -1
	// while there is none. fresh is set until the level of that bridge's first
	// look-up is known.
	foreign int
	fresh   bool
}

func (p *ofParser) line(line string) error {
	trimmed := strings.TrimLeft(line, " ")
	level := (len(line) - len(trimmed)) / 4
	if name, ok := bridgeHeader(trimmed); ok {
		return p.enter(name, level)
	}
	switch {
	case trimmed == "" || strings.Trim(trimmed, "-") == "":
		return nil
	case strings.HasPrefix(line, datapathActions):
		p.finish(strings.TrimPrefix(line, datapathActions))
		return nil
	case strings.HasPrefix(line, "Translation failed"):
		p.trace.Failure = line
		return nil
	case p.complete, p.trace.Bridge == "", strings.HasPrefix(line, "Final flow:"), strings.HasPrefix(line, "Megaflow:"):
		return nil
	}
	p.warning(trimmed)
	if !p.ours(trimmed, level) {
		return nil
	}
	return p.step(trimmed)
}

// bridgeHeader reads the line that begins a bridge's part.
func bridgeHeader(trimmed string) (string, bool) {
	name, ok := strings.CutPrefix(trimmed, `bridge("`)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, `")`)
}

// enter begins a bridge's part; the first is that of the bridge that was asked.
func (p *ofParser) enter(name string, level int) error {
	switch {
	case name == "":
		return fmt.Errorf("a bridge without a name")
	case p.trace.Bridge == "":
		p.trace.Bridge = name
	case p.foreign < 0 || level < p.foreign:
		p.foreign, p.fresh = level, true
	}
	return nil
}

// ours reports whether a line is the asked bridge's. The part of another bridge
// is two levels deeper than its heading, or, where nothing follows, as deep.
func (p *ofParser) ours(trimmed string, level int) bool {
	if p.foreign < 0 {
		return true
	}
	if p.fresh && stepPattern.MatchString(trimmed) {
		p.fresh = false
		if level > p.foreign {
			p.foreign++
		}
	}
	if level >= p.foreign {
		return false
	}
	p.foreign = -1
	return true
}

// stepPattern tells a look-up: its table, and what matched.
var stepPattern = regexp.MustCompile(`^(\d{1,3})\. (.*)$`)

// SkippedInPort is Open vSwitch's warning of an output to the port that the packet came
// in by, which sends nothing.
const SkippedInPort = "skipping output to input port"

// warning keeps what was not done, here or in the underlay's bridge, once.
func (p *ofParser) warning(trimmed string) {
	text, done := strings.CutPrefix(trimmed, "-> ")
	if done && !strings.HasPrefix(text, "neighbor cache miss") || !done && !strings.HasPrefix(text, ">>") {
		return
	}
	if text = strings.Trim(text, "<> "); !slices.Contains(p.trace.Warnings, text) {
		p.trace.Warnings = append(p.trace.Warnings, text)
	}
}

// step reads a line of the asked bridge, of which only the look-ups count.
func (p *ofParser) step(trimmed string) error {
	match := stepPattern.FindStringSubmatch(trimmed)
	if match == nil {
		return nil
	}
	table, err := strconv.ParseUint(match[1], 10, 8)
	if err != nil {
		return fmt.Errorf("%s is no table", match[1])
	}
	p.trace.Steps = append(p.trace.Steps, readStep(flows.TableID(table), match[2]))
	return nil
}

// readStep reads what matched: "MATCH, priority N, cookie 0xN", where the match
// and the cookie may be missing.
func readStep(table flows.TableID, text string) OFStep {
	step := OFStep{Table: table, Text: text, Miss: strings.HasPrefix(text, "No match.")}
	if step.Miss {
		return step
	}
	match, rest, found := strings.Cut(", "+text, ", priority ")
	priority, cookie, _ := strings.Cut(rest, ", cookie ")
	if cookie == "" {
		cookie = "0"
	}
	if !found {
		step.Unread = fmt.Errorf("no priority in %q", text)
		return step
	}
	line := fmt.Sprintf("cookie=%s, table=%d, priority=%s%s actions=drop", cookie, table, priority, strings.TrimRight(match, ", "))
	read, err := flows.ParseLine(line)
	if err != nil {
		cause := err.Error()
		var syntax *flows.SyntaxError
		if errors.As(err, &syntax) {
			cause = syntax.Cause
		}
		step.Unread = fmt.Errorf("match %q: %s", text, cause)
		return step
	}
	step.Key, step.Cookie = read.Key, read.Cookie
	return step
}

// finish reads what leaves. What follows is of a packet that comes back, of
// which this said that it is not read.
func (p *ofParser) finish(actions string) {
	if p.complete {
		return
	}
	p.complete = true
	d := datapathParser{}
	if err := d.list(actions); err != nil {
		p.trace.Unread = err.Error()
		return
	}
	p.trace.Sends = d.sends
}
