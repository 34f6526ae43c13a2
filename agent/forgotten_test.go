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
