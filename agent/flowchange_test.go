package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// Who watches is told every change, by whom it was, and what the flow is for, also once it is gone.
func TestWatchTellsWhoAndWhatFor(t *testing.T) {
	s := newScene(t)
	s.host.mu.Lock()
	s.host.events = s.loop.drift.tell
	s.host.mu.Unlock()
	s.settle()
	s.loop.drift.tell(flows.Event{Kind: flows.Began})
	enough := errors.New("enough")
	var got []string
	watched := make(chan error, 1)
	go func() {
		watched <- s.loop.Watch(t.Context(), func(c FlowChange) error {
			got = append(got, fmt.Sprintf("%s %s %s: %s", c.By, c.Change, c.TableName, c.Reason))
			if len(got) == 11 {
				return enough
			}
			return nil
		})
	}()
	s.soon("the watch", func(*fakeHost) bool {
		s.loop.drift.mu.Lock()
		defer s.loop.drift.mu.Unlock()
		return len(s.loop.drift.audience.listeners) == 1
	})
	s.put("e2", "h2", false)
	s.show()
	s.installed()
	var f flows.Installed
	s.host.mu.Lock()
	for _, installed := range s.host.table {
		if flows.RuleOf(installed.Cookie) == flows.ToLocal {
			f = installed
		}
	}
	s.host.drop(f.Key)
	s.host.mu.Unlock()
	s.installed()
	s.host.mu.Lock()
	f.Cookie = 5
	s.host.put(flows.Added, f)
	s.host.put(flows.Added, flows.Installed{Flow: flows.Flow{Key: flows.Key{Table: 3}, Cookie: 5}})
	s.host.told(flows.Event{Kind: flows.Missed})
	s.host.mu.Unlock()
	s.quiet()
	s.edit.DeleteEndpoint("n1", "e2")
	s.show()
	select {
	case err := <-watched:
		if !errors.Is(err, enough) {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatalf("told only %q", got)
	}
	slices.Sort(got[:3]) // one bundle
	slices.Sort(got[9:])
	want := []string{
		"ovsnet added ArpResponder: ARP answer for e2 (10.0.0.3) in web, on h2",
		"ovsnet added Flood: copies of what endpoints here broadcast in web",
		"ovsnet added Forward: through the tunnel to e2 (10.0.0.3) in web, on h2",
		"other removed Forward: delivery to e1 (10.0.0.2) in web, on h1",
		"ovsnet added Forward: delivery to e1 (10.0.0.2) in web, on h1",
		"other altered Forward: delivery to e1 (10.0.0.2) in web, on h1",
		"other added 3: not ovsnet's",
		" missed : OVS left changes out; all flows are compared",
		"ovsnet added Forward: delivery to e1 (10.0.0.2) in web, on h1",
		"ovsnet removed ArpResponder: ARP answer for e2 (10.0.0.3) in web, on h2",
		"ovsnet removed Forward: through the tunnel to e2 (10.0.0.3) in web, on h2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +told)\n%s", diff)
	}
}

// Who does not take what he is told holds up nobody, and is told how much he missed.
func TestSlowListenerHoldsUpNobody(t *testing.T) {
	d := newDrift()
	d.tell(flows.Event{Kind: flows.Began})
	l := d.listen()
	for n := range maxWaiting + 7 {
		d.tell(flows.Event{Kind: flows.Added, Flow: flows.Installed{Flow: flows.Flow{Key: flows.Key{Table: 3}, Cookie: uint64(n)}}})
	}
	if lost := d.takeLost(l); lost != 7 || d.takeLost(l) != 0 {
		t.Errorf("lost %d, want 7 once", lost)
	}
	d.leave(l)
	if d.tell(flows.Event{Kind: flows.Missed}); len(l.changes) != maxWaiting {
		t.Error("who left is told more")
	}
}

// While ovs-vswitchd is away nobody tells of changes. Who watches is told that, and is not
// left to think that there are none.
func TestWatchTellsWhatIsNotSeen(t *testing.T) {
	d := newDrift()
	p := purposes{loop: NewLoop(config(), newFakeHost().parts()), at: map[flows.Where]flows.Why{}}
	early := d.listen()
	d.tell(flows.Event{Kind: flows.Began})
	d.tell(flows.Event{Kind: flows.Began})
	d.ended()
	d.ended()
	late := d.listen()
	d.tell(flows.Event{Kind: flows.Began})
	for l, want := range map[*listener][]string{early: {unseenNow, seenFromIt, unseenNow, seenFromIt}, late: {unseenNow, seenFromIt}} {
		var got []string
		for len(l.changes) > 0 {
			c := p.describe(<-l.changes)
			if got = append(got, c.Reason); c.Change != "missed" || c.By != "" || c.At.IsZero() {
				t.Errorf("told as %+v", c)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +told)\n%s", diff)
		}
	}
}

// A watch ends with its context.
func TestWatchEndsWithItsContext(t *testing.T) {
	s := newScene(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.loop.Watch(ctx, func(FlowChange) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// Beside a flow of ours somebody may have his own, of the same match at another priority: OVS tells no priorities.
func TestWhatIsRemovedIsJudgedByItsCookie(t *testing.T) {
	why := flows.Why{Rule: flows.ToLocal, Network: "n1", Endpoint: "e1", Node: "h1"}
	removed := func(cookie uint64) flows.Event {
		return flows.Event{Kind: flows.Removed, Reason: "delete", Flow: flows.Installed{Flow: flows.Flow{Key: flows.Key{Table: flows.Forward}, Cookie: cookie}}}
	}
	p := purposes{loop: NewLoop(config(), newFakeHost().parts()), at: map[flows.Where]flows.Why{}}
	p.at[removed(0).Flow.Where()] = why
	ours := flows.Reason(flows.Flow{Why: why}, overlay.NewSnapshot())
	for _, tt := range []struct {
		change
		want string
	}{
		{change{event: removed(5)}, "other foreign: not ovsnet's"},
		{change{event: removed(5), own: true}, "ovsnet foreign: not ovsnet's"},
		{change{event: removed(why.Cookie())}, "other to-local: " + ours},
		{change{event: removed(why.Cookie()), own: true}, "ovsnet to-local: " + ours},
	} {
		c := p.describe(tt.change)
		if got := fmt.Sprintf("%s %s: %s", c.By, c.Rule, c.Reason); got != tt.want {
			t.Errorf("%+v\nis told as %q, want %q", tt.change, got, tt.want)
		}
	}
	if len(p.at) > 0 {
		t.Errorf("%v is remembered, and nothing is wanted", p.at)
	}
}
