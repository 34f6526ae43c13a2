package agent

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

func conflict() error {
	return overlay.Refuse(overlay.Conflict, `node "h9"`, "", "the VTEP is another's")
}

func TestHeldBack(t *testing.T) {
	lost, away := errors.New("it is empty"), overlay.Refuse(overlay.Unavailable, "etcd", "", "away")
	for name, test := range map[string]struct {
		view     View
		standing Standing
		cluster  string
		held     bool
	}{
		"taking part":                 {View{Cluster: "a"}, Standing{Joined: true}, "a", false},
		"first time":                  {View{Cluster: "a"}, Standing{Joined: true}, "", false},
		"etcd is away":                {View{Cluster: "a"}, Standing{Joined: true, Blocked: away}, "a", false},
		"never joined":                {View{Cluster: "a"}, Standing{Blocked: away}, "a", true},
		"refused":                     {View{Cluster: "a"}, Standing{Blocked: conflict()}, "a", true},
		"refused later":               {View{Cluster: "a"}, Standing{Joined: true, Blocked: conflict()}, "a", true},
		"gone from etcd":              {View{Cluster: "a"}, Standing{Joined: true, Blocked: overlay.Refuse(overlay.Missing, "node", "", "gone")}, "a", true},
		"unfit":                       {View{Cluster: "a"}, Standing{Joined: true, Blocked: overlay.Refuse(overlay.Invalid, "node", "", "unfit")}, "a", true},
		"not in time":                 {View{Cluster: "a"}, Standing{Joined: true, Blocked: context.DeadlineExceeded}, "a", false},
		"another cluster":             {View{Cluster: "b"}, Standing{Joined: true}, "a", true},
		"a cluster without a name":    {View{}, Standing{Joined: true}, "a", true},
		"a cluster that lost its all": {View{Cluster: "a", Lost: lost}, Standing{Joined: true}, "a", true},
	} {
		if err := heldBack(test.view, test.standing, test.cluster); (err != nil) != test.held {
			t.Errorf("%s: %v, want held back: %v", name, err, test.held)
		}
	}
}

// A host that is refused, or whose etcd is another, keeps all it has, and goes on by itself afterwards.
func TestFrozenHostKeepsWhatItHas(t *testing.T) {
	for name, test := range map[string]struct {
		standing Standing
		cluster  string
		lost     error
	}{
		"refused":         {Standing{Joined: true, Blocked: conflict()}, "here", nil},
		"another cluster": {Standing{Joined: true}, "elsewhere", nil},
		"lost":            {Standing{Joined: true}, "here", errors.New("etcd is empty")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.settle()
			s.installed()
			s.host.mu.Lock()
			table, ports := maps.Clone(s.host.table), maps.Clone(s.host.ports)
			s.host.mu.Unlock()
			s.host.stand(test.standing)
			kept := s.edit
			s.edit = overlay.NewSnapshot().Edit()
			s.showFrom(test.cluster, test.lost)
			s.eventually("the view is held", func(state State) bool { return state.Held != nil })
			// The first that ends may have begun before.
			for range 2 {
				woken := time.Now()
				s.loop.Wake()
				s.eventually("a later round", func(state State) bool { return state.At.After(woken) && state.Err == nil })
			}
			s.host.mu.Lock()
			sameTable := maps.EqualFunc(table, s.host.table, func(a, b flows.Installed) bool { return a.Flow == b.Flow })
			samePorts := maps.Equal(ports, s.host.ports)
			s.host.mu.Unlock()
			if !sameTable || !samePorts {
				t.Error("flows or ports changed")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := s.loop.WaitEndpoint(ctx, overlay.Endpoint{ID: "new", Network: "n1"}, 0); err == nil {
				t.Error("an endpoint got ready on a frozen host")
			}
			s.edit = kept
			s.host.stand(Standing{Joined: true})
			s.put("e2", "h2", false)
			s.show()
			s.eventually("the host goes on", func(state State) bool { return state.Held == nil && state.Applied != nil && state.Err == nil })
			s.installed()
		})
	}
}

// Before the host has joined once it does nothing but bridge and tunnel, also when its own endpoints are there already.
func TestNothingIsPlannedBeforeTheHostJoined(t *testing.T) {
	s := newScene(t)
	s.host.stand(Standing{Blocked: conflict()})
	s.host.mu.Lock()
	s.host.ports["ovsn00000000001"] = Port{Name: "ovsn00000000001", Endpoint: "old", Network: "n1", OFPort: 7}
	s.host.mu.Unlock()
	e := s.put("e1", "h1", true)
	s.show()
	s.eventually("the view is held", func(state State) bool { return state.Held != nil })
	s.host.mu.Lock()
	if len(s.host.ports) != 1 || s.host.applies != 0 {
		t.Errorf("a host that never joined has ports %v and installed flows %d times", s.host.ports, s.host.applies)
	}
	s.host.mu.Unlock()
	s.host.stand(Standing{Joined: true})
	if err := s.wait(e); err != nil {
		t.Fatal(err)
	}
	s.installed()
}

