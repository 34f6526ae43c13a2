package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// scene is a running loop on a fake host.
type scene struct {
	*testing.T
	host *fakeHost
	loop *Loop
	edit *overlay.Editor
	next int64
}

func newScene(t *testing.T) *scene {
	t.Helper()
	return newSceneOn(t, newFakeHost())
}

func newSceneOn(t *testing.T, h *fakeHost) *scene {
	t.Helper()
	return newSceneWith(t, h, config())
}

func newSceneWith(t *testing.T, h *fakeHost, cfg Config) *scene {
	t.Helper()
	loop := NewLoop(cfg, h.parts())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); loop.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return &scene{T: t, host: h, loop: loop, edit: begin()}
}

// A round that was given too little time is given more, and not the same for ever.
func TestLateRoundsGetMoreTime(t *testing.T) {
	h := newFakeHost()
	h.needs = 3 * config().RoundTimeout
	s := newSceneOn(t, h)
	e := s.put("e1", "h1", true)
	s.show()
	if err := s.wait(e); err != nil {
		t.Fatal(err)
	}
}

// config is how the loops under test run.
func config() Config {
	return Config{
		Node: "h1", Grace: 50 * time.Millisecond, FullEvery: time.Hour, RoundTimeout: 5 * time.Second,
		Route:  func(n overlay.Node) (netip.Addr, bool) { return n.VTEP(), n.VTEP().IsValid() },
		Logger: slog.New(slog.DiscardHandler),
	}
}

// begin is a cluster of two hosts and a network.
func begin() *overlay.Editor {
	edit := overlay.NewSnapshot().Edit()
	for i, name := range []string{"h1", "h2"} {
		edit.SetNode(overlay.Node{Name: name, VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}})
	}
	edit.SetNetwork(overlay.Network{ID: "n1", Name: "web", VNI: 4096, Subnets: []overlay.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/24")}}})
	return edit
}

// put writes an endpoint; link gives it a link on this host.
func (s *scene) put(id, node string, link bool) overlay.Endpoint {
	s.next++
	addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(s.next + 1)})
	e := overlay.Endpoint{ID: id, Network: "n1", Node: node, MAC: overlay.MACFromAddr(addr), IPv4: addr, Revision: s.next}
	s.edit.SetEndpoint(e)
	if link {
		s.host.mu.Lock()
		s.host.links[e.PortName()] = Link{Name: e.PortName()}
		s.host.mu.Unlock()
	}
	return e
}

func (s *scene) show() {
	s.showFrom("here", nil)
}

// showFrom shows the snapshot as that cluster's.
func (s *scene) showFrom(cluster string, lost error) {
	s.host.views <- View{Snapshot: s.edit.Snapshot(), Connected: true, Cluster: cluster, Lost: lost}
}

// Who joins when all is there has no round made for it.
func TestWaitEndpointWakesOnlyForWhatIsMissing(t *testing.T) {
	h := newFakeHost()
	l := NewLoop(config(), h.parts())
	s := &scene{T: t, host: h, loop: l, edit: begin()}
	e := s.put("e1", "h1", true)
	l.offered = View{Snapshot: s.edit.Snapshot(), Connected: true, Cluster: "here"}
	l.accept(h.standing)
	l.reconcile(t.Context())
	if err := s.wait(e); err != nil || len(l.board.wakes) > 0 {
		t.Errorf("%v, and the loop is woken %d times", err, len(l.board.wakes))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.WaitEndpoint(ended, s.put("e2", "h1", true), 0); err == nil || len(l.board.wakes) == 0 {
		t.Errorf("%v, and the loop is not woken for what is missing", err)
	}
}

// Who joins with a link that was made anew waits until that one is guarded.
func TestWaitEndpointForALinkMadeAnew(t *testing.T) {
	s := newScene(t)
	e := s.put("e1", "h1", true)
	s.show()
	if err := s.wait(e); err != nil {
		t.Fatal(err)
	}
	s.quiet()
	const index = 8
	s.host.mu.Lock()
	s.host.links[e.PortName()] = Link{Name: e.PortName(), Index: index}
	s.host.asked = nil
	s.host.mu.Unlock()
	if err := s.loop.WaitEndpoint(t.Context(), e, index); err != nil {
		t.Fatal(err)
	}
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	if !slices.Contains(s.host.asked, "guard") {
		t.Errorf("a link that nobody guards is given to the container; asked %v", s.host.asked)
	}
}

// sceneTime is longer than the loop waits before it tries again what failed a few times.
const sceneTime = 30 * time.Second

func (s *scene) wait(e overlay.Endpoint) error {
	ctx, cancel := context.WithTimeout(s.Context(), sceneTime)
	defer cancel()
	return s.loop.WaitEndpoint(ctx, e, 0)
}

// settle brings up one endpoint on this host, and waits until it is ready and the round of the monitor's beginning is over.
func (s *scene) settle() {
	s.Helper()
	e := s.put("e1", "h1", true)
	s.show()
	if err := s.wait(e); err != nil {
		s.Fatal(err)
	}
	s.quiet()
}

// eventually polls at every published state.
func (s *scene) eventually(what string, ok func(State) bool) {
	s.Helper()
	deadline := time.After(sceneTime)
	for {
		state, changed := s.loop.board.look()
		if ok(state) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			s.Fatalf("%s: not in time; error %v, ports %v, problems %v", what, state.Err, state.Ports, state.Problems)
		}
	}
}

// soon polls the fake host.
func (s *scene) soon(what string, ok func(*fakeHost) bool) {
	s.Helper()
	deadline := time.After(sceneTime)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s.host.mu.Lock()
		done := ok(s.host)
		s.host.mu.Unlock()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.Fatalf("%s: not in time", what)
		}
	}
}

