package flows

import (
	"fmt"
	"strings"
)

// EventKind is what a flow monitor says happened.
type EventKind uint8

// What happens to flows, and to the monitor itself.
const (
	// Added is a new flow, or an add over one that was there.
	Added EventKind = 1
	// Altered is a flow with other actions.
	Altered EventKind = 2
	// Removed is a flow that went.
	Removed EventKind = 3
	// Missed says that the monitor leaves changes out: it fell behind, or goes on
	// after that.
	Missed EventKind = 4
	// Began says that the monitor tells every change from now on.
	Began EventKind = 5
)

// String returns the kind in one word.
func (k EventKind) String() string {
	switch k {
	case Added:
		return "added"
	case Altered:
		return "altered"
	case Removed:
		return "removed"
	case Missed:
		return "missed"
	case Began:
		return "began"
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// Event is one line of a flow monitor. It names no author and no priority, so
// it is a hint where to look and never the truth about a flow.
type Event struct {
	Kind EventKind
	// Reason is why a flow went, in OVS's word: delete, idle, hard, eviction.
	Reason string
	// Flow is the flow after the change, or as it was when it went. Its priority
	// is not told.
	Flow Installed
}

// ParseEvent reads an event as `ovs-ofctl -O OpenFlow15 --no-names monitor BR
// watch:` prints it (ovs-ofctl(8)); actions that are left out are none. A field
// or action that is not known sets the flow's Unread; any other trouble is a
// *SyntaxError of line 1.
func ParseEvent(line string) (Event, error) {
	text := strings.TrimSpace(line)
	kind, rest, _ := strings.Cut(text, " ")
	var e Event
	switch kind {
	case "event=ADDED":
		e.Kind = Added
	case "event=MODIFIED":
		e.Kind = Altered
	case "event=DELETED":
		e.Kind = Removed
	case "event=PAUSED", "event=RESUMED":
		return Event{Kind: Missed}, nil
	default:
		return Event{}, &SyntaxError{Line: 1, Column: 1, Text: text, Cause: "no event that is known"}
	}
	if reason, found := strings.CutPrefix(rest, "reason="); found {
		e.Reason, rest, _ = strings.Cut(reason, " ")
	}
	if !strings.HasPrefix(rest, "table=") || !strings.Contains(rest, "cookie=") {
		return Event{}, &SyntaxError{Line: 1, Column: len(text) - len(rest) + 1, Text: text, Cause: "no table and cookie"}
	}
	from := len(text) - len(rest)
	if !strings.Contains(text, " actions=") {
		text += " actions=drop"
	}
	var unread *SyntaxError
	e.Flow, unread = parseLine(text, from)
	e.Flow.Priority = 0
	if unread != nil && e.Flow.Unread == nil || strings.HasPrefix(e.Flow.Raw, "cookie=") {
		return Event{}, unread
	}
	return e, nil
}
