package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
	"github.com/ovsnet/ovsnet/topology"
)

// measuredByAll is up to how many hosts all of them are asked to measure, unless
// --measure says otherwise: each answer goes through etcd.
const measuredByAll = 16

// mapFlags are how a Map of the cluster is made.
func mapFlags() []cli.Flag {
	return append(etcdFlags(), socketFlag(),
		&cli.StringFlag{Name: "measure", Value: "auto", Usage: fmt.Sprintf("`WHO` measures its tunnels: all hosts, here, none, or auto: all up to %d hosts, beyond that here", measuredByAll),
			Action: func(_ *cli.Context, who string) error {
				if !slices.Contains([]string{"auto", "all", "here", "none"}, who) {
					return overlay.Refuse(overlay.Invalid, "--measure "+who, "use auto, all, here or none", "nobody is called so")
				}
				return nil
			}},
		&cli.DurationFlag{Name: "timeout", Usage: "how long another host's agent may take to answer, 3s to 10s", Value: 5 * time.Second, Action: checkTimeout(surveyed)},
	)
}

// surveyed is the shortest time in which a host whose peers are gone has measured
// that, and its answer is here; it would seem silent itself.
const surveyed = 3 * time.Second

// checkTimeout refuses times that make no sense for a host's answer.
func checkTimeout(least time.Duration) func(*cli.Context, time.Duration) error {
	return func(_ *cli.Context, d time.Duration) error {
		if d < least || d > 10*time.Second {
			return overlay.Refuse(overlay.Invalid, fmt.Sprintf("--timeout %s", d), fmt.Sprintf("use %s to 10s", least), "no agent is waited for so long, or so shortly")
		}
		return nil
	}
}

func topologyCommand() *cli.Command {
	formats := []string{"text", "wide", "json", "dot", "svg", "html"}
	return &cli.Command{
		Name: "topology", Usage: "the cluster as a picture: hosts, tunnels with round trip and loss, networks, containers",
		Description: `Text shows the first containers and tunnels of each host, wide all of them; dot is
for Graphviz, svg a picture, html a page of one file. Round trip and loss are
measured for this, by five ICMP echo requests between the tunnel addresses of
hosts that share a network: that is the underlay, not the tunnel's UDP port. A host
that does not answer is marked, and the rest is shown. See also: ovsnet ui`,
		Flags: append(mapFlags(),
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT`: " + strings.Join(formats, ", "), EnvVars: env("OUTPUT"), Value: "text",
				Action: func(_ *cli.Context, format string) error {
					if !slices.Contains(formats, format) {
						return overlay.Refuse(overlay.Invalid, "--output "+format, "use one of "+strings.Join(formats, ", "), "unknown format")
					}
					return nil
				}},
			&cli.IntFlag{Name: "width", Usage: "how wide -o svg is, in `PIXELS`, 320 to 4000", Value: topology.Wide,
				Action: func(_ *cli.Context, width int) error {
					if width < 320 || width > 4000 {
						return overlay.Refuse(overlay.Invalid, fmt.Sprintf("--width %d", width), "use 320 to 4000", "no picture of that width can be read")
					}
					return nil
				}},
		),
		Action: withStore(showTopology),
	}
}

func showTopology(ctx context.Context, c *cli.Context, s *store.Store) error {
	if err := exactArgs(c); err != nil {
		return err
	}
	view, err := listCluster(ctx, c, s)
	if err != nil {
		return err
	}
	m, silent := surveyor{c: c, store: s}.mapped(ctx, view)
	if silent != nil {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "ovsnet: warning: nothing is measured: %v\n", silent)
	}
	switch format := c.String("output"); format {
	case "json":
		return printJSON(c.App.Writer, m)
	case "dot":
		return m.WriteDOT(c.App.Writer)
	case "svg":
		return m.WriteSVG(c.App.Writer, c.Int("width"))
	case "html":
		return topology.Page{Map: &m}.WriteHTML(c.App.Writer)
	default:
		return m.WriteText(c.App.Writer, topology.Style{Color: styleOf(c).Color, Wide: format == "wide"})
	}
}

// surveyor asks the hosts of the cluster what they measure.
type surveyor struct {
	c     *cli.Context
	store *store.Store
}

// mapped makes the Map of what etcd says and the hosts answer; silent is why the only
// one that is asked did not.
func (s surveyor) mapped(ctx context.Context, view store.View) (m topology.Map, silent error) {
	alive := map[string]bool{}
	for name := range view.Alive {
		alive[name] = true
	}
	answers, silent := s.reports(ctx, view)
	return topology.New(topology.Facts{Snapshot: view.Snapshot, Alive: alive, Answers: answers, At: time.Now()}), silent
}

// reports asks the hosts that are to measure, several at once; silent is why there is
// none.
func (s surveyor) reports(ctx context.Context, view store.View) (byName map[string]topology.Answer, silent error) {
	who := s.c.String("measure")
	if who == "none" {
		return nil, nil
	}
	local := agent.NewClient(s.c.String("socket")).Inspector
	here, silent := hostOf(ctx, local)
	var names []string
	for n := range view.Snapshot.Nodes() {
		names = append(names, n.Name)
	}
	if who == "here" || who == "auto" && len(names) > measuredByAll {
		if silent != nil {
			return nil, silent
		}
		names = []string{here}
	}
	answers := make([]topology.Answer, len(names))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, name := range names {
		group.Go(func() error {
			asked := agent.NewInspector(remote{store: s.store, node: name})
			if name == here {
				asked = local
			}
			ctx, cancel := context.WithTimeout(ctx, s.c.Duration("timeout"))
			defer cancel()
			answers[i].Report, answers[i].Err = asked.Report(ctx)
			return nil
		})
	}
	_ = group.Wait() // no answer is an answer too
	byName = map[string]topology.Answer{}
	for i, name := range names {
		byName[name] = answers[i]
	}
	return byName, nil
}

// hostOf is the name of the host whose agent is asked.
func hostOf(ctx context.Context, i agent.Inspector) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout/3)
	defer cancel()
	status, err := i.Status(ctx)
	return status.Node, err
}
