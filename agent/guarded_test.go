package agent

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// A host may boot while etcd or Open vSwitch is away, and its containers with it.
func TestGuardNeedsNeitherEtcdNorOVS(t *testing.T) {
	for _, broken := range []string{"", "ensure"} {
		s := newScene(t)
		s.host.failing(broken, errors.New("away"))
		s.host.mu.Lock()
		s.host.links["ovsn0000000000a"] = Link{Name: "ovsn0000000000a"}
		s.host.mu.Unlock()
		s.loop.Wake()
		s.soon("the host is guarded, and the link that is there", func(h *fakeHost) bool {
			return slices.Equal(h.guarded, []string{"ovsn0000000000a"}) && h.vteps == nil
		})
	}
}

// A container whose endpoint's record went still holds its link.
func TestEveryLinkOfOursIsGuarded(t *testing.T) {
	s := newScene(t)
	s.settle()
	s.host.mu.Lock()
	s.host.links["ovsn0000000000a"] = Link{Name: "ovsn0000000000a"}
	s.host.mu.Unlock()
	s.loop.Wake()
	s.soon("both links are guarded", func(h *fakeHost) bool { return len(h.guarded) == 2 && slices.Contains(h.guarded, "ovsn0000000000a") })
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	if len(s.host.bare) > 0 {
		t.Errorf("ports were made before their links were guarded: %v", s.host.bare)
	}
}

func TestGuardKnowsTheHosts(t *testing.T) {
	s := newScene(t)
	s.settle()
	s.soon("the hosts' VTEPs", func(h *fakeHost) bool {
		return slices.Equal(h.vteps, []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")})
	})
	s.edit.SetNode(overlay.Node{Name: "h3", VTEPs: []netip.Addr{netip.MustParseAddr("192.0.2.3")}})
	s.show()
	s.soon("another host's VTEP", func(h *fakeHost) bool { return len(h.vteps) == 3 })
}

// Nobody joins unguarded, and that is all that a filter which cannot be had costs.
func TestFailingGuardFailsNoRound(t *testing.T) {
	s := newScene(t)
	s.host.failing("guard", errors.New("the kernel lacks a part"))
	e := s.put("e1", "h1", true)
	s.show()
	s.eventually("the flows are there, and the reason", func(state State) bool {
		return state.Err == nil && state.Unguarded != nil && state.Ports["e1"].OFPort > 0
	})
	status := NewStatus(Facts{}, s.loop.State())
	if status.Ready || !strings.Contains(strings.Join(status.Reasons, ";"), "packet filter: the kernel lacks a part") || status.Round.Error != "" {
		t.Errorf("status %+v", status)
	}
	if missing, err := s.loop.State().missing(e, 0); err != nil || !strings.Contains(missing, "packet filter") {
		t.Errorf("the container misses %q, %v", missing, err)
	}
	s.host.mu.Lock()
	delete(s.host.broken, "guard")
	s.host.mu.Unlock()
	if err := s.wait(e); err != nil {
		t.Errorf("when it is mended: %v", err)
	}
	if state := s.loop.State(); state.Failures > 0 || state.Unguarded != nil {
		t.Errorf("afterwards: %d failures, unguarded %v", state.Failures, state.Unguarded)
	}
}

// What failed waits for its time, and costs no look at the flows, unless there is something new to guard.
func TestFailedGuardWaits(t *testing.T) {
	h := newFakeHost()
	h.failing("guard", errors.New("no"))
	l := NewLoop(config(), h.parts())
	l.guarded.retry = persistent(time.Hour, time.Hour) // longer than this test
	l.offered = View{Snapshot: begin().Snapshot(), Connected: true, Cluster: "here"}
	turn := func(want int) {
		t.Helper()
		l.todo.ports = true
		l.accept(h.standing)
		if next := l.reconcile(t.Context()); next <= 0 || next > time.Until(l.guarded.again)+time.Second {
			t.Errorf("the next round is due in %s", next)
		}
		count := 0
		for _, what := range h.asked {
			if what == "guard" {
				count++
			}
		}
		if count != want || h.dumps > 1 {
			t.Errorf("asked %d times, want %d, and %d dumps", count, want, h.dumps)
		}
	}
	turn(1)
	turn(1)
	h.links["ovsn0000000000a"] = Link{Name: "ovsn0000000000a"}
	turn(2)
	turn(2)
	l.guarded.again = time.Now().Add(-time.Second)
	turn(3)
}

// A round looks at the filter only where links or hosts are others than before, or where it is to compare.
func TestGuardIsAskedWhereSomethingIsNew(t *testing.T) {
	h := newFakeHost()
	l := NewLoop(config(), h.parts())
	edit := begin()
	l.offered = View{Snapshot: edit.Snapshot(), Connected: true, Cluster: "here"}
	const name = "ovsn0000000000a"
	for _, turn := range []struct {
		why  string
		prep func()
		want int
	}{
		{"the start", func() {}, 1},
		{"a look at ports alone", func() { l.todo.ports = true }, 0},
		{"a link that came", func() { h.links[name] = Link{Name: name, Index: 7}; l.todo.ports = true }, 1},
		{"the same links", func() { l.todo.ports = true }, 0},
		{"a link made anew", func() { h.links[name] = Link{Name: name, Index: 8}; l.todo.ports = true }, 1},
		{"a link that went", func() { delete(h.links, name); l.todo.ports = true }, 1},
		{"the timer", func() { l.todo.ports, l.todo.audit = true, true }, 1},
		{"a full comparison", func() { l.todo.full = true }, 1},
		{"a host that came", func() {
			edit.SetNode(overlay.Node{Name: "h3", VTEPs: []netip.Addr{netip.MustParseAddr("192.0.2.3")}})
			l.offered.Snapshot = edit.Snapshot()
		}, 1},
	} {
		turn.prep()
		h.asked = nil
		l.accept(h.standing)
		l.reconcile(t.Context())
		if got := len(slices.DeleteFunc(h.asked, func(what string) bool { return what != "guard" })); got != turn.want {
			t.Errorf("%s: asked %d times, want %d", turn.why, got, turn.want)
		}
	}
}

func TestDropsAreToldWhileTheyRise(t *testing.T) {
	var d Drops
	start := time.Unix(1000, 0)
	for _, step := range []struct {
		after   time.Duration
		counter uint64
		want    uint64
	}{
		{0, 7, 0}, // from before this agent
		{time.Minute, 7, 0},
		{2 * time.Minute, 10, 3},
		{2*time.Minute + time.Second, 10, 3},
		{3 * time.Minute, 12, 5},
		{4 * time.Minute, 1, 6}, // renewed
		{6 * time.Minute, 1, 6},
		{7 * time.Minute, 1, 0},
		{8 * time.Minute, 2, 1},
	} {
		d.look(step.counter, start.Add(step.after), 2*time.Minute)
		if d.Packets != step.want {
			t.Errorf("after %s with the counter at %d: %d packets, want %d", step.after, step.counter, d.Packets, step.want)
		}
	}
	status := NewStatus(Facts{}, State{Drops: d})
	if len(status.Problems) != 1 || !strings.Contains(status.Problems[0].Reason, "dropped 1 tunnel packets for this host in 1m0s") {
		t.Errorf("problems %v", status.Problems)
	}
}
