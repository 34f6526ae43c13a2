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
	// Line is the number of the line, from 1; Column where the trouble begins.
	Line, Column int
	// Text is the line, Cause what is wrong.
	Text, Cause string
}

// Error shows the line and the place in it.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("flow dump, line %d, column %d: %s: %q", e.Line, e.Column, e.Cause, e.Text)
}

// maxLine bounds one line of a dump, in bytes: a flow with 1,000 copies takes 40,000.
const maxLine = 1 << 20

// ParseDump reads what `ovs-ofctl -O OpenFlow15 --no-names dump-flows` prints.
// An unknown field or action, or a line that is no flow, is a *SyntaxError.
func ParseDump(r io.Reader) ([]Installed, error) {
	var list []Installed
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "OFPST_FLOW reply") || strings.HasPrefix(text, "NXST_FLOW reply") {
			continue
		}
		f, err := ParseLine(text)
		if err != nil {
			var syntax *SyntaxError
			if errors.As(err, &syntax) {
				syntax.Line = n
			}
			return nil, err
		}
		list = append(list, f)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the flow dump: %w", err)
	}
	return list, nil
}

// ParseLine reads one dumped flow. The error is a *SyntaxError of line 1.
func ParseLine(text string) (Installed, error) {
	head, actions, ok := strings.Cut(text, "actions=")
	if !ok {
		return Installed{}, &SyntaxError{Line: 1, Column: len(text) + 1, Text: text, Cause: "no actions"}
	}
	var f Installed
	f.Priority = defaultPriority
	var fields []Field
	at := 0
	for word := range strings.FieldsFuncSeq(head, func(r rune) bool { return r == ',' || r == ' ' }) {
		at += strings.Index(head[at:], word)
		field, err := f.take(word)
		if err != nil {
			return Installed{}, &SyntaxError{Line: 1, Column: at + 1, Text: text, Cause: err.Error()}
		}
		if field != nil {
			if slices.ContainsFunc(fields, func(o Field) bool { return o.Name == field.Name }) {
				return Installed{}, &SyntaxError{Line: 1, Column: at + 1, Text: text, Cause: "field " + field.Name + " is there twice"}
			}
			fields = append(fields, *field)
		}
		at += len(word)
	}
	f.Match = newMatch(fields...)
	at = len(head) + len("actions=")
	for _, word := range splitActions(actions) {
		if err := checkAction(word); err != nil {
			return Installed{}, &SyntaxError{Line: 1, Column: at + 1, Text: text, Cause: err.Error()}
		}
		at += len(word) + 1
	}
	f.Actions = Actions(actions)
	return f, nil
}

// defaultPriority is what OVS leaves out when it prints a flow (ovs-ofctl(8)).
const defaultPriority = 32768

// take reads one word before the actions: a property of the flow, or a field of
// its match, which is returned.
func (f *Installed) take(word string) (*Field, error) {
	name, value, valued := strings.Cut(word, "=")
	if slices.Contains(fieldOrder(), name) {
		if valued == slices.Contains(keywords(), name) || valued && value == "" {
			return nil, fmt.Errorf("field %s cannot be written so", name)
		}
		field := splitField(word)
		return &field, nil
	}
	var err error
	var number uint64
	switch name {
	case "cookie":
		f.Cookie, err = strconv.ParseUint(value, 0, 64)
	case "table":
		number, err = strconv.ParseUint(value, 10, 8)
		f.Table = TableID(number)
	case "priority":
		number, err = strconv.ParseUint(value, 10, 16)
		f.Priority = uint16(number)
	case "n_packets":
		f.Packets, err = strconv.ParseUint(value, 10, 64)
	case "n_bytes":
		f.Bytes, err = strconv.ParseUint(value, 10, 64)
	case "duration":
		f.Duration, err = seconds(strings.TrimSuffix(value, "s"))
	case "idle_age":
		f.Idle, err = seconds(value)
	case "hard_age":
		_, err = seconds(value)
	default:
		return nil, fmt.Errorf("unknown field %q", name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: not a number in range: %q", name, value)
	}
	return nil, nil
}

// seconds reads a number of seconds with fraction.
func seconds(text string) (time.Duration, error) {
	s, err := strconv.ParseFloat(text, 64)
	if err != nil || s < 0 || s > math.MaxInt64/float64(time.Second) || math.IsNaN(s) {
		return 0, fmt.Errorf("not a time: %q", text)
	}
	return time.Duration(s * float64(time.Second)), nil
}

func checkAction(word string) error {
	a := splitAction(word)
	argument, known := verbs()[a.Verb]
	if !known {
		return fmt.Errorf("unknown action %q", word)
	}
	if argument != (a.Arg != "") || a.String() != word {
		return fmt.Errorf("action %s cannot be written so: %q", a.Verb, word)
	}
	return nil
}
