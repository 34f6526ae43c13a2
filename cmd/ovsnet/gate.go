package main

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/docker"
	"github.com/ovsnet/ovsnet/overlay"
)

// membership tells whether this host takes part: agent.Membership.
type membership interface {
	// Blocked is why it does not, or nil.
	Blocked() error
	// Wait returns nil once it does, or why it does not when ctx ends or another
	// host has stood in the way for a while.
	Wait(ctx context.Context) error
}

// gate is what the Docker plugin reaches the rest of the agent through: its
// docker.Loop, docker.Networks, docker.Endpoints and docker.Pools. The plugin
// answers from the first moment on; what changes the cluster passes only while
// this host takes part. What is in etcd under the name of a host that was
// refused belongs to another, which may even know its networks and endpoints by
// the same Docker IDs when this host is a copy of it.
type gate struct {
	member    membership
	networks  docker.Networks
	endpoints docker.Endpoints
	pools     docker.Pools
	// started closes when loop is set.
	started chan struct{}
	loop    *agent.Loop
}

// releasePatience is how long a call that gives something back waits for the
// host to take part. Docker makes such calls one after another when it starts,
// and what they leave is found later: by the loop, by agent.Forgotten, or it
// expires.
const releasePatience = 3 * time.Second

// open lets calls through to the loop.
func (g *gate) open(loop *agent.Loop) {
	g.loop = loop
	close(g.started)
}

// pass waits until the host takes part.
func (g *gate) pass(ctx context.Context) error {
	if err := g.member.Wait(ctx); err != nil {
		return g.explain(err)
	}
	select {
	case <-g.started:
		return nil
	case <-ctx.Done():
		return overlay.Refuse(overlay.Unavailable, "agent", "see ovsnet status", "still starting")
	}
}

// passRelease is pass for what gives back: it waits less, and not at all for
// another host that stands in the way.
func (g *gate) passRelease(ctx context.Context) error {
	if err := g.member.Blocked(); overlay.IsKind(err, overlay.Conflict) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, releasePatience)
	defer cancel()
	return g.pass(ctx)
}

// explain adds what keeps the loop from working to why the host does not take
// part, because without a bridge the host has no identity to register.
func (g *gate) explain(err error) error {
	select {
	case <-g.started:
	default:
		return err
	}
	var refusal *overlay.Refusal
	state := g.loop.State()
	if state.HostID != "" || state.Err == nil || !errors.As(err, &refusal) || refusal.Err != nil {
		return err
	}
	told := *refusal
	told.Err = state.Err
	return &told
}

// Follow, WaitEndpoint and Wake make gate a docker.Loop.

func (g *gate) Follow(ctx context.Context, network string) error {
	if err := g.pass(ctx); err != nil {
		return err
	}
	return g.loop.Follow(ctx, network)
}

func (g *gate) WaitEndpoint(ctx context.Context, endpoint overlay.Endpoint, link int) error {
	if err := g.pass(ctx); err != nil {
		return err
	}
	return g.loop.WaitEndpoint(ctx, endpoint, link)
}

func (g *gate) Wake() {
	select {
	case <-g.started:
		g.loop.Wake()
	default:
	}
}

// Attach, Detach and Attached make gate a docker.Networks.

func (g *gate) Attach(ctx context.Context, request docker.AttachRequest) (overlay.Network, error) {
	if err := g.pass(ctx); err != nil {
		return overlay.Network{}, err
	}
	return g.networks.Attach(ctx, request)
}

func (g *gate) Detach(ctx context.Context, node, dockerNetwork string) error {
	if err := g.passRelease(ctx); err != nil {
		return err
	}
	return g.networks.Detach(ctx, node, dockerNetwork)
}

func (g *gate) Attached(ctx context.Context, node, dockerNetwork string) (overlay.Network, overlay.Attachment, error) {
	return g.networks.Attached(ctx, node, dockerNetwork)
}

// CreateEndpoint, DeleteEndpoint and GetEndpoint make gate a docker.Endpoints.

func (g *gate) CreateEndpoint(ctx context.Context, endpoint overlay.Endpoint) (overlay.Endpoint, error) {
	if err := g.pass(ctx); err != nil {
		return overlay.Endpoint{}, err
	}
	return g.endpoints.CreateEndpoint(ctx, endpoint)
}

func (g *gate) DeleteEndpoint(ctx context.Context, node, network, id string) error {
	if err := g.passRelease(ctx); err != nil {
		return err
	}
	return g.endpoints.DeleteEndpoint(ctx, node, network, id)
}

func (g *gate) GetEndpoint(ctx context.Context, network, id string) (overlay.Endpoint, bool, error) {
	return g.endpoints.GetEndpoint(ctx, network, id)
}

// RequestPool, ReleasePool, RequestAddress and ReleaseAddress make gate a
// docker.Pools.

func (g *gate) RequestPool(ctx context.Context, request docker.PoolRequest) (overlay.Pool, error) {
	if err := g.pass(ctx); err != nil {
		return overlay.Pool{}, err
	}
	return g.pools.RequestPool(ctx, request)
}

func (g *gate) ReleasePool(ctx context.Context, node string, pool overlay.Pool) error {
	if err := g.passRelease(ctx); err != nil {
		return err
	}
	return g.pools.ReleasePool(ctx, node, pool)
}

func (g *gate) RequestAddress(ctx context.Context, request docker.AddressRequest) (netip.Prefix, error) {
	if err := g.pass(ctx); err != nil {
		return netip.Prefix{}, err
	}
	return g.pools.RequestAddress(ctx, request)
}

func (g *gate) ReleaseAddress(ctx context.Context, node string, pool overlay.Pool, addr netip.Addr) error {
	if err := g.passRelease(ctx); err != nil {
		return err
	}
	return g.pools.ReleaseAddress(ctx, node, pool, addr)
}
