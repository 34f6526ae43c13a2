package main

import (
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/flows/ofctl"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/ovsdb"
	"github.com/ovsnet/ovsnet/tunnel"
)

// lookFlags are those of a command that shows flows, of this host also without its agent.
func lookFlags() []cli.Flag { return append(append(inspectFlags(), hereFlag()), ovsFlags()...) }

func hereFlag() cli.Flag {
	hostname, _ := os.Hostname()
	return &cli.StringFlag{Name: "here", Usage: "`NAME` of this host in the cluster, for when its agent is away", EnvVars: env("NODE"), Value: hostname}
}

func routeOf(self overlay.Node) flows.Route { return tunnel.RouteFor(self) }

// withoutAgent reads this host's flows itself; away is why its agent does not.
func withoutAgent(c *cli.Context, away error) agent.Inspector {
	return agent.NewInspector(agent.Onlooker{Look: func(ctx context.Context) (inspect.Bridge, error) {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "ovsnet: warning: %v; this host is read without it\n", away)
		return lookHere(ctx, c)
	}})
}

// lookHere reads this host's flows, and from etcd and OVSDB what they should be.
func lookHere(ctx context.Context, c *cli.Context) (inspect.Bridge, error) {
	s, err := openStore(c)
	if err != nil {
		return inspect.Bridge{}, err
	}
	defer func() { _ = s.Close() }()
	view, err := listCluster(ctx, c, s)
	if err != nil {
		return inspect.Bridge{}, err
	}
	db := ovsdb.Dial(ovsdb.Config{Endpoint: c.String("ovsdb")})
	defer db.Close()
	here := c.String("here")
	seen, err := observeHere(ctx, c, view.Snapshot, db, here)
	if err != nil {
		return inspect.Bridge{}, err
	}
	installed, err := ofctl.New(ofctl.Config{Bridge: c.String("bridge"), RunDir: c.String("ovs-rundir")}).Dump(ctx)
	if err != nil {
		return inspect.Bridge{}, err
	}
	from := seen.Bridge(view.Snapshot, here, routeOf(self(view.Snapshot, here)))
	b := inspect.NewBridge(from.Snapshot, from.Host, from.Route, installed)
	b.PortNames = seen.PortNames()
	return b, nil
}

func self(s *overlay.Snapshot, here string) overlay.Node {
	node, _ := s.Node(here)
	return node
}

// observeHere tells what this host's OVS has of ours. Under a name that is no host's all
// of it would seem to be left over, so that is refused.
func observeHere(ctx context.Context, c *cli.Context, s *overlay.Snapshot, db *ovsdb.Client, here string) (agent.Observation, error) {
	node, known := s.Node(here)
	if !known {
		return agent.Observation{}, overlay.Refuse(overlay.Missing, fmt.Sprintf("node %q", here), "name this host with --here, as in ovsnet node ls", "no such host is in the cluster")
	}
	sw := &bridge{ovs: db, name: c.String("bridge"), port: tunnel.PortSpec(node.VTEP(), tunnel.DefaultUDPPort)}
	return sw.Observe(ctx)
}
