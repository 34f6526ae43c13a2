package agent

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// fakeDocker is a daemon that has networks, or is away; as etcd it notes what is detached and whose networks are.
type fakeDocker struct {
	networks map[string]bool
	daemon   string
	away     error
	detached []string
	noted    map[string]string
	finished int
}

func (d *fakeDocker) Networks(context.Context) (map[string]bool, error) { return d.networks, d.away }
func (d *fakeDocker) Daemon(context.Context) (string, error)            { return d.daemon, nil }

func (d *fakeDocker) Detach(_ context.Context, _, id string) error {
	d.detached = append(d.detached, id)
	return nil
}

func (d *fakeDocker) FinishDetaches(context.Context, string) error {
	d.finished++
	return nil
}

func (d *fakeDocker) Recognise(_ context.Context, _, id, daemon string) error {
	d.noted[id] = daemon
	return nil
}

// usesOf is a snapshot with these uses of networks.
func usesOf(all ...overlay.Attachment) *overlay.Snapshot {
	edit := overlay.NewSnapshot().Edit()
	for _, a := range all {
		a.Network = "net of " + a.DockerNetwork
		edit.SetAttachment(a)
	}
	return edit.Snapshot()
}

func on(node, dockerNetwork, daemon string) overlay.Attachment {
	return overlay.Attachment{Node: node, DockerNetwork: dockerNetwork, Daemon: daemon}
}

// looker is a Forgotten that looks when the test says so.
type looker struct {
	*Forgotten
	docker *fakeDocker
	wait   *patience
	told   []Problem
}

func newLooker(state *State, networks ...string) *looker {
	l := &looker{docker: &fakeDocker{networks: map[string]bool{}, daemon: "D", noted: map[string]string{}}, wait: newPatience(time.Minute)}
	for _, n := range networks {
		l.docker.networks[n] = true
	}
	l.Forgotten = &Forgotten{
		Node: "h1", Grace: time.Minute, Docker: l.docker, Store: l.docker, Logger: slog.New(slog.DiscardHandler),
		State: func() State { return *state }, Tell: func(p []Problem) { l.told = p },
	}
	return l
}

// after looks so long after the first look, and holds what is detached then.
func (l *looker) after(t *testing.T, d time.Duration, want ...string) {
	t.Helper()
	l.docker.detached = nil
	l.look(t.Context(), l.wait, time.Unix(1000, 0).Add(d))
	slices.Sort(l.docker.detached)
	if !slices.Equal(l.docker.detached, want) {
		t.Errorf("after %s: detached %v, want %v", d, l.docker.detached, want)
	}
}

func TestForgottenNetworks(t *testing.T) {
	state := State{View: View{Snapshot: usesOf(on("h1", "kept", "D"), on("h1", "gone", "D"), on("h2", "elsewhere", "D"), on("h1", "flickers", "D"))}}
	l := newLooker(&state, "kept")
	l.after(t, 0)
	l.docker.networks["flickers"] = true
	l.after(t, 30*time.Second)
	delete(l.docker.networks, "flickers")
	l.docker.away = errors.New("away")
	l.after(t, 2*time.Minute)
	l.docker.away = nil
	l.after(t, 2*time.Minute, "gone")
	if l.docker.finished != 4 {
		t.Errorf("what was detached in part was looked for %d times, want 4", l.docker.finished)
	}
}

// Only the daemon that was seen to list a network is believed when it does so no more, and each network is doubted by
// itself.
func TestOnlyANetworksOwnDaemonForgets(t *testing.T) {
	view := View{Snapshot: usesOf(on("h1", "listed", "D"), on("h1", "idle", "D"), on("h1", "used", "D"), on("h1", "others", "E"), on("h1", "unseen", ""))}
	for name, test := range map[string]struct {
		state  State
		daemon string
		listed []string
		want   []string
		told   int
	}{
		"its own daemon":              {State{View: view}, "D", []string{"listed"}, []string{"idle", "used"}, 2},
		"a container holds a link":    {State{View: view, InUse: map[string]bool{"net of used": true}}, "D", nil, []string{"idle", "listed"}, 3},
		"another daemon is asked":     {State{View: view}, "F", nil, nil, 5},
		"a daemon without an ID":      {State{View: view}, "", nil, nil, 0},
		"rounds fail":                 {State{View: view, Err: errors.New("links cannot be listed")}, "D", nil, nil, 0},
		"etcd holds another's data":   {State{View: view, Held: errors.New("lost")}, "D", nil, nil, 0},
		"all are listed by the other": {State{View: view}, "E", []string{"listed", "idle", "used", "others", "unseen"}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLooker(&test.state, test.listed...)
			l.docker.daemon = test.daemon
			l.after(t, 0)
			l.after(t, 2*time.Minute, test.want...)
			if len(l.told) != test.told {
				t.Errorf("told %v, want %d problems", l.told, test.told)
			}
		})
	}
}

