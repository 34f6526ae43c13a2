package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/flows/ofctl"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/ovsdb"
	"github.com/ovsnet/ovsnet/store"
)

func traceFlowsCommand() *cli.Command {
	flags := append(etcdFlags(), socketFlag(), outputFlag(), hereFlag(),
		&cli.StringFlag{Name: "network", Usage: "look for FROM and TO in this `NETWORK` only"},
		&cli.StringFlag{Name: "proto", Usage: "`PROTOCOL` of the packet: " + strings.Join(journey.Protos(), ", "), DefaultText: "icmp, or tcp with --dport"},
		&cli.UintFlag{Name: "dport", Usage: "destination `PORT` of tcp and udp", DefaultText: "80"},
		&cli.UintFlag{Name: "sport", Usage: "source `PORT` of tcp and udp", DefaultText: "40000"},
		&cli.BoolFlag{Name: "ipv6", Usage: "IPv6, where both have IPv4 as well"},
		&cli.StringFlag{Name: "from-ip", Usage: "`ADDRESS` that the packet says it is from, instead of FROM's"},
		&cli.StringFlag{Name: "from-mac", Usage: "MAC `ADDRESS` that the packet says it is from, instead of FROM's"},
		&cli.StringFlag{Name: "to-mac", Usage: "MAC `ADDRESS` that the packet goes to, instead of TO's"},
		&cli.DurationFlag{Name: "timeout", Usage: "how long another host's agent may take to answer, 1s to 10s", Value: 5 * time.Second, Action: checkTimeout(time.Second)},
		&cli.BoolFlag{Name: "live", Usage: "send a real packet as well, and tell whether it arrives, how soon, and which flows counted it"},
	)
	return &cli.Command{
		Name: "trace", Usage: "why does a packet not arrive: follow one from container to container, table by table, on every host",
		ArgsUsage: "FROM TO (container names, endpoint IDs, IP or MAC addresses, on any hosts)",
		Description: `Nothing is sent, but with --live. On each host the packet is evaluated twice: ovsnet evaluates
the flows that should be installed, Open vSwitch traces through those that are
(ofproto/trace). The way shown is Open vSwitch's; where the two differ the trace
says what is wrong, and what should happen. First comes the question for TO's
address that the sender asks before its first packet. A host that does not answer
is evaluated from the cluster's records, and marked so; this host is read even
while its agent is away.

With --live the agent of FROM's host sends one small packet in FROM's name, and the
agent of TO's host listens for it there. It is a ping that TO answers; with --proto
tcp or udp it carries a wrong checksum, so that TO's kernel throws it away, and no
program or connection is troubled. Both agents must answer.

Exit status: 0 delivered, both engines agree on every host; 1 dropped, or they
disagree, or the packet that was sent did not arrive; 4 delivered as far as is known, but not all of it could be checked.
Other refusals as everywhere: 2 bad input, 3 no such endpoint.`,
		Flags: append(flags, ovsFlags()...), Action: withStore(traceFlows),
	}
}

func traceFlows(ctx context.Context, c *cli.Context, s *store.Store) error {
	if err := exactArgs(c, "FROM", "TO"); err != nil {
		return err
	}
	wish, err := readWish(c)
	if err != nil {
		return err
	}
	view, err := listCluster(ctx, c, s)
	if err != nil {
		return err
	}
	var ends [2]overlay.Endpoint
	for i, word := range c.Args().Slice() {
		if ends[i], err = inspect.FindEndpoint(view.Snapshot, word, c.String("network")); err != nil {
			return err
		}
	}
	if c.Bool("live") {
		return traceLive(ctx, c, s, view.Snapshot, ends, wish)
	}
	t, err := traceBetween(ctx, c, s, view.Snapshot, ends, wish)
	if err != nil {
		return err
	}
	if err := printTrace(c, t); err != nil {
		return err
	}
	return judged(t.Verdict)
}

