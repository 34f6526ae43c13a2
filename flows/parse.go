package flows

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SyntaxError is a dumped line that cannot be read. Nothing of such a line is
// guessed.
type SyntaxError struct {
	// Line is the number of the line, from 1; Column where in it, in bytes from
	// 1, the trouble begins.
	Line, Column int
	// Text is the line, Cause what is wrong.
	Text, Cause string
}

// Error shows the line and the place in it.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("flow dump, line %d, column %d: %s: %q", e.Line, e.Column, e.Cause, e.Text)
}

// maxLine bounds one line of a dump, in bytes: the largest flow that fits into
// an OpenFlow message takes about 60,000.
const maxLine = 1 << 20

// ParseDump reads what `ovs-ofctl -O OpenFlow15 --no-names dump-flows` prints
// (ovs-ofctl(8)). A line that is no flow is a *SyntaxError. A flow with a field
// or action that is not known is in the list with its Unread set, because
// nobody can be kept from using the rest of OpenFlow, beside ovsnet or on its
// flows.
func ParseDump(r io.Reader) ([]Installed, error) {
	var list []Installed
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		text := lines.Text()
		if Flowless(text) {
			continue
		}
		f, err := parseLine(text, 0)
		if err != nil {
			err.Line = n
			if f.Unread == nil {
				return nil, err
			}
		}
		list = append(list, f)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the flow dump: %w", err)
	}
	return list, nil
}

// Flowless reports whether a line of a dump is one that is not to be a flow: an
// empty one, or that which ovs-ofctl prints for every reply of the switch.
func Flowless(text string) bool {
	return strings.TrimSpace(text) == "" || strings.HasPrefix(text, "OFPST_FLOW reply (") || strings.HasPrefix(text, "NXST_FLOW reply (")
}

// ParseLine reads one dumped flow. The error is a *SyntaxError of line 1.
func ParseLine(text string) (Installed, error) {
	f, err := parseLine(text, 0)
	if err != nil {
		return Installed{}, err
	}
	return f, nil
}

// parseLine reads a flow from that byte on. With an error comes what is known of
// a flow nevertheless: all but the actions, or the match only as it is written.
func parseLine(text string, from int) (Installed, *SyntaxError) {
	text = strings.TrimRight(text, " \t\r\n")
	p := parser{text: text, at: from, flow: Installed{Flow: Flow{Key: Key{Priority: defaultPriority}}},
		seen: make([]string, 0, 16), conditions: make([]FieldMatch, 0, 8), steps: make([]Action, 0, 8)}
	err := p.line()
	if err == nil {
		return p.flow, nil
	}
	p.flow.Unread = &SyntaxError{Line: 1, Column: p.at + 1, Text: text, Cause: err.Error()}
	if !p.matched {
		p.flow.Priority, p.flow.Raw = rawCondition(text)
	}
	if p.garbled || !slices.Contains(p.seen, "cookie") || !p.matched && p.flow.Raw == "" {
		return Installed{}, p.flow.Unread
	}
	return p.flow, p.flow.Unread
}

// rawCondition returns the priority and, as it is written, the match of a flow
// whose match cannot be read: the last word before the actions. The match is
// empty where that is none.
func rawCondition(text string) (priority uint16, match string) {
	head, _, found := strings.Cut(text, " actions=")
	if !found || strings.HasSuffix(head, ",") {
		return 0, ""
	}
	match = head[strings.LastIndexByte(head, ' ')+1:]
	if rest, found := strings.CutPrefix(match, "priority="); found {
		digits, conditions, _ := strings.Cut(rest, ",")
		if n, err := number(digits, 16); err == nil {
			return uint16(n), conditions
		}
	}
	return defaultPriority, match
}

// defaultPriority is what ovs-ofctl leaves out when it prints a flow.
const defaultPriority = 32768

// parser reads one line from left to right; at is where it stands.
type parser struct {
	text string
	at   int
	flow Installed
	// seen are the words so far, which are few.
	seen []string
	// matched says that the match has been read, garbled that not even what
	// every flow has can be.
	matched, garbled bool
	conditions       []FieldMatch
	steps            []Action
}

