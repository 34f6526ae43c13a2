package flows_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
)

const unknownField = "cookie=0x%s, duration=1.5s, table=99, n_packets=0, n_bytes=0, priority=7,ct_state=+trk,ip actions=ct(commit)"

// Somebody else's flow may be anything that OpenFlow has; it keeps nobody from reading ovsnet's own.
func TestForeignFlowThatCannotBeReadIsKept(t *testing.T) {
	theirs := strings.Replace(unknownField, "%s", "beef", 1)
	list, err := flows.ParseDump(strings.NewReader("OFPST_FLOW reply (OF1.5) (xid=0x2):\n cookie=0x6f76030000000001, table=0, priority=0 actions=drop\n " + theirs + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Unread != nil || list[1].Unread == nil {
		t.Fatalf("read %v", list)
	}
	if got := list[1]; got.Cookie != 0xbeef || got.Unread.Text != " "+theirs || got.Unread.Line != 3 || !strings.HasPrefix(got.Unread.Text[got.Unread.Column-1:], "ct_state") {
		t.Errorf("kept %q, cookie %#x, error %v", got, got.Cookie, got.Unread)
	}
	change, foreign := flows.Diff(slices.Values([]flows.Flow{list[0].Flow}), list)
	if !change.Empty() || len(foreign) != 1 {
		t.Errorf("change %+v, foreign %v", change, foreign)
	}
	// An unread flow has no key, so a flow of ovsnet's without conditions is not taken for it.
	change, foreign = flows.Diff(slices.Values([]flows.Flow{{Cookie: list[0].Cookie}}), list[1:])
	if len(change.Add) != 1 || len(foreign) != 1 {
		t.Errorf("change %+v, foreign %v", change, foreign)
	}
}

// What somebody gave actions that ovsnet does not know is still the flow at its key, and is made what it should be.
func TestOwnFlowWithUnknownActionsIsMended(t *testing.T) {
	list, err := flows.ParseDump(strings.NewReader("cookie=0x6f76280000000001, table=60, priority=110,metadata=0x1000 actions=ct(commit)"))
	if err != nil || len(list) != 1 || list[0].Unread == nil || list[0].Raw != "" {
		t.Fatalf("read %+v, %v", list, err)
	}
	want := flows.Flow{Key: list[0].Key, Cookie: list[0].Cookie, Actions: flows.NewActions(flows.Output(7))}
	if change, _ := flows.Diff(slices.Values([]flows.Flow{want}), list); len(change.Add) != 1 || change.Add[0] != want || len(change.Delete) != 0 {
		t.Errorf("change %+v, want %s again", change, want)
	}
	if change, _ := flows.Diff(slices.Values([]flows.Flow(nil)), list); len(change.Delete) != 1 || change.Delete[0] != want.Key {
		t.Errorf("change %+v, want the delete of %s", change, want.Key)
	}
}

// A flow with ovsnet's cookie and a match that ovsnet never makes is none of the desired ones.
func TestOwnFlowWithUnknownMatchIsEvicted(t *testing.T) {
	list, err := flows.ParseDump(strings.NewReader(strings.Replace(unknownField, "%s", "6f76030000000001", 1)))
	if err != nil || len(list) != 1 {
		t.Fatalf("read %+v, %v", list, err)
	}
	change, foreign := flows.Diff(slices.Values([]flows.Flow{{}}), list)
	if len(change.Evict) != 1 || len(change.Delete) != 0 || len(foreign) != 0 {
		t.Fatalf("change %+v, foreign %v", change, foreign)
	}
	var text strings.Builder
	if err := (flows.Delta{Evict: change.Evict}).WriteBundle(&text); err != nil {
		t.Fatal(err)
	}
	const want = "flow delete_strict cookie=0x6f76030000000001/-1,table=99,priority=7,ct_state=+trk,ip\n"
	if text.String() != want {
		t.Errorf("wrote %q, want %q", text.String(), want)
	}
}

func TestLineThatIsNoFlowIsAnError(t *testing.T) {
	for _, line := range []string{
		strings.Replace(unknownField, "%s", "zz", 1), strings.Replace(unknownField, "cookie=0x%s, ", "", 1),
		"cookie=0x1, table=300, actions=drop", "cookie=0x1, duration=1s, ct_state=+trk",
	} {
		_, err := flows.ParseDump(strings.NewReader(line))
		var syntax *flows.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q: error %v, want a *SyntaxError", line, err)
		}
	}
}

// Whatever a dump holds, no flow is lost: each line is read, kept as it is, or the error.
func FuzzParseDump(f *testing.F) {
	f.Add("cookie=0x6f76030000000001, table=0, priority=0 actions=drop\ncookie=0x1, ct_state=+trk actions=ct(commit)")
	f.Add("cookie=0x1, actions=learn(table=2,NXM_OF_ETH_SRC[])\nOFPST_FLOW reply (OF1.5) (xid=0x2):")
	f.Fuzz(func(t *testing.T, dump string) {
		list, err := flows.ParseDump(strings.NewReader(dump))
		if err != nil {
			return
		}
		lines := 0
		for line := range strings.Lines(dump) {
			if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "OFPST_FLOW reply (") && !strings.HasPrefix(text, "NXST_FLOW reply (") {
				lines++
			}
		}
		if len(list) > lines {
			t.Errorf("%d flows of %d lines", len(list), lines)
		}
		for _, installed := range list {
			if installed.Unread == nil && installed.Raw != "" || strings.ContainsAny(installed.Raw, " \n") {
				t.Errorf("%+v has a match that was not read, %q", installed, installed.Raw)
			}
		}
	})
}

// A flow that cannot be read is the same when it has counted more: an agent that holds two dumps against each other
// would else find a new one every time.
func TestUnreadFlowWithoutItsCounters(t *testing.T) {
	for _, stats := range []string{"duration=1.5s, table=60, n_packets=1, n_bytes=1, idle_age=1, ", "duration=2.5s, table=60, n_packets=7, n_bytes=98, idle_age=0, hard_age=9, "} {
		list, err := flows.ParseDump(strings.NewReader(" cookie=0x9, " + stats + "idle_timeout=5, priority=7,ct_state=+new actions=ct(commit)"))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := list[0].String(), "cookie=0x9, table=60, idle_timeout=5, priority=7,ct_state=+new actions=ct(commit)"; got != want {
			t.Errorf("it is %s, want %s", got, want)
		}
	}
}
