package main

import (
	"bytes"
	"context"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
)

// inspectFlags are how a command reaches the agent of this host, or another's.
func inspectFlags() []cli.Flag {
	return append(etcdFlags(), socketFlag(), nodeFlag("ask the agent of this `HOST`, through etcd"))
}

// nodeFlag names another host. A name that is empty, as that of a variable which is not
// set, does not mean this one.
func nodeFlag(usage string) cli.Flag {
	return &cli.StringFlag{Name: "node", Usage: usage, Action: func(_ *cli.Context, host string) error {
		if host == "" {
			return overlay.Refuse(overlay.Invalid, "--node", "name a host, as in ovsnet node ls, or leave it out for this one", "it has no name")
		}
		return nil
	}}
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

// inspectorOf asks the agent of a host, over its socket where that is this host. Where
// that one is away, a command with lookFlags reads the host without it.
func inspectorOf(ctx context.Context, c *cli.Context, s *store.Store, node string) agent.Inspector {
	return inspectorsOf(ctx, c, s)(node)
}

// inspectorsOf is inspectorOf for several hosts. This host's agent is asked once which
// of them it is on, because one that hangs does not say so for a while.
func inspectorsOf(ctx context.Context, c *cli.Context, s *store.Store) func(node string) agent.Inspector {
	client := agent.NewClient(c.String("socket"))
	here, err := statusHere(ctx, client)
	return func(node string) agent.Inspector {
		switch {
		case err == nil && here.Node == node:
			return client.Inspector
		case err != nil && node == c.String("here"):
			return withoutAgent(c, err)
		}
		return agent.NewInspector(remote{store: s, node: node})
	}
}

// statusHere asks this host's agent how it stands, which takes it no time.
func statusHere(ctx context.Context, client *agent.Client) (agent.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, agent.LocalPatience)
	defer cancel()
	return client.Status(ctx)
}

// theAgent asks this host's agent.
func theAgent(_ context.Context, c *cli.Context) agent.Inspector {
	return agent.NewClient(c.String("socket")).Inspector
}

// agentOrHost asks this host's agent, or reads the host where that is away.
func agentOrHost(ctx context.Context, c *cli.Context) agent.Inspector {
	client := agent.NewClient(c.String("socket"))
	if _, err := statusHere(ctx, client); err != nil {
		return withoutAgent(c, err)
	}
	return client.Inspector
}

// inspecting runs a command that asks this host, or the one that --node names, within
// queryTimeout; args name its arguments.
func inspecting(here func(context.Context, *cli.Context) agent.Inspector, do func(ctx context.Context, c *cli.Context, i agent.Inspector) error, args ...string) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := exactArgs(c, args...); err != nil {
			return err
		}
		return inspectingArgs(here, do)(c)
	}
}

// inspectingArgs is inspecting for a command that reads its arguments itself.
func inspectingArgs(here func(context.Context, *cli.Context) agent.Inspector, do func(ctx context.Context, c *cli.Context, i agent.Inspector) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		ctx, cancel := context.WithTimeout(c.Context, queryTimeout)
		defer cancel()
		node := c.String("node")
		if node == "" {
			return do(ctx, c, here(ctx, c))
		}
		s, err := openStore(c)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		return do(ctx, c, inspectorOf(ctx, c, s, node))
	}
}