// traceBetween follows what the first endpoint sends to the second.
func traceBetween(ctx context.Context, c *cli.Context, s *store.Store, snapshot *overlay.Snapshot, ends [2]overlay.Endpoint, wish journey.Wish) (journey.Trace, error) {
	db := ovsdb.Dial(ovsdb.Config{Endpoint: c.String("ovsdb")})
	defer db.Close()
	walker := journey.Walker{Snapshot: snapshot, RouteOf: routeOf, Hosts: tracedHosts(ctx, c, s, snapshot, db)}
	return walker.Trace(ctx, ends[0], ends[1], wish)
}

// readWish turns flags into the packet that is asked about.
func readWish(c *cli.Context) (journey.Wish, error) {
	wish := journey.Wish{Proto: c.String("proto"), IPv6: c.Bool("ipv6")}
	for name, port := range map[string]*uint16{"sport": &wish.SPort, "dport": &wish.DPort} {
		if c.IsSet(name) && (c.Uint(name) < 1 || c.Uint(name) > 65535) {
			return wish, overlay.Refuse(overlay.Invalid, fmt.Sprintf("--%s %d", name, c.Uint(name)), "use 1 to 65535", "no such port")
		}
		*port = uint16(c.Uint(name))
	}
	var err error
	if text := c.String("from-ip"); text != "" {
		if wish.SrcAddr, err = netip.ParseAddr(text); err != nil || wish.SrcAddr.Zone() != "" {
			return wish, overlay.Refuse(overlay.Invalid, "--from-ip "+text, "write it as in 10.0.0.9", "not an IP address")
		}
		wish.SrcAddr = wish.SrcAddr.Unmap()
	}
	for name, mac := range map[string]*overlay.MAC{"from-mac": &wish.SrcMAC, "to-mac": &wish.DstMAC} {
		text := c.String(name)
		if text == "" {
			continue
		}
		if *mac, err = overlay.ParseMAC(text); err != nil || *mac == (overlay.MAC{}) {
			return wish, overlay.Refuse(overlay.Invalid, fmt.Sprintf("--%s %s", name, text), "write it as in 02:42:0a:00:00:09", "not a MAC address that a packet has")
		}
	}
	return wish, nil
}

// tracedHosts asks this host's agent, or the host itself, and others through etcd.
func tracedHosts(ctx context.Context, c *cli.Context, s *store.Store, snapshot *overlay.Snapshot, db *ovsdb.Client) *agent.Hosts {
	hosts := &agent.Hosts{
		Here: c.String("here"), Agent: agent.NewClient(c.String("socket")).Inspector, Bridge: c.String("bridge"),
		Remote: func(node string) agent.Inspector { return agent.NewInspector(remote{store: s, node: node}) }, Patience: c.Duration("timeout"),
		Tracer: ofctl.New(ofctl.Config{Bridge: c.String("bridge"), RunDir: c.String("ovs-rundir")}),
	}
	hosts.Settle(ctx)
	hosts.Read = func(ctx context.Context) (journey.Bridge, error) {
		seen, err := observeHere(ctx, c, snapshot, db, hosts.Here)
		return seen.Bridge(snapshot, hosts.Here, routeOf(self(snapshot, hosts.Here))), err
	}
	return hosts
}

func printTrace(c *cli.Context, t journey.Trace) error {
	if c.String("output") == "json" {
		return printJSON(c.App.Writer, t)
	}
	return toPeople(c, func(w io.Writer) error { return t.WriteText(w, journey.Style(styleOf(c))) })
}

// judged is the exit status of a trace, which has been printed.
func judged(v journey.Verdict) error {
	switch {
	case !v.Good() || !v.Agreed:
		return errSaid
	case !v.Checked:
		return fmt.Errorf("%w: %w", errSaid, overlay.Refuse(overlay.Unavailable, "trace", "", "not all hosts answered"))
	}
	return nil
}
