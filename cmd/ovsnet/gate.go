package main

import (
	"context"
	"errors"
	"net/netip"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/docker"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
)

// gate is what the Docker plugin reaches the rest of the agent through. The
// plugin answers from the first moment on; calls that need the host to take
// part wait here until it does, or say why it does not.
type gate struct {
	member *agent.Membership
	store  *store.Store
	// started closes when loop is set.
	started chan struct{}
	loop    *agent.Loop
}

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

func (g *gate) WaitEndpoint(ctx context.Context, endpoint overlay.Endpoint) error {
	if err := g.pass(ctx); err != nil {
		return err
	}
	return g.loop.WaitEndpoint(ctx, endpoint)
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
	return g.store.Attach(ctx, store.AttachRequest(request))
}

func (g *gate) Detach(ctx context.Context, node, dockerNetwork string) error {
	return g.store.Detach(ctx, node, dockerNetwork)
}

func (g *gate) Attached(ctx context.Context, node, dockerNetwork string) (overlay.Network, overlay.Attachment, error) {
	return g.store.Attached(ctx, node, dockerNetwork)
}

// pools makes the store a docker.Pools.
type pools struct{ *store.Store }

func (p pools) RequestPool(ctx context.Context, request docker.PoolRequest) (overlay.Pool, error) {
	return p.Store.RequestPool(ctx, store.PoolRequest(request))
}

func (p pools) RequestAddress(ctx context.Context, request docker.AddressRequest) (netip.Prefix, error) {
	return p.Store.RequestAddress(ctx, store.AddressRequest(request))
}