// After an upgrade from a version that noted no daemons, what Docker removed meanwhile goes; what comes later does not.
func TestNetworksFromBeforeDaemonsWereNoted(t *testing.T) {
	for name, test := range map[string]struct {
		listed []string
		want   []string
		told   int
	}{
		"the daemon lists another": {[]string{"listed"}, []string{"gone"}, 2},
		"it lists none":            {nil, nil, 4},
	} {
		t.Run(name, func(t *testing.T) {
			state := State{InUse: map[string]bool{"net of used": true}, View: View{Snapshot: usesOf(on("h1", "listed", ""), on("h1", "gone", ""), on("h1", "used", ""), on("h2", "far", "E"))}}
			l := newLooker(&state, test.listed...)
			l.after(t, 0)
			state.View.Snapshot = usesOf(on("h1", "listed", l.docker.noted["listed"]), on("h1", "gone", ""), on("h1", "used", ""), on("h1", "later", ""))
			l.after(t, time.Second)
			l.after(t, 2*time.Minute, test.want...)
			if len(l.told) != test.told {
				t.Errorf("told %v, want %d problems", l.told, test.told)
			}
		})
	}
}

// The daemon that lists a network is noted with it, also when it is another than before.
func TestTheDaemonOfANetworkIsNoted(t *testing.T) {
	state := State{View: View{Snapshot: usesOf(on("h1", "new", ""), on("h1", "known", "D"), on("h1", "moved", "E"), on("h1", "unlisted", ""), on("h2", "far", ""))}}
	l := newLooker(&state, "new", "known", "moved", "far")
	l.after(t, 0)
	if want := map[string]string{"new": "D", "moved": "D"}; !maps.Equal(l.docker.noted, want) {
		t.Errorf("noted %v, want %v", l.docker.noted, want)
	}
}

// About a network that was just made Docker is asked soon, about an old one in its time.
func TestNewNetworksAreLookedAtSoon(t *testing.T) {
	now := time.Unix(1000, 0)
	for name, test := range map[string]struct {
		a    overlay.Attachment
		want bool
	}{
		"new":       {overlay.Attachment{Node: "h1", DockerNetwork: "d", Created: now.Add(-time.Second)}, true},
		"noted":     {overlay.Attachment{Node: "h1", DockerNetwork: "d", Daemon: "D", Created: now.Add(-time.Second)}, false},
		"old":       {overlay.Attachment{Node: "h1", DockerNetwork: "d", Created: now.Add(-time.Hour)}, false},
		"elsewhere": {overlay.Attachment{Node: "h2", DockerNetwork: "d", Created: now.Add(-time.Second)}, false},
	} {
		if got := newLooker(&State{View: View{Snapshot: usesOf(test.a)}}).fresh(now); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
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

// registry is etcd as a Membership meets it.
type registry struct {
	cluster, asked string
	taken          error
}

func (r *registry) CheckSchema(_ context.Context, _ string, host HostIdentity) (string, error) {
	r.asked = host.Cluster
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

// A host that is refused in a cluster, as after a mistyped --etcd, does not belong to it.
func TestNoClusterIsRememberedWhereTheHostIsRefused(t *testing.T) {
	m := NewMembership(&registry{cluster: "c1", taken: conflict()}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.Run(ctx, overlay.Node{Name: "h1"}, HostIdentity{ID: "x"}, func(_ context.Context, cluster string) error {
			t.Errorf("%s was remembered", cluster)
			return nil
		})
	}()
	for !overlay.IsKind(m.Blocked(), overlay.Conflict) {
		_, changed := m.Standing()
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			t.Fatalf("blocked by %v", m.Blocked())
		}
	}
	cancel()
	<-ended
}
