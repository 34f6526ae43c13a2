package agent

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// fakeDocker has networks, or is away, and notes what is detached.
type fakeDocker struct {
	networks map[string]bool
	away     error
	detached []string
}

func (d *fakeDocker) Networks(context.Context) (map[string]bool, error) { return d.networks, d.away }

func (d *fakeDocker) Detach(_ context.Context, _, id string) error {
	d.detached = append(d.detached, id)
	return nil
}

func TestForgottenNetworks(t *testing.T) {
	edit := overlay.NewSnapshot().Edit()
	for _, a := range []overlay.Attachment{
		{Network: "n1", Node: "h1", DockerNetwork: "kept"}, {Network: "n2", Node: "h1", DockerNetwork: "gone"},
		{Network: "n2", Node: "h2", DockerNetwork: "elsewhere"}, {Network: "n3", Node: "h1", DockerNetwork: "flickers"},
	} {
		edit.SetAttachment(a)
	}
	docker := &fakeDocker{networks: map[string]bool{"kept": true}}
	f := &Forgotten{
		Node: "h1", Grace: time.Minute, Docker: docker, Store: docker, Logger: slog.New(slog.DiscardHandler),
		State: func() State { return State{View: View{Snapshot: edit.Snapshot()}} },
	}
	wait, start := newPatience(time.Minute), time.Unix(1000, 0)
	look := func(after time.Duration, want ...string) {
		t.Helper()
		docker.detached = nil
		f.look(t.Context(), wait, start.Add(after))
		if !slices.Equal(docker.detached, want) {
			t.Errorf("after %s: detached %v, want %v", after, docker.detached, want)
		}
	}
	look(0)
	docker.networks["flickers"] = true
	look(30 * time.Second)
	delete(docker.networks, "flickers")
	docker.away = errors.New("away")
	look(2 * time.Minute)
	docker.away = nil
	look(2*time.Minute, "gone")
}

func TestConflictIsToldAtOnceOnlyWhenItLasts(t *testing.T) {
	m := NewMembership(nil, slog.New(slog.DiscardHandler))
	conflict := overlay.Refuse(overlay.Conflict, `node "h1"`, "", "another host has it")
	m.set(conflict)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.Wait(ctx); err == nil || ctx.Err() == nil {
		t.Errorf("a fresh conflict: %v at once, want it at the deadline: a host that rebooted may wait for its own old lease", err)
	}
	m.mu.Lock()
	m.conflict = time.Now().Add(-2 * conflictGrace)
	m.mu.Unlock()
	m.set(conflict)
	if err := m.Wait(t.Context()); !overlay.IsKind(err, overlay.Conflict) {
		t.Errorf("a lasting conflict: %v", err)
	}
	m.set(nil)
	if err := m.Wait(t.Context()); err != nil {
		t.Errorf("no conflict: %v", err)
	}
}

func TestWhoLeftStaysOut(t *testing.T) {
	m := NewMembership(nil, slog.New(slog.DiscardHandler))
	m.Leave()
	m.set(nil)
	if m.Blocked() == nil {
		t.Error("a registration that was under way undid Leave")
	}
}

// Another daemon behind --docker, or a driver of another name, lists none of the networks that are in use here.
func TestAnAnswerThatCannotBeIsNotTrusted(t *testing.T) {
	edit := overlay.NewSnapshot().Edit()
	edit.SetAttachment(overlay.Attachment{Network: "n1", Node: "h1", DockerNetwork: "used"})
	edit.SetAttachment(overlay.Attachment{Network: "n2", Node: "h1", DockerNetwork: "idle"})
	docker := &fakeDocker{networks: map[string]bool{}}
	f := &Forgotten{
		Node: "h1", Grace: time.Minute, Docker: docker, Store: docker, Logger: slog.New(slog.DiscardHandler),
		State: func() State { return State{View: View{Snapshot: edit.Snapshot()}, InUse: map[string]bool{"n1": true}} },
	}
	wait, start := newPatience(time.Minute), time.Unix(1000, 0)
	f.look(t.Context(), wait, start)
	f.look(t.Context(), wait, start.Add(2*time.Minute))
	if len(docker.detached) != 0 {
		t.Errorf("detached %v", docker.detached)
	}
}

// Without a held link it is still too much that none of our networks is listed while endpoints live here; nor is
// anything known of links when the rounds fail.
func TestNothingIsDetachedWhileTooLittleIsKnown(t *testing.T) {
	edit := overlay.NewSnapshot().Edit()
	edit.SetAttachment(overlay.Attachment{Network: "n1", Node: "h1", DockerNetwork: "one"})
	edit.SetAttachment(overlay.Attachment{Network: "n2", Node: "h1", DockerNetwork: "two"})
	view := View{Snapshot: edit.Snapshot()}
	for name, test := range map[string]struct {
		state State
		known map[string]bool
		want  []string
	}{
		"none is listed, and endpoints live here": {State{View: view, Local: 1}, map[string]bool{"bridge": true}, nil},
		"one is listed":                   {State{View: view, Local: 1}, map[string]bool{"one": true}, []string{"two"}},
		"none is listed, none lives here": {State{View: view}, map[string]bool{}, []string{"one", "two"}},
		"rounds fail":                     {State{View: view, Err: errors.New("links cannot be listed")}, map[string]bool{"one": true}, nil},
	} {
		docker := &fakeDocker{networks: test.known}
		f := &Forgotten{
			Node: "h1", Grace: time.Minute, Docker: docker, Store: docker, Logger: slog.New(slog.DiscardHandler),
			State: func() State { return test.state },
		}
		wait, start := newPatience(time.Minute), time.Unix(1000, 0)
		f.look(t.Context(), wait, start)
		f.look(t.Context(), wait, start.Add(2*time.Minute))
		slices.Sort(docker.detached)
		if !slices.Equal(docker.detached, test.want) {
			t.Errorf("%s: detached %v, want %v", name, docker.detached, test.want)
		}
	}
}

// registry is etcd as a Membership meets it.
type registry struct {
	cluster, asked string
	taken          error
}

func (r *registry) CheckSchema(_ context.Context, cluster string) (string, error) {
	r.asked = cluster
	return r.cluster, nil
}
func (r *registry) Register(context.Context, overlay.Node, string) error { return r.taken }
func (r *registry) KeepAlive(ctx context.Context, _, _ string) error {
	<-ctx.Done()
	return nil
}

func TestClusterIsRememberedBeforeTheHostTakesPart(t *testing.T) {
	r := &registry{cluster: "c1"}
	m := NewMembership(r, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var remembered string
	go func() {
		defer close(ended)
		m.Run(ctx, overlay.Node{Name: "h1"}, HostIdentity{ID: "x"}, func(_ context.Context, cluster string) error {
			if s, _ := m.Standing(); s.Joined {
				t.Error("it took part before its cluster was remembered")
			}
			remembered = cluster
			return nil
		})
	}()
	if err := m.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
	if s, _ := m.Standing(); !s.Joined || remembered != "c1" || r.asked != "" {
		t.Errorf("standing %+v, remembered %q, asked for %q", s, remembered, r.asked)
	}
}
