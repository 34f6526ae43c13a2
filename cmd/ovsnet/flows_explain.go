package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
)

// hostPatience is how long one of two hosts on a way may take to explain its part.
const hostPatience = 5 * time.Second

// Lines are explained in portions of these sizes in JSON, in bytes: what goes through
// etcd is bounded (store.MaxArguments), and for each the host's flows are looked at.
const (
	localPortion  = 8 << 20
	remotePortion = store.MaxArguments * 3 / 4
)

func explainFlowsCommand() *cli.Command {
	return &cli.Command{
		Name: "explain", Usage: "what flows do, why they exist, and what would happen without them",
		ArgsUsage: "[LINE | COOKIE | FROM TO]",
		Description: `LINE is a flow as ovs-ofctl dump-flows prints it; without arguments lines are
read from --file or standard input, however many. COOKIE is a number. FROM TO are two
endpoints of one network: the flows that ARP and a packet between them meet,
on both hosts. -o wide prints each flow with its statistics, its rule, network,
endpoint and host.

A host on the way of which nobody answers is explained by the cluster's records, and
marked so; then the exit status is 4.

   ovs-ofctl dump-flows br-ovsnet | ovsnet flows explain
   ovsnet flows explain 0x6f762907177bb3f6
   ovsnet flows explain web-1 web-2`,
		Flags: append(lookFlags(), outputFlag(),
			&cli.StringFlag{Name: "file", Usage: "explain the lines in this `FILE`", TakesFile: true},
			&cli.StringFlag{Name: "network", Usage: "`NETWORK` of FROM and TO, where their names are not enough"},
		),
		Action: explainFlows,
	}
}

func explainFlows(c *cli.Context) error {
	words, err := inspect.ParseWords(c.Args().Slice())
	if err != nil {
		return err
	}
	if err := contradiction(c, words); err != nil {
		return err
	}
	if words.From != "" {
		return withStore(func(ctx context.Context, c *cli.Context, s *store.Store) error { return explainPath(ctx, c, s, words) })(c)
	}
	if words.Cookie != nil {
		return inspectingArgs(agentOrHost, func(ctx context.Context, c *cli.Context, i agent.Inspector) error {
			return printExplanations(c, i.Explain(ctx, words.Question))
		})(c)
	}
	if words.Dump != "" {
		return explainLines(c, strings.NewReader(words.Dump), "the arguments")
	}
	in, name, err := openDump(c)
	if err != nil {
		return err
	}
	return errors.Join(explainLines(c, in, name), in.Close())
}

// contradiction refuses flags that say nothing of what is to be explained.
func contradiction(c *cli.Context, words inspect.Words) error {
	path := words.From != ""
	switch {
	case c.IsSet("file") && c.Args().Present():
		return overlay.Refuse(overlay.Invalid, "--file "+c.String("file"), "leave out one of them", "there are arguments to explain as well")
	case c.IsSet("node") && path:
		return overlay.Refuse(overlay.Invalid, "--node "+c.String("node"), "leave it out", "the hosts of both endpoints are asked")
	case c.IsSet("network") && !path:
		return overlay.Refuse(overlay.Invalid, "--network "+c.String("network"), "leave it out, or name two endpoints", "it is for FROM and TO, and a flow has its own")
	}
	return nil
}

// explainLines explains as many lines as come from there.
func explainLines(c *cli.Context, in io.Reader, name string) error {
	return inspectingArgs(agentOrHost, func(_ context.Context, c *cli.Context, i agent.Inspector) error {
		size := localPortion
		if c.IsSet("node") {
			size = remotePortion
		}
		return printExplanations(c, inPortions(c.Context, i.Explain, inspect.Portions(in, name, size)))
	})(c)
}

// inPortions asks one question after the other, each within queryTimeout.
func inPortions(ctx context.Context, ask func(context.Context, inspect.Question) iter.Seq2[inspect.Explanation, error], portions iter.Seq2[inspect.Question, error]) iter.Seq2[inspect.Explanation, error] {
	return func(yield func(inspect.Explanation, error) bool) {
		one := func(q inspect.Question) bool {
			ctx, cancel := context.WithTimeout(ctx, queryTimeout)
			defer cancel()
			for e, err := range ask(ctx, q) {
				if !yield(e, err) || err != nil {
					return false
				}
			}
			return true
		}
		for q, err := range portions {
			if err != nil {
				yield(inspect.Explanation{}, err)
				return
			}
			if !one(q) {
				return
			}
		}
	}
}