// quiet waits until no round was made for a while.
func (s *scene) quiet() {
	for {
		_, changed := s.loop.board.look()
		select {
		case <-changed:
		case <-time.After(300 * time.Millisecond):
			return
		}
	}
}

// installed compares the fake's table with a compile from scratch.
func (s *scene) installed() {
	s.Helper()
	s.installedBeside()
}

// installedBeside is installed where these are there, too.
func (s *scene) installedBeside(others ...flows.Installed) {
	s.Helper()
	s.eventually("flows as compiled", func(state State) bool {
		if state.Applied == nil || state.Err != nil {
			return false
		}
		want := flows.Compile(s.edit.Snapshot(), flows.Host{Node: "h1", Tunnel: 1, Ports: state.Ports}, s.loop.cfg.Route)
		s.host.mu.Lock()
		defer s.host.mu.Unlock()
		return len(want)+len(others) == len(s.host.table) && !slices.ContainsFunc(want, func(f flows.Flow) bool {
			got, ok := s.host.table[f.Key]
			return !ok || got.Actions != f.Actions
		})
	})
}

func TestEndpointIsReadyWhenItsFlowsAre(t *testing.T) {
	s := newScene(t)
	e := s.put("e1", "h1", true)
	s.put("e2", "h2", false)
	s.show()
	if err := s.wait(e); err != nil {
		t.Fatal(err)
	}
	s.installed()
	s.soon("h2's VTEP is resolved", func(h *fakeHost) bool {
		return slices.Equal(h.resolved, []netip.Addr{netip.MustParseAddr("192.0.2.2")})
	})
}

func TestRestartChangesNothing(t *testing.T) {
	first := newScene(t)
	e := first.put("e1", "h1", true)
	first.show()
	if err := first.wait(e); err != nil {
		t.Fatal(err)
	}
	second := newScene(t)
	second.edit, second.next = first.edit, first.next
	first.host.mu.Lock()
	second.host.mu.Lock()
	second.host.links, second.host.ports, second.host.table, second.host.tunnel = first.host.links, first.host.ports, first.host.table, 1
	second.host.mu.Unlock()
	first.host.mu.Unlock()
	second.show()
	if err := second.wait(e); err != nil {
		t.Fatal(err)
	}
	if second.host.applies != 0 {
		t.Errorf("the restart changed flows %d times", second.host.applies)
	}
}

// A dump of many flows may take long, so an ovs-vswitchd that hangs is found out before.
func TestSilentSwitchIsAskedForNoDump(t *testing.T) {
	h := newFakeHost()
	h.failing("ping", overlay.Refuse(overlay.Unavailable, "Open vSwitch", "start ovs-vswitchd", "ovs-vswitchd does not answer"))
	s := newSceneOn(t, h)
	e := s.put("e1", "h1", true)
	s.show()
	s.eventually("what is away is told", func(state State) bool {
		return slices.ContainsFunc(NewStatus(Facts{}, state).Reasons, func(why string) bool { return strings.Contains(why, "ovs-vswitchd does not answer") })
	})
	s.soon("no dump", func(h *fakeHost) bool { return h.dumps == 0 })
	h.failing("ping", nil)
	if err := s.wait(e); err != nil {
		t.Fatal(err)
	}
}

func TestRemoteChangeCostsNoDump(t *testing.T) {
	s := newScene(t)
	s.settle()
	s.host.mu.Lock()
	dumps := s.host.dumps
	s.host.mu.Unlock()
	s.put("e2", "h2", false)
	s.show()
	s.installed()
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	if s.host.dumps != dumps {
		t.Errorf("%d dumps for one remote endpoint", s.host.dumps-dumps)
	}
}

func TestPortErrorIsTheEndpointsOwn(t *testing.T) {
	s := newScene(t)
	s.host.failing("port e1", errors.New("could not open network device"))
	bad, good := s.put("e1", "h1", true), s.put("e2", "h1", true)
	s.show()
	if err := s.wait(good); err != nil {
		t.Errorf("the other endpoint: %v", err)
	}
	if err := s.wait(bad); err == nil || !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("error %v, want the port's", err)
	}
}

// Whatever fails is tried again, and ends in the desired flows.
func TestEveryFailureHeals(t *testing.T) {
	for _, part := range []string{"ensure", "observe", "ports", "dump", "apply", "links"} {
		t.Run(part, func(t *testing.T) {
			s := newScene(t)
			s.host.failing(part, fmt.Errorf("%s is away", part))
			e := s.put("e1", "h1", true)
			s.show()
			s.eventually("the failure shows", func(state State) bool { return state.Err != nil })
			s.host.mu.Lock()
			delete(s.host.broken, part)
			s.host.mu.Unlock()
			if err := s.wait(e); err != nil {
				t.Fatal(err)
			}
			s.installed()
		})
	}
}

func TestFlowsComeBackAfterVswitchd(t *testing.T) {
	s := newScene(t)
	s.settle()
	s.host.mu.Lock()
	clear(s.host.table)
	s.host.mu.Unlock()
	s.host.gone <- struct{}{}
	s.installed()
}

func TestForgottenEndpointIsReleased(t *testing.T) {
	s := newScene(t)
	s.put("e1", "h1", false)
	s.show()
	s.soon("release", func(h *fakeHost) bool { return slices.Contains(h.deleted, "e1") })
}

func TestWaitSaysWhatIsMissing(t *testing.T) {
	s := newScene(t)
	e := s.put("e1", "h1", false)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.loop.WaitEndpoint(ctx, e, 0); err == nil || !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("error %v, want what is missing", err)
	}
}