// The end of what held a view back is reason enough to act on it: nothing else may happen for hours.
func TestJoiningWakesTheLoop(t *testing.T) {
	s := newScene(t)
	s.host.stand(Standing{Blocked: conflict()})
	s.put("e1", "h1", true)
	s.show()
	s.eventually("the view is held", func(state State) bool { return state.Held != nil && s.loop.State().Drift.Watching })
	s.quiet()
	s.host.stand(Standing{Joined: true})
	s.installed()
}

// An etcd that holds another cluster has shown no snapshot yet, and is not merely silent.
func TestLostIsToldBeforeAnySnapshot(t *testing.T) {
	s := newScene(t)
	s.host.views <- View{Connected: true, Lost: errors.New("it holds no cluster")}
	s.eventually("the reason is told", func(state State) bool { return state.Held != nil })
}

// etcd may take its time to release an endpoint: rounds go on, and containers start.
func TestReleaseHoldsUpNothing(t *testing.T) {
	s := newScene(t)
	s.host.mu.Lock()
	s.host.stuck = make(chan struct{})
	s.host.mu.Unlock()
	defer close(s.host.stuck)
	s.put("e1", "h1", false)
	s.show()
	s.soon("the release began", func(h *fakeHost) bool { return len(h.deleted) > 0 })
	e := s.put("e2", "h1", true)
	s.show()
	if err := s.wait(e); err != nil {
		t.Fatal(err)
	}
}

// Nor may the ways to peers.
func TestResolvingHoldsUpNothing(t *testing.T) {
	s := newScene(t)
	s.host.mu.Lock()
	s.host.stuck = make(chan struct{})
	s.host.mu.Unlock()
	defer close(s.host.stuck)
	s.put("far", "h2", false)
	s.put("e1", "h1", true)
	s.show()
	s.soon("resolving began", func(h *fakeHost) bool { return len(h.resolved) > 0 })
	e := s.put("e2", "h1", true)
	s.show()
	if err := s.wait(e); err != nil {
		t.Fatal(err)
	}
}

func TestReleaseIsTriedAgain(t *testing.T) {
	s := newScene(t)
	s.host.failing("release", errors.New("etcd is away"))
	s.put("e1", "h1", false)
	s.show()
	s.eventually("the failure shows", func(state State) bool {
		s.loop.Wake()
		return len(state.Problems) == 1 && strings.Contains(state.Problems[0].Reason, "etcd is away")
	})
	s.host.mu.Lock()
	delete(s.host.broken, "release")
	s.host.mu.Unlock()
	s.soon("release", func(h *fakeHost) bool { return len(h.deleted) > 0 })
}

func TestRefusedPortIsItsEndpointsProblem(t *testing.T) {
	s := newScene(t)
	s.host.mu.Lock()
	s.host.refused["bad"] = "port ovsn is somebody else's"
	s.host.mu.Unlock()
	bad, good := s.put("bad", "h1", true), s.put("good", "h1", true)
	s.show()
	if err := s.wait(good); err != nil {
		t.Errorf("the other endpoint: %v", err)
	}
	if err := s.wait(bad); err == nil || !strings.Contains(err.Error(), "somebody else's") {
		t.Errorf("error %v, want the refusal", err)
	}
}

// Without its packet filter a host takes no new container, but what runs has its flows.
func TestWithoutGuardNoContainerJoins(t *testing.T) {
	s := newScene(t)
	s.host.failing("guard", errors.New("nft is not there"))
	e := s.put("e1", "h1", true)
	s.show()
	s.soon("flows are installed", func(h *fakeHost) bool { return len(h.table) > 10 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.loop.WaitEndpoint(ctx, e, 0); err == nil || !strings.Contains(err.Error(), "nft is not there") {
		t.Errorf("error %v, want the packet filter's", err)
	}
	s.host.mu.Lock()
	delete(s.host.broken, "guard")
	s.host.mu.Unlock()
	if err := s.wait(e); err != nil {
		t.Fatal(err)
	}
	s.soon("the link is guarded", func(h *fakeHost) bool { return len(h.guarded) == 1 && h.guarded[0] == e.PortName() })
}