// word returns what is before the next of the separators.
func (p *parser) word(separators string) string {
	end := strings.IndexAny(p.text[p.at:], separators)
	if end < 0 {
		return p.text[p.at:]
	}
	return p.text[p.at : p.at+end]
}

func (p *parser) line() error {
	for {
		p.at += len(p.text[p.at:]) - len(strings.TrimLeft(p.text[p.at:], " ,"))
		if strings.HasPrefix(p.text[p.at:], "actions=") {
			p.at += len("actions=")
			break
		}
		word := p.word(" ,")
		if word == "" {
			return errors.New("no actions")
		}
		if err := p.head(word); err != nil {
			return err
		}
		p.at += len(word)
	}
	p.flow.Match, p.matched = NewMatch(p.conditions...), true
	if err := p.actions(); err != nil {
		return err
	}
	p.flow.Actions = NewActions(p.steps...)
	return nil
}

// head reads one word before the actions: a property, a protocol or a field.
func (p *parser) head(word string) error {
	name, value, valued := strings.Cut(word, "=")
	if slices.Contains(p.seen, name) {
		return fmt.Errorf("%s is there twice", name)
	}
	p.seen = append(p.seen, name)
	if valued {
		if known, err := p.property(name, value); known || err != nil {
			p.garbled = err != nil
			return err
		}
		f, known := matchField(name)
		if !known {
			return fmt.Errorf("unknown field %q", name)
		}
		v, mask, err := f.parseMasked(value)
		if err != nil {
			return err
		}
		return p.condition(Masked(f, v, mask))
	}
	for _, proto := range protocols() {
		if proto.name == word {
			return p.protocol(proto)
		}
	}
	switch word {
	case "send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts":
		p.flow.Options += word + " "
		return nil
	}
	return fmt.Errorf("unknown field %q", word)
}

func (p *parser) protocol(proto protocol) error {
	if err := p.condition(Exact(EthType, Number(uint64(proto.ethType)))); err != nil || proto.ipProto == 0 {
		return err
	}
	return p.condition(Exact(IPProto, Number(uint64(proto.ipProto))))
}

func (p *parser) condition(c FieldMatch) error {
	for _, o := range p.conditions {
		if o.Field == c.Field {
			return fmt.Errorf("%s is there twice", c.Field)
		}
	}
	p.conditions = append(p.conditions, c)
	return nil
}

// property reads what is no field; it reports whether it was one.
func (p *parser) property(name, value string) (bool, error) {
	f := &p.flow
	var err error
	var n uint64
	switch name {
	case "cookie":
		f.Cookie, err = number(value, 64)
	case "table":
		n, err = number(value, 8)
		f.Table = TableID(n)
	case "priority":
		n, err = number(value, 16)
		f.Priority = uint16(n)
	case "n_packets":
		f.Packets, err = number(value, 64)
	case "n_bytes":
		f.Bytes, err = number(value, 64)
	case "duration":
		f.Duration, err = seconds(strings.TrimSuffix(value, "s"))
	case "idle_age":
		f.Idle, err = seconds(value)
	case "hard_age":
		_, err = seconds(value)
	case "idle_timeout", "hard_timeout", "importance":
		_, err = number(value, 16)
		f.Options += name + "=" + value + " "
	default:
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("%s: %w", name, err)
	}
	return true, nil
}

// number reads a decimal number, or a hexadecimal one with 0x.
func number(text string, bits int) (uint64, error) {
	digits, hex := strings.CutPrefix(text, "0x")
	base := 10
	if hex {
		base = 16
	}
	n, err := strconv.ParseUint(digits, base, bits)
	if err != nil {
		return 0, fmt.Errorf("%q is no number of %d bits", text, bits)
	}
	return n, nil
}

// seconds reads a time with a fraction.
func seconds(text string) (time.Duration, error) {
	s, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(s) || s < 0 || s >= math.MaxInt64/float64(time.Second) {
		return 0, fmt.Errorf("%q is no time in seconds", text)
	}
	return time.Duration(math.Round(s * float64(time.Second))), nil
}
