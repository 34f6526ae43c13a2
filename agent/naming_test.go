package agent

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/overlay"
)

// namesScene is a Naming on a fake Docker, whose records are in one snapshot.
type namesScene struct {
	*testing.T
	mu      sync.Mutex
	names   map[string]NetworkNames
	away    error
	asked   int
	tell    func(string)
	watches int
	broken  chan error
	edit    *overlay.Editor
	changed chan struct{}
}

func (s *namesScene) Names(_ context.Context, networks []string) (map[string]NetworkNames, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.away != nil {
		return nil, s.away
	}
	out := map[string]NetworkNames{}
	for _, id := range networks {
		if n, ok := s.names[id]; ok {
			out[id] = n
		}
	}
	return out, nil
}

func (s *namesScene) Watch(ctx context.Context, tell func(string)) error {
	s.mu.Lock()
	away := s.away
	s.tell = tell
	s.watches++
	s.mu.Unlock()
	if away != nil {
		return away
	}
	tell("")
	select {
	case err := <-s.broken:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (s *namesScene) NameEndpoint(_ context.Context, _, network, id string, names []string) error {
	s.change(func() {
		e, _ := s.edit.Snapshot().Endpoint(network, id)
		e.Names = names
		s.edit.SetEndpoint(e)
	})
	return nil
}

func (s *namesScene) NameAttachment(_ context.Context, node, network, name string) error {
	s.change(func() {
		a, _ := s.edit.Snapshot().Attachment(network, node)
		a.DockerName = name
		s.edit.SetAttachment(a)
	})
	return nil
}

func (s *namesScene) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *namesScene) look() (State, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{View: View{Snapshot: s.edit.Snapshot()}}, s.changed
}

func (s *namesScene) endpoint(id string) {
	s.change(func() {
		s.edit.SetEndpoint(overlay.Endpoint{ID: id, Network: "n1", Node: "h1", IPv4: netip.MustParseAddr("10.0.0.2")})
	})
}

// says makes Docker say that, and tell it as an event.
func (s *namesScene) says(names map[string]string) {
	s.mu.Lock()
	s.names["d1"] = NetworkNames{Name: "web", Containers: names}
	tell := s.tell
	s.mu.Unlock()
	if tell != nil {
		tell("d1")
	}
}

// eventually waits until the endpoint is called that, "" for nothing.
func (s *namesScene) eventually(id, want string) {
	s.Helper()
	deadline := time.After(sceneTime)
	for {
		state, changed := s.look()
		e, _ := state.View.Snapshot.Endpoint("n1", id)
		if got := strings.Join(e.Names, ","); got == want {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			s.Fatalf("endpoint %s is called %q, want %q", id, e.Names, want)
		}
	}
}

func newNamesScene(t *testing.T) *namesScene {
	t.Helper()
	s := &namesScene{T: t, names: map[string]NetworkNames{}, broken: make(chan error), edit: begin(), changed: make(chan struct{})}
	s.edit.SetAttachment(overlay.Attachment{Network: "n1", Node: "h1", DockerNetwork: "d1"})
	s.edit.SetAttachment(overlay.Attachment{Network: "n1", Node: "h2", DockerNetwork: "d2"})
	return s
}

func (s *namesScene) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	n := &Naming{Node: "h1", Look: s.look, Docker: s, Store: s, Logger: slog.New(slog.DiscardHandler)}
	go func() { defer close(ended); n.Run(ctx) }()
	s.Cleanup(func() { cancel(); <-ended })
}

// Names come with the endpoint, and follow Docker.
func TestNamesFollowDocker(t *testing.T) {
	s := newNamesScene(t)
	s.endpoint("e1")
	s.names["d1"] = NetworkNames{Name: "web", Containers: map[string]string{"e1": "one"}}
	s.run()
	s.eventually("e1", "one")
	s.says(map[string]string{"e1": "uno"})
	s.eventually("e1", "uno")
	// Docker's event may come before the record does.
	s.says(map[string]string{"e1": "uno", "e2": "two"})
	s.endpoint("e2")
	s.eventually("e2", "two")
	state, _ := s.look()
	if a, _ := state.View.Snapshot.Attachment("n1", "h1"); a.DockerName != "web" {
		t.Errorf("the attachment is called %q", a.DockerName)
	}
	// A name that no record can have is left out.
	s.says(map[string]string{"e1": strings.Repeat("x", 64), "e2": "two"})
	s.eventually("e1", "")
}

// While Docker is away names stay, and when it is back they are looked at.
func TestNamesWithoutDocker(t *testing.T) {
	s := newNamesScene(t)
	s.endpoint("e1")
	s.names["d1"] = NetworkNames{Name: "web", Containers: map[string]string{"e1": "one"}}
	s.away = errors.New("no such file or directory")
	s.run()
	s.mu.Lock()
	s.away = nil
	s.mu.Unlock()
	s.eventually("e1", "one")
	s.mu.Lock()
	s.names["d1"] = NetworkNames{Name: "web", Containers: map[string]string{"e1": "uno"}}
	s.mu.Unlock()
	s.broken <- errors.New("unexpected EOF") // the daemon restarts
	s.eventually("e1", "uno")
}

// A Docker that answers and tells no events, as behind a proxy, is asked ever more seldom.
func TestDockerWithoutEventsIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newNamesScene(t)
		n := &Naming{Docker: eventless{s}, Logger: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		n.watch(ctx, make(chan string, 1000))
		if s.watches > 60 {
			t.Errorf("asked %d times in five minutes", s.watches)
		}
	})
}

// eventless says at once that it tells no events, after the beginning.
type eventless struct{ *namesScene }

func (e eventless) Watch(_ context.Context, tell func(string)) error {
	e.watches++
	tell("")
	return errors.New("403 Forbidden")
}

// Only what differs is written, and only of this host.
func TestPlanNames(t *testing.T) {
	s := newNamesScene(t)
	s.edit.SetEndpoint(overlay.Endpoint{ID: "e1", Network: "n1", Node: "h1", Names: []string{"one"}})
	s.edit.SetEndpoint(overlay.Endpoint{ID: "e2", Network: "n1", Node: "h2"})
	s.edit.SetAttachment(overlay.Attachment{Network: "n1", Node: "h1", DockerNetwork: "d1", DockerName: "web"})
	plan := planNames(s.edit.Snapshot(), "h1", map[string]NetworkNames{
		"d1": {Name: "web", Containers: map[string]string{"e1": "one", "e2": "elsewhere", "e3": "unseen"}},
		"d2": {Name: "other", Containers: map[string]string{"e2": "elsewhere"}},
	})
	if diff := cmp.Diff([]string{"d1"}, plan.unseen); diff != "" || len(plan.endpoints)+len(plan.attachments) > 0 {
		t.Errorf("plan %+v\n%s", plan, diff)
	}
}
