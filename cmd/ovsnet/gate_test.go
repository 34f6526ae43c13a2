package main

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/docker"
	"github.com/ovsnet/ovsnet/overlay"
)

// outsider is a host that is kept out for a reason that waiting does not end.
type outsider struct{ why error }

func (o outsider) Blocked() error                 { return o.why }
func (o outsider) Wait(ctx context.Context) error { <-ctx.Done(); return o.why }

// ledger is a store that notes what is done to it.
type ledger struct{ done []string }

func (l *ledger) note(what string) error { l.done = append(l.done, what); return nil }

func (l *ledger) Attach(context.Context, docker.AttachRequest) (overlay.Network, error) {
	return overlay.Network{}, l.note("Attach")
}
func (l *ledger) Detach(context.Context, string, string) error { return l.note("Detach") }
func (l *ledger) Attached(context.Context, string, string) (overlay.Network, overlay.Attachment, error) {
	return overlay.Network{}, overlay.Attachment{}, nil
}
func (l *ledger) CreateEndpoint(_ context.Context, e overlay.Endpoint) (overlay.Endpoint, error) {
	return e, l.note("CreateEndpoint")
}
func (l *ledger) DeleteEndpoint(context.Context, string, string, string) error {
	return l.note("DeleteEndpoint")
}
func (l *ledger) GetEndpoint(context.Context, string, string) (overlay.Endpoint, bool, error) {
	return overlay.Endpoint{}, false, nil
}
func (l *ledger) RequestPool(context.Context, docker.PoolRequest) (overlay.Pool, error) {
	return overlay.Pool{}, l.note("RequestPool")
}
func (l *ledger) ReleasePool(context.Context, string, overlay.Pool) error {
	return l.note("ReleasePool")
}
func (l *ledger) RequestAddress(context.Context, docker.AddressRequest) (netip.Prefix, error) {
	return netip.Prefix{}, l.note("RequestAddress")
}
func (l *ledger) ReleaseAddress(context.Context, string, overlay.Pool, netip.Addr) error {
	return l.note("ReleaseAddress")
}

// mutations calls everything by which the plugin changes the cluster, each with
// its own bound, and returns the errors by name.
func mutations(t *testing.T, g *gate, bound time.Duration) map[string]error {
	calls := map[string]func(context.Context) error{
		"Attach":         func(ctx context.Context) error { _, err := g.Attach(ctx, docker.AttachRequest{}); return err },
		"Detach":         func(ctx context.Context) error { return g.Detach(ctx, "h1", "d1") },
		"CreateEndpoint": func(ctx context.Context) error { _, err := g.CreateEndpoint(ctx, overlay.Endpoint{}); return err },
		"DeleteEndpoint": func(ctx context.Context) error { return g.DeleteEndpoint(ctx, "h1", "n1", "e1") },
		"RequestPool":    func(ctx context.Context) error { _, err := g.RequestPool(ctx, docker.PoolRequest{}); return err },
		"ReleasePool":    func(ctx context.Context) error { return g.ReleasePool(ctx, "h1", overlay.Pool{}) },
		"RequestAddress": func(ctx context.Context) error { _, err := g.RequestAddress(ctx, docker.AddressRequest{}); return err },
		"ReleaseAddress": func(ctx context.Context) error { return g.ReleaseAddress(ctx, "h1", overlay.Pool{}, netip.Addr{}) },
	}
	errs := map[string]error{}
	for name, call := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), bound)
		errs[name] = call(ctx)
		cancel()
	}
	return errs
}

func newTestGate(member membership, l *ledger) *gate {
	return &gate{member: member, networks: l, endpoints: l, pools: l, started: make(chan struct{})}
}

// A copy of a host has that host's Docker IDs: nothing that its Docker calls may
// reach the records of the host that has the name.
func TestRefusedHostChangesNothing(t *testing.T) {
	for _, kind := range []overlay.Kind{overlay.Conflict, overlay.Unavailable} {
		l := &ledger{}
		why := overlay.Refuse(kind, `node "h1"`, "choose another name", "another machine has it")
		for name, err := range mutations(t, newTestGate(outsider{why}, l), 20*time.Millisecond) {
			if !overlay.IsKind(err, kind) {
				t.Errorf("kind %v: %s: %v", kind, name, err)
			}
		}
		if len(l.done) > 0 {
			t.Errorf("kind %v: the store was asked to %v", kind, l.done)
		}
	}
}

// Docker calls one after another when it starts; what gives back must not make
// it wait for a host that will not take part soon.
func TestReleasesAnswerQuickly(t *testing.T) {
	g := newTestGate(outsider{overlay.Refuse(overlay.Conflict, `node "h1"`, "", "another machine has it")}, &ledger{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	began := time.Now()
	if err := g.Detach(ctx, "h1", "d1"); !overlay.IsKind(err, overlay.Conflict) || time.Since(began) > releasePatience/2 {
		t.Errorf("a refused host's Detach took %s: %v", time.Since(began), err)
	}
	g.member = outsider{overlay.Refuse(overlay.Unavailable, "this host", "", "not registered yet")}
	if err := g.Detach(ctx, "h1", "d1"); !overlay.IsKind(err, overlay.Unavailable) || ctx.Err() != nil {
		t.Errorf("Detach before the host takes part took %s: %v", time.Since(began), err)
	}
}

// A host that takes part passes.
func TestMemberPasses(t *testing.T) {
	l := &ledger{}
	g := newTestGate(insider{}, l)
	close(g.started)
	for name, err := range mutations(t, g, time.Second) {
		if err != nil || !slices.Contains(l.done, name) {
			t.Errorf("%s: %v, done %v", name, err, l.done)
		}
	}
}

// insider takes part.
type insider struct{}

func (insider) Blocked() error             { return nil }
func (insider) Wait(context.Context) error { return nil }
