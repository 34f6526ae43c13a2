package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// fakeHost is a host with a switch whose every part a test can break.
type fakeHost struct {
	mu      sync.Mutex
	views   chan View
	changes chan struct{}
	gone    chan struct{}

	links    map[string]Link
	ports    map[string]Port
	tunnel   uint32
	table    map[flows.Key]flows.Installed
	next     uint32
	broken   map[string]error
	deleted  []string
	resolved []netip.Addr
	guarded  []string
	applies  int
	dumps    int
	standing Standing
	stands   chan struct{}
	refused  map[string]string
	// stuck, when it is set, holds up releases until it closes.
	stuck chan struct{}
}

func newFakeHost() *fakeHost {
	return &fakeHost{
		views: make(chan View, 1), changes: make(chan struct{}, 1), gone: make(chan struct{}),
		links: map[string]Link{}, ports: map[string]Port{}, table: map[flows.Key]flows.Installed{}, next: 10, broken: map[string]error{},
		standing: Standing{Joined: true}, stands: make(chan struct{}), refused: map[string]string{},
	}
}

func (h *fakeHost) Standing() (Standing, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.standing, h.stands
}

// stand changes how the host stands with its cluster.
func (h *fakeHost) stand(now Standing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.standing = now
	close(h.stands)
	h.stands = make(chan struct{})
}

func (h *fakeHost) Ensure(_ context.Context, links []string) error {
	return h.do("guard", func() { h.guarded = links })
}

func (h *fakeHost) RememberCluster(context.Context, string) error { return nil }

// do runs a change under the lock, unless what it is called is broken.
func (h *fakeHost) do(what string, change func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.broken[what]; err != nil {
		return err
	}
	change()
	return nil
}

// failing breaks what is called that.
func (h *fakeHost) failing(what string, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken[what] = why
}

func (h *fakeHost) Views() <-chan View                   { return h.views }
func (h *fakeHost) Follow(context.Context, string) error { return h.do("follow", func() {}) }
func (h *fakeHost) Unfollow(string)                      {}
func (h *fakeHost) Changes() <-chan struct{}             { return h.changes }
func (h *fakeHost) Resolve(_ context.Context, addrs []netip.Addr) error {
	return h.do("resolve", func() { h.resolved = addrs })
}

func (h *fakeHost) EnsureHost(context.Context) (HostIdentity, error) {
	return HostIdentity{ID: "host-1", Cluster: "here"}, h.do("ensure", func() { h.tunnel = 1 })
}

func (h *fakeHost) Observe(context.Context) (o Observation, err error) {
	err = h.do("observe", func() {
		o = Observation{Tunnel: h.tunnel, Answered: true, Ports: slices.Collect(maps.Values(h.ports))}
	})
	return o, err
}

func (h *fakeHost) EnsurePorts(_ context.Context, ports []Port) (problems []Problem, err error) {
	return problems, h.do("ports", func() {
		for _, p := range ports {
			if why := h.refused[p.Endpoint]; why != "" {
				problems = append(problems, Problem{Object: endpointObject(p.Endpoint), Reason: why})
				continue
			}
			h.next++
			p.OFPort = h.next
			if why := h.broken["port "+p.Endpoint]; why != nil {
				p.OFPort, p.Error = 0, why.Error()
			}
			h.ports[p.Name] = p
		}
	})
}

func (h *fakeHost) RemovePorts(_ context.Context, names []string) error {
	return h.do("remove", func() {
		for _, name := range names {
			delete(h.ports, name)
		}
	})
}

func (h *fakeHost) Dump(context.Context) (list []flows.Installed, err error) {
	err = h.do("dump", func() { h.dumps++; list = slices.Collect(maps.Values(h.table)) })
	return list, err
}

func (h *fakeHost) Apply(_ context.Context, change flows.Delta) error {
	return h.do("apply", func() {
		h.applies++
		for _, k := range change.Delete {
			delete(h.table, k)
		}
		for _, f := range change.Add {
			h.table[f.Key] = flows.Installed{Flow: f}
		}
	})
}

func (h *fakeHost) Watch(ctx context.Context) error {
	select {
	case <-h.gone:
		return errors.New("the connection ended")
	case <-ctx.Done():
		return nil
	}
}

func (h *fakeHost) List(context.Context) (links map[string]Link, err error) {
	err = h.do("links", func() { links = maps.Clone(h.links) })
	return links, err
}

func (h *fakeHost) Delete(_ context.Context, name string) error {
	return h.do("unlink", func() { delete(h.links, name) })
}

func (h *fakeHost) DeleteEndpoint(_ context.Context, _, _, id string) error {
	if err := h.do("release", func() { h.deleted = append(h.deleted, id) }); err != nil {
		return err
	}
	h.mu.Lock()
	stuck := h.stuck
	h.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	return nil
}

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
	h := newFakeHost()
	route := func(n overlay.Node) (netip.Addr, bool) { return n.VTEP(), n.VTEP().IsValid() }
	loop := NewLoop(Config{
		Node: "h1", Route: route, Grace: 50 * time.Millisecond, FullEvery: time.Hour, RoundTimeout: 5 * time.Second,
		Logger: slog.New(slog.DiscardHandler),
	}, Parts{Views: h, Switch: h, Flows: h, Links: h, Endpoints: h, Peers: h, Guard: h, Member: h})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); loop.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	s := &scene{T: t, host: h, loop: loop, edit: overlay.NewSnapshot().Edit()}
	for i, name := range []string{"h1", "h2"} {
		s.edit.SetNode(overlay.Node{Name: name, VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}})
	}
	s.edit.SetNetwork(overlay.Network{ID: "n1", Name: "web", VNI: 4096, Subnets: []overlay.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/24")}}})
	return s
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

func (s *scene) wait(e overlay.Endpoint) error {
	ctx, cancel := context.WithTimeout(s.Context(), 3*time.Second)
	defer cancel()
	return s.loop.WaitEndpoint(ctx, e)
}

// settle brings up one endpoint on this host, and waits until it is ready.
func (s *scene) settle() {
	s.Helper()
	e := s.put("e1", "h1", true)
	s.show()
	if err := s.wait(e); err != nil {
		s.Fatal(err)
	}
}

// eventually polls at every published state.
func (s *scene) eventually(what string, ok func(State) bool) {
	s.Helper()
	deadline := time.After(3 * time.Second)
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
	deadline := time.After(3 * time.Second)
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

// installed compares the fake's table with a compile from scratch.
func (s *scene) installed() {
	s.Helper()
	s.eventually("flows as compiled", func(state State) bool {
		if state.Applied == nil || state.Err != nil {
			return false
		}
		want := flows.Compile(s.edit.Snapshot(), flows.Host{Node: "h1", Tunnel: 1, Ports: state.Ports}, s.loop.cfg.Route)
		s.host.mu.Lock()
		defer s.host.mu.Unlock()
		return len(want) == len(s.host.table) && !slices.ContainsFunc(want, func(f flows.Flow) bool {
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
	for _, part := range []string{"ensure", "observe", "ports", "dump", "apply", "links", "guard"} {
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
	if err := s.loop.WaitEndpoint(ctx, e); err == nil || !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("error %v, want what is missing", err)
	}
}
