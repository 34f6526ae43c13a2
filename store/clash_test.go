package store

import (
	"context"
	"errors"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

// TestInterrupted has another host do something between what a call reads and
// what it writes.
func TestInterrupted(t *testing.T) {
	endpoint := func(n overlay.Network, node, id string) overlay.Endpoint {
		return overlay.Endpoint{ID: id, Network: n.ID, Node: node, MAC: overlay.MACFromAddr(addr("10.1.0.50")), IPv4: addr("10.1.0.50")}
	}
	for name, test := range map[string]clash{
		"detach, endpoint comes": {joined: []int{1, 2},
			do: func(ctx context.Context, d docker, _ overlay.Network) error { return d.store.Detach(ctx, "h1", "d") },
			other: func(ctx context.Context, d docker, n overlay.Network) error {
				_, err := d.store.CreateEndpoint(ctx, endpoint(n, "h1", "e"))
				if overlay.IsKind(err, overlay.Missing) { // it came after the attachment went
					return nil
				}
				return err
			}},
		"last detach, other host joins": {joined: []int{1},
			do: func(ctx context.Context, d docker, _ overlay.Network) error { return d.store.Detach(ctx, "h1", "d") },
			other: func(ctx context.Context, d docker, _ overlay.Network) error {
				_, _, err := d.create(ctx, fullForm())
				return err
			}},
		"endpoint, detach comes": {joined: []int{1, 2}, kind: overlay.Missing,
			do: func(ctx context.Context, d docker, n overlay.Network) error {
				_, err := d.store.CreateEndpoint(ctx, endpoint(n, "h1", "e"))
				return err
			},
			other: func(ctx context.Context, d docker, _ overlay.Network) error { return d.store.Detach(ctx, "h1", "d") }},
		"endpoint, network goes": {joined: []int{1}, kind: overlay.Missing,
			do: func(ctx context.Context, d docker, n overlay.Network) error {
				_, err := d.store.CreateEndpoint(ctx, endpoint(n, "h1", "e"))
				return err
			},
			other: func(ctx context.Context, d docker, _ overlay.Network) error { return d.store.Detach(ctx, "h1", "d") }},
		"endpoint, its MAC comes": {joined: []int{1, 2}, kind: overlay.Conflict,
			do: func(ctx context.Context, d docker, n overlay.Network) error {
				_, err := d.store.CreateEndpoint(ctx, endpoint(n, "h1", "e"))
				return err
			},
			other: func(ctx context.Context, d docker, n overlay.Network) error {
				twin := endpoint(n, "h2", "twin")
				twin.IPv4 = addr("10.1.0.51")
				_, err := d.store.CreateEndpoint(ctx, twin)
				return err
			}},
		"gateway, network comes": {pending: true,
			do: func(ctx context.Context, d docker, _ overlay.Network) error { return d.gateway(ctx) },
			other: func(ctx context.Context, d docker, _ overlay.Network) error {
				_, _, err := d.create(ctx, fullForm())
				return err
			}},
		"subnet, overlapping one comes": {kind: overlay.Conflict,
			do: func(ctx context.Context, d docker, _ overlay.Network) error {
				_, err := d.store.RequestPool(ctx, PoolRequest{Node: "h1", Prefix: prefix("10.1.0.0/24")})
				return err
			},
			other: func(ctx context.Context, d docker, _ overlay.Network) error {
				_, err := d.store.RequestPool(ctx, PoolRequest{Node: "h2", Prefix: prefix("10.1.0.0/16")})
				return err
			}},
		"VTEP, another host has it": {kind: overlay.Conflict,
			do: func(ctx context.Context, d docker, _ overlay.Network) error {
				return d.store.Register(ctx, testNode(7), testIdentity(7))
			},
			other: func(ctx context.Context, d docker, _ overlay.Network) error {
				thief := testNode(7)
				thief.Name = "h8"
				return d.store.Register(ctx, thief, testIdentity(8))
			}},
		"network removed, host joins": {kind: overlay.InUse,
			do: func(ctx context.Context, d docker, _ overlay.Network) error { return d.store.RemoveNetwork(ctx, "ops") },
			other: func(ctx context.Context, d docker, _ overlay.Network) error {
				_, _, err := d.create(ctx, dockerNetwork{id: "d", ipamName: "ops"})
				return err
			}},
		"node removed, network comes": {
			do: func(ctx context.Context, d docker, _ overlay.Network) error { return d.store.RemoveNode(ctx, "h1") },
			other: func(ctx context.Context, d docker, _ overlay.Network) error {
				_, _, err := docker{d.store, "h1"}.create(ctx, fullForm())
				return err
			}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := interrupted(t, test, beforeWriting); test.kind == 0 && err != nil || test.kind != 0 && !overlay.IsKind(err, test.kind) {
				t.Errorf("answers %v, want kind %d", err, test.kind)
			}
			for step, happened := 0, true; happened; step++ {
				var err error
				var refusal *overlay.Refusal
				if happened, err = interrupted(t, test, step); err != nil && !errors.As(err, &refusal) {
					t.Errorf("interrupted at step %d: %v", step, err)
				}
			}
		})
	}
}

// fullForm is a network as a user makes it who gives both names.
func fullForm() dockerNetwork {
	return dockerNetwork{id: "d", subnet: "10.1.0.0/24", ipamName: "web", name: "web"}
}

// beforeWriting interrupts a call when it has read everything.
const beforeWriting = -1

// clash is a call that another host's interrupts.
type clash struct {
	// joined hosts have the network already, and h1 the subnet where it is
	// pending; do is interrupted by other.
	joined    []int
	pending   bool
	do, other func(ctx context.Context, d docker, n overlay.Network) error
	kind      overlay.Kind
}

// interrupted makes the call with the interruption at that step, and reports
// what it answered and whether it had so many steps.
func interrupted(t *testing.T, test clash, step int) (happened bool, answer error) {
	t.Helper()
	s := startServer(t)
	one, two := docker{s.open(t), "h1"}, docker{s.open(t), "h2"}
	register(t, two.store, 1)
	register(t, two.store, 2)
	if _, err := two.store.CreateNetwork(callContext(t), overlay.Network{Name: "ops", MTU: 1450, Subnets: []overlay.Subnet{{Prefix: prefix("10.9.0.0/24")}}}); err != nil {
		t.Fatal(err)
	}
	var network overlay.Network
	for _, number := range test.joined {
		var err error
		if network, _, err = (docker{two.store, nodeName(number)}).create(callContext(t), fullForm()); err != nil {
			t.Fatal(err)
		}
	}
	if test.pending {
		if _, err := two.store.RequestPool(callContext(t), PoolRequest{Node: "h1", Network: "web", Prefix: prefix("10.1.0.0/24")}); err != nil {
			t.Fatal(err)
		}
	}
	cut := &interruption{skip: step, do: func() {
		if err := test.other(callContext(t), two, network); err != nil {
			t.Errorf("the other host: %v", err)
		}
	}}
	meddle(one.store, cut)
	answer = test.do(callContext(t), one, network)
	if step == beforeWriting && !cut.done {
		t.Error("nothing was interrupted")
	}
	audit(t, s)
	return cut.done, answer
}

// gateway asks for the gateway of a subnet that was reserved before.
func (d docker) gateway(ctx context.Context) error {
	_, err := d.store.RequestAddress(ctx, AddressRequest{Node: d.node, Pool: overlay.Pool{Space: "web", Prefix: prefix("10.1.0.0/24")}, Gateway: true})
	return err
}
