package ovsdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// EnsureBridge makes the bridge, or puts right what differs: fail_mode secure,
// all OpenFlow versions, the datapath type, our external_ids. A bridge of that
// name that is not ours is a Refusal of kind Conflict and stays untouched.
func (c *Client) EnsureBridge(ctx context.Context, want Bridge) error {
	return c.ensure(ctx, "bridge "+want.Name, func(v view) ([]ovsdb.Operation, error) { return planBridge(v, want) })
}

// EnsureTunnel makes the tunnel port on our bridge, or puts right what differs.
// While another port takes VXLAN from any peer on the same UDP port it is
// neither made nor changed: a Refusal of kind Conflict that names that port.
func (c *Client) EnsureTunnel(ctx context.Context, bridge string, want Port) error {
	return c.ensure(ctx, "tunnel port "+want.Name, func(v view) ([]ovsdb.Operation, error) { return planTunnel(v, bridge, want) })
}

// EnsurePorts makes ports on our bridge, or puts right what differs, in one
// transaction. A port whose name is taken by one that is not ours does not keep
// the others from it: it is among those refused, by name, with a Refusal of
// kind Conflict. The error is why none was made: a Refusal of kind Missing
// without the bridge. The names must differ. It does not wait for ovs-vswitchd:
// WaitPorts does.
func (c *Client) EnsurePorts(ctx context.Context, bridge string, wants []Port) (refused map[string]error, err error) {
	err = c.ensure(ctx, "ports of bridge "+bridge, func(v view) (ops []ovsdb.Operation, err error) {
		ops, refused, err = planPorts(v, bridge, wants)
		return ops, err
	})
	return refused, err
}

// RemovePorts removes our ports from our bridge in one transaction; what is
// absent is no error, what is not ours is refused and left.
func (c *Client) RemovePorts(ctx context.Context, bridge string, names []string) error {
	return c.ensure(ctx, "ports of bridge "+bridge, func(v view) ([]ovsdb.Operation, error) { return planRemovePorts(v, bridge, names) })
}

// RemoveBridge removes our bridge with our ports; that it is absent is no
// error. Foreign ports on it are a Refusal of kind InUse.
func (c *Client) RemoveBridge(ctx context.Context, name string) error {
	return c.ensure(ctx, "bridge "+name, func(v view) ([]ovsdb.Operation, error) { return planRemoveBridge(v, name) })
}

// Observe returns what OVSDB says of the bridge. It answers from the copy that
// the Client keeps, so it costs no round trip.
func (c *Client) Observe(ctx context.Context, bridge string) (Observation, error) {
	_, v, _, err := c.look(ctx)
	if err != nil {
		return Observation{}, err
	}
	return observe(v, bridge), nil
}

// ensure is where every change to OVSDB is made: it plans from the database as
// it is, transacts, and plans again if the database moved on in between.
func (c *Client) ensure(ctx context.Context, object string, plan func(view) ([]ovsdb.Operation, error)) error {
	select {
	case <-c.writer:
		defer func() { c.writer <- struct{}{} }()
	case <-ctx.Done():
		return c.unavailable(fmt.Errorf("wait for an earlier change: %w", ctx.Err()))
	}
	for {
		s, v, changed, err := c.look(ctx)
		if err != nil {
			return fmt.Errorf("change %s: %w", object, err)
		}
		ops, refused := plan(v)
		if len(ops) == 0 {
			return refused
		}
		err = s.transact(ctx, ops)
		var rejected rejection
		switch {
		case err == nil:
			return refused
		case errors.As(err, &rejected):
			return errors.Join(fmt.Errorf("change %s: %w", object, err), refused)
		case !errors.Is(err, errStale):
			return errors.Join(fmt.Errorf("change %s: %w", object, c.unavailable(err)), refused)
		}
		if err := await(ctx, changed); err != nil {
			return fmt.Errorf("change %s: %w", object, c.unavailable(errors.Join(errStale, err)))
		}
	}
}