// openDump opens the file, or standard input, and says which.
func openDump(c *cli.Context) (in *os.File, name string, err error) {
	if path := c.String("file"); path != "" && path != "-" {
		object, remedy := "--file "+path, "name a file with the output of ovs-ofctl dump-flows"
		if in, err = os.Open(path); err != nil {
			return nil, "", overlay.Refuse(overlay.Invalid, object, remedy, "%v", err)
		}
		if info, err := in.Stat(); err == nil && info.IsDir() {
			return nil, "", errors.Join(overlay.Refuse(overlay.Invalid, object, remedy, "it is a directory"), in.Close())
		}
		return in, path, nil
	}
	if _, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS); err == nil {
		return nil, "", overlay.Refuse(overlay.Invalid, c.Command.HelpName, "see "+c.Command.HelpName+" --help", "nothing to explain: give a line, a cookie, two endpoints, or lines on standard input")
	}
	return os.Stdin, "standard input", nil
}

// explainPath asks the hosts of both endpoints.
func explainPath(ctx context.Context, c *cli.Context, s *store.Store, words inspect.Words) error {
	view, err := listCluster(ctx, c, s)
	if err != nil {
		return err
	}
	q, hosts, err := inspect.FindPath(view.Snapshot, words.From, words.To, c.String("network"))
	if err != nil {
		return err
	}
	inspectorOf := inspectorsOf(ctx, c, s)
	path := &explainedPath{
		patience: hostPatience,
		ask: func(ctx context.Context, host string) iter.Seq2[inspect.Explanation, error] {
			return inspectorOf(host).Explain(ctx, q)
		},
		assume: func(host, silent string) (iter.Seq[inspect.Explanation], error) {
			from, _ := view.Snapshot.Endpoint(q.From.Network, q.From.Endpoint)
			to, _ := view.Snapshot.Endpoint(q.To.Network, q.To.Endpoint)
			h := journey.Assumed(view.Snapshot, host, routeOf(self(view.Snapshot, host)))
			return inspect.NewBridge(h.Snapshot, h.Host, h.Route, nil).ExplainUnseen(from, to, silent)
		},
	}
	if err := printExplanations(c, path.over(ctx, hosts)); err != nil {
		return err
	}
	if path.silent != nil {
		return fmt.Errorf("%w: %w", errSaid, path.silent)
	}
	return nil
}

// explainedPath explains a way over hosts, one after the other. A host that does not
// answer keeps no other from being explained.
type explainedPath struct {
	// patience is how long a host may take.
	patience time.Duration
	ask      func(ctx context.Context, host string) iter.Seq2[inspect.Explanation, error]
	// assume explains by the cluster's records what a host has that said nothing, and
	// why it did not.
	assume func(host, silent string) (iter.Seq[inspect.Explanation], error)
	// silent is why some host said nothing; nil where all answered.
	silent error
}

func (p *explainedPath) over(ctx context.Context, hosts []string) iter.Seq2[inspect.Explanation, error] {
	return func(yield func(inspect.Explanation, error) bool) {
		for _, host := range hosts {
			if !p.explain(ctx, host, yield) {
				return
			}
		}
	}
}

// explain yields what one host says, or the records say of it.
func (p *explainedPath) explain(ctx context.Context, host string, yield func(inspect.Explanation, error) bool) bool {
	asking, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	begun := false
	var silent error
	for e, err := range p.ask(asking, host) {
		late := asking.Err() != nil && ctx.Err() == nil
		if err != nil && !begun && (late || overlay.IsKind(err, overlay.Unavailable)) {
			if silent = err; !overlay.IsKind(err, overlay.Unavailable) {
				silent = &overlay.Refusal{Kind: overlay.Unavailable, Object: "agent of " + host, Cause: "does not answer", Remedy: "see systemctl status ovsnet on that host", Err: err}
			}
			break
		}
		if begun = true; !yield(e, err) || err != nil {
			return false
		}
	}
	if silent == nil {
		return true
	}
	p.silent = silent
	list, err := p.assume(host, silent.Error())
	if err != nil {
		yield(inspect.Explanation{}, err)
		return false
	}
	for e := range list {
		if !yield(e, nil) {
			return false
		}
	}
	return true
}

func printExplanations(c *cli.Context, list iter.Seq2[inspect.Explanation, error]) error {
	if c.String("output") == "json" {
		return printStream(c.App.Writer, list)
	}
	return toPeople(c, func(w io.Writer) error { return inspect.WriteExplanations(w, list, styleOf(c)) })
}
