package flows_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
)

// The lines are Open vSwitch's own words.
func TestParseEvent(t *testing.T) {
	tests := []struct {
		line   string
		kind   flows.EventKind
		reason string
		where  string
		cookie uint64
		does   string
		unread bool
	}{
		{" event=ADDED table=60 cookie=0x6f76010000000001 metadata=0x1000/0xffffff,dl_dst=02:42:0a:00:00:01 actions=output:2",
			flows.Added, "", "table=60,metadata=0x1000/0xffffff,dl_dst=02:42:0a:00:00:01", 0x6f76010000000001, "output:2", false},
		{" event=MODIFIED table=60 cookie=0x5 ip,in_port=3 actions=goto_table:70\n", flows.Altered, "", "table=60,ip,in_port=3", 5, "goto_table:70", false},
		{" event=ADDED table=20 cookie=0x6f76010000000002 in_port=2", flows.Added, "", "table=20,in_port=2", 0x6f76010000000002, "drop", false},
		{" event=ADDED table=60 cookie=0x1 actions=output:2,IN_PORT,resubmit(,61)", flows.Added, "", "table=60", 1, "output:2,IN_PORT,resubmit(,61)", false},
		{" event=DELETED reason=idle table=3 idle_timeout=30 cookie=0x7 ct_state=+trk,ip actions=ct(commit)",
			flows.Removed, "idle", "table=3,ct_state=+trk,ip", 7, "drop", true},
		{" event=DELETED reason=delete table=3 hard_timeout=1 cookie=0 actions=learn(table=61)", flows.Removed, "delete", "table=3", 0, "drop", true},
		{" event=PAUSED", flows.Missed, "", "table=0", 0, "drop", false},
		{" event=RESUMED", flows.Missed, "", "table=0", 0, "drop", false},
	}
	for _, tt := range tests {
		e, err := flows.ParseEvent(tt.line)
		if err != nil {
			t.Errorf("%q: %v", tt.line, err)
			continue
		}
		f := e.Flow
		if e.Kind != tt.kind || e.Reason != tt.reason || f.Where().String() != tt.where || f.Cookie != tt.cookie || f.Actions.String() != tt.does || (f.Unread != nil) != tt.unread {
			t.Errorf("%q: read %s for %q, %q, cookie %#x, %s, unread %v", tt.line, e.Kind, e.Reason, f.Where(), f.Cookie, f.Actions, f.Unread)
		}
	}
	if e, _ := flows.ParseEvent(tests[4].line); e.Flow.Options != "idle_timeout=30 " {
		t.Errorf("options %q", e.Flow.Options)
	}
}

func TestBadEvents(t *testing.T) {
	for _, line := range []string{"", "event=", "event=ABBREV xid=0x5", "event=ADDED", "event=ADDED cookie=0x1", "event=ADDED table=300 cookie=0x1", "event=ADDED table=1 cookie=z"} {
		_, err := flows.ParseEvent(line)
		var syntax *flows.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q: error %v, want a *SyntaxError", line, err)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add("event=ADDED table=60 cookie=0x1 metadata=0x1000/0xffffff actions=output:2")
	f.Add("event=DELETED reason=delete table=3 hard_timeout=1 cookie=0 ct_state=+trk actions=learn(table=61)")
	f.Add("event=PAUSED")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := flows.ParseEvent(line)
		if err == nil && (e.Kind < flows.Added || e.Kind > flows.Missed || strings.ContainsAny(e.Flow.Where().String(), " \n")) {
			t.Errorf("%q became %+v", line, e)
		}
	})
}
