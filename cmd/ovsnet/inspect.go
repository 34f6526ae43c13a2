package main

import (
	"bytes"
	"context"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/store"
)

// inspectFlags are how a command reaches the agent of this host, or another's.
func inspectFlags() []cli.Flag {
	return append(etcdFlags(), socketFlag(),
		&cli.StringFlag{Name: "node", Usage: "ask the agent of this `HOST`, through etcd"})
}

// remote asks another host's agent through etcd: it is an agent.Carrier.
type remote struct {
	store *store.Store
	node  string
}

// Carry makes remote an agent.Carrier.
func (r remote) Carry(ctx context.Context, kind string, arguments []byte) (io.ReadCloser, error) {
	answer, err := r.store.Ask(ctx, r.node, store.Inquiry{Kind: kind, Arguments: arguments})
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(answer)), nil
}

// inspectorOf asks the agent of a host, over its socket where that is this host.
func inspectorOf(ctx context.Context, c *cli.Context, s *store.Store, node string) agent.Inspector {
	client := agent.NewClient(c.String("socket"))
	if here, err := client.Status(ctx); err == nil && here.Node == node {
		return client.Inspector
	}
	return agent.NewInspector(remote{store: s, node: node})
}

// withInspector runs a command that asks this host's agent, or that of the host
// which --node names, within queryTimeout; args name its arguments.
func withInspector(do func(ctx context.Context, c *cli.Context, i agent.Inspector) error, args ...string) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := exactArgs(c, args...); err != nil {
			return err
		}
		return withInspectorArgs(do)(c)
	}
}

// withInspectorArgs is withInspector for a command that reads its arguments itself.
func withInspectorArgs(do func(ctx context.Context, c *cli.Context, i agent.Inspector) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		ctx, cancel := context.WithTimeout(c.Context, queryTimeout)
		defer cancel()
		node := c.String("node")
		if node == "" {
			return do(ctx, c, agent.NewClient(c.String("socket")).Inspector)
		}
		s, err := openStore(c)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		return do(ctx, c, inspectorOf(ctx, c, s, node))
	}
}
