package flows

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Key is a flow's identity in OVS: no two flows have the same table, priority
// and match.
type Key struct {
	Table    TableID
	Priority uint16
	Match    Match
}

// Compare orders keys by table, then from high priority to low, then by match.
func (k Key) Compare(o Key) int {
	if k.Table != o.Table || k.Priority != o.Priority {
		return cmp.Or(cmp.Compare(k.Table, o.Table), cmp.Compare(o.Priority, k.Priority))
	}
	return k.Match.Compare(o.Match)
}

// String writes the key as the condition of a delete_strict, as ovs-ofctl
// reads it.
func (k Key) String() string {
	to := fmt.Appendf(nil, "table=%d,priority=%d", k.Table, k.Priority)
	if k.Match != (Match{}) {
		to = append(to, ',')
	}
	return string(k.Match.appendText(to))
}

// Where returns the key less its priority.
func (k Key) Where() Where { return Where{Table: k.Table, Match: k.Match} }

// Where is a flow's key less its priority: what a flow monitor tells of it.
type Where struct {
	Table TableID
	Match Match
	// Raw is the match in the words of ovs-ofctl where it has a field that ovsnet
	// does not know; Match is empty then.
	Raw string
}

// String writes what selects the flow in ovs-ofctl's dump-flows, which also
// shows flows with further conditions.
func (w Where) String() string {
	to := fmt.Appendf(nil, "table=%d", w.Table)
	if w.Match != (Match{}) || w.Raw != "" {
		to = append(to, ',')
	}
	return string(w.Match.appendText(append(to, w.Raw...)))
}

// Flow is one flow as it should be: identity, steps, and why it exists.
type Flow struct {
	Key
	Actions Actions
	Cookie  uint64
	// Why is empty in flows that were read from OVS.
	Why Why
}

// String writes the flow in one line, in the words of ovs-ofctl.
func (f Flow) String() string {
	return fmt.Sprintf("cookie=0x%x, %s actions=%s", f.Cookie, f.Key, f.Actions)
}

// Compare orders flows as people read them: by table, the first to match first.
func Compare(a, b Flow) int { return a.Key.Compare(b.Key) }

// same reports whether OVS would show no difference.
func (f Flow) same(o Flow) bool {
	return f.Key == o.Key && f.Actions == o.Actions && f.Cookie == o.Cookie
}

// Installed is a flow as OVS has it.
type Installed struct {
	Flow
	// Packets and Bytes are what the flow has matched; a change keeps them.
	Packets, Bytes uint64
	// Duration is the time since the flow was added or changed, Idle that since
	// its last match.
	Duration, Idle time.Duration
	// Options are the time-outs, importance and flags that flows of ovsnet
	// never have, as ovs-ofctl prints them, each followed by a space.
	Options string
	// Unread is why this is not all of the flow: it has a field or action that
	// ovsnet does not know. Actions say nothing then.
	Unread *SyntaxError
	// Raw is the match in the words of ovs-ofctl where it is what could not be
	// read; Match is empty then.
	Raw string
}

// Where returns where the flow is, whatever its priority.
func (f Installed) Where() Where { return Where{Table: f.Table, Match: f.Match, Raw: f.Raw} }

// identity writes the flow's key as the condition of a delete_strict.
func (f Installed) identity() string {
	if f.Raw != "" {
		return fmt.Sprintf("table=%d,priority=%d,%s", f.Table, f.Priority, f.Raw)
	}
	return f.Key.String()
}

// statistics are what a dumped line tells of a flow that changes by itself.
var statistics = regexp.MustCompile(`\b(duration|n_packets|n_bytes|idle_age|hard_age)=[^, ]*, `)

// String writes the flow in the words of ovs-ofctl; one that was not read as it
// was dumped, without its statistics.
func (f Installed) String() string {
	if f.Unread != nil {
		return statistics.ReplaceAllString(strings.TrimSpace(f.Unread.Text), "")
	}
	return f.Flow.String()
}

// Delta is what must happen to one set of flows to make it another. No key is
// in both lists.
type Delta struct {
	// Add are the flows that are new or changed.
	Add []Flow
	// Delete are the keys of flows that must go.
	Delete []Key
	// Evict are flows that must go and that only their own cookie may take along:
	// those of others, and those whose match cannot be read.
	Evict []Installed
}

// Empty reports whether nothing must happen.
func (d Delta) Empty() bool { return len(d.Add) == 0 && len(d.Delete) == 0 && len(d.Evict) == 0 }
