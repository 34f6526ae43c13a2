package ofctl_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/ofctl"
)

// freeze stops ovs-vswitchd until thaw or the end of the test.
func (s *realSwitch) freeze() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
}

func (s *realSwitch) thaw() {
	s.t.Helper()
	s.signal(syscall.SIGCONT)
}

func (s *realSwitch) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.vswitchd.process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// children lists the processes that this one started, dead ones too, as
// "PID name".
func children(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		name, rest, _ := strings.Cut(string(stat), ") ")
		var state string
		var parent int
		if _, err := fmt.Sscan(rest, &state, &parent); err == nil && parent == os.Getpid() {
			found = append(found, strings.Replace(name, "(", "", 1))
		}
	}
	return found
}

// watching starts a Watch and waits until it began.
func (s *realSwitch) watching(ctx context.Context, t *testing.T) (<-chan error, *record) {
	t.Helper()
	ended, seen := make(chan error, 1), &record{}
	go func() { ended <- s.client.Watch(ctx, seen.add) }()
	s.eventually("the monitor", func() bool { return seen.count(flows.Began) == 1 })
	return ended, seen
}

// record keeps what a Watch tells.
type record struct {
	mu     sync.Mutex
	events []flows.Event
}

func (r *record) add(e flows.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *record) all() []flows.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *record) count(kind flows.EventKind) int {
	n := 0
	for _, e := range r.all() {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// Each change is told as it was made, whoever made it and in whatever words.
func TestWatchTellsChanges(t *testing.T) {
	s := newSwitch(t)
	desired := s.apply(world())
	_, seen := s.watching(call(t), t)
	f := desired[len(desired)/2]
	changed := f
	changed.Actions = flows.NewActions(flows.Output(7))
	s.do(flows.Delta{Add: []flows.Flow{changed}})
	s.run("ovs-ofctl", "-O", "OpenFlow15", "mod-flows", bridge, fmt.Sprintf("%s,actions=output:8", f.Where()))
	s.do(flows.Delta{Delete: []flows.Key{f.Key}})
	const theirs = "table=3,priority=7,ct_state=+trk,ip"
	s.run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", bridge, "cookie=7,"+theirs+",actions=ct(commit)")
	s.eventually("the last event", func() bool { return seen.count(flows.Added) == 2 })
	theirFlow := seen.all()[4].Flow
	at, err := s.client.DumpAt(call(t), theirFlow.Where())
	if err != nil || len(at) != 1 || at[0].Cookie != 7 || at[0].Priority != 7 || at[0].Raw != "ct_state=+trk,ip" {
		t.Fatalf("at %s there is %+v, %v", theirFlow.Where(), at, err)
	}
	at[0].Cookie = 8
	s.do(flows.Delta{Evict: at})
	at[0].Cookie = 7
	s.do(flows.Delta{Evict: at})
	s.eventually("the eviction", func() bool { return seen.count(flows.Removed) == 2 })
	var got []string
	for _, e := range seen.all()[1:] {
		got = append(got, fmt.Sprintf("%s %#x %s %s", e.Kind, e.Flow.Cookie, e.Flow.Where(), e.Flow.Actions))
	}
	want := []string{
		fmt.Sprintf("added %#x %s output:7", f.Cookie, f.Where()), fmt.Sprintf("altered %#x %s output:8", f.Cookie, f.Where()),
		fmt.Sprintf("removed %#x %s output:8", f.Cookie, f.Where()), "added 0x7 table=3,ct_state=+trk,ip drop", "removed 0x7 table=3,ct_state=+trk,ip drop",
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n%q\nwant\n%q", got, want)
	}
}

// ovs-ofctl drops what comes before the switch answered its last request, and so a
// monitor that ends there never began.
func TestWatchBeganOnlyWhenNothingIsDropped(t *testing.T) {
	s := newSwitch(t)
	const barrier = 20 // OpenFlow 1.5, 7.1.1
	dir, _ := s.relay(barrier)
	client := ofctl.New(ofctl.Config{Bridge: bridge, RunDir: dir})
	seen := &record{}
	if err := client.Watch(call(t), seen.add); err == nil {
		t.Error("the monitor outlived its connection")
	}
	if all := seen.all(); len(all) > 0 {
		t.Errorf("told %+v", all)
	}
}

// What is at a place is what the whole dump has there.
func TestDumpAt(t *testing.T) {
	s := newSwitch(t)
	desired := s.apply(world())
	for _, f := range desired {
		list, err := s.client.DumpAt(call(t), f.Where())
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != 1 || list[0].Flow != (flows.Flow{Key: f.Key, Actions: f.Actions, Cookie: f.Cookie}) {
			t.Errorf("at %s there is %v, want %s", f.Where(), list, f)
		}
	}
}

// A monitor that falls behind says so, and goes on.
func TestWatchThatFallsBehind(t *testing.T) {
	s := newSwitch(t)
	block := make(chan struct{})
	seen := &record{}
	go func() {
		_ = s.client.Watch(call(t), func(e flows.Event) {
			if seen.add(e); e.Kind == flows.Added {
				<-block
			}
		})
	}()
	s.eventually("the monitor", func() bool { return seen.count(flows.Began) == 1 })
	change := flows.Delta{}
	for n := range 20000 {
		change.Add = append(change.Add, flows.Flow{Key: flows.Key{Table: 3, Match: flows.NewMatch(flows.Exact(flows.Metadata, flows.Number(uint64(n+1))))}})
	}
	for range 3 {
		s.do(change)
	}
	close(block)
	s.eventually("word of what was left out", func() bool { return seen.count(flows.Missed) >= 2 })
}

func TestWatchEndsWithVswitchd(t *testing.T) {
	s := newSwitch(t)
	before := len(children(t))
	ended, _ := s.watching(call(t), t)
	s.vswitchd.end()
	s.returns(ended, func(err error) bool { return err != nil })
	if left := children(t); len(left) != before-1 {
		t.Errorf("processes are left: %v", left)
	}
	s.startVswitchd()
	s.eventually("the bridge", func() bool { _, err := s.client.Dump(call(t)); return err == nil })
	s.watching(call(t), t)
}

func TestWatchEndsWithTheBridge(t *testing.T) {
	s := newSwitch(t)
	ended, _ := s.watching(call(t), t)
	s.vsctl("del-br", bridge)
	s.returns(ended, func(err error) bool { return err != nil })
}

func TestWatchEndsWithItsContext(t *testing.T) {
	s := newSwitch(t)
	before := children(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended, _ := s.watching(ctx, t)
	cancel()
	s.returns(ended, func(err error) bool { return err == nil })
	if left := children(t); !slices.Equal(left, before) {
		t.Errorf("processes before %v, after %v", before, left)
	}
}

// returns fails unless the Watch ends in that way.
func (s *realSwitch) returns(ended <-chan error, right func(error) bool) {
	s.t.Helper()
	var err error
	s.eventually("the end of Watch", func() bool {
		select {
		case err = <-ended:
			return true
		default:
			return false
		}
	})
	if !right(err) {
		s.t.Errorf("Watch ended with %v", err)
	}
}
