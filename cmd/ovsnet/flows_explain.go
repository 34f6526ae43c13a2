package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
)

// maxDump bounds what is read to be explained, in bytes.
const maxDump = 64 << 20

func explainFlowsCommand() *cli.Command {
	return &cli.Command{
		Name: "explain", Usage: "what flows do, why they exist, and what would happen without them",
		ArgsUsage: "[LINE | COOKIE | FROM TO]",
		Description: `LINE is a flow as ovs-ofctl dump-flows prints it; without arguments lines are
read from --file or standard input. COOKIE is a number. FROM TO are two
endpoints of one network: the flows that ARP and a packet between them meet,
on both hosts. -o wide prints each flow with its statistics, its rule, network,
endpoint and host.

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
	if words.From != "" {
		return withStore(func(ctx context.Context, c *cli.Context, s *store.Store) error { return explainPath(ctx, c, s, words) })(c)
	}
	if words.Cookie == nil && words.Dump == "" {
		if words.Dump, err = readDump(c); err != nil {
			return err
		}
	}
	return inspectingArgs(agentOrHost, func(ctx context.Context, c *cli.Context, i agent.Inspector) error {
		return printExplanations(c, i.Explain(ctx, words.Question))
	})(c)
}

// readDump reads the lines from the file or from standard input.
func readDump(c *cli.Context) (string, error) {
	in := os.Stdin
	if path := c.String("file"); path != "" && path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", overlay.Refuse(overlay.Invalid, "--file "+path, "name a file with the output of ovs-ofctl dump-flows", "%v", err)
		}
		defer func() { _ = file.Close() }()
		in = file
	} else if _, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS); err == nil {
		return "", overlay.Refuse(overlay.Invalid, c.Command.HelpName, "see "+c.Command.HelpName+" --help", "nothing to explain: give a line, a cookie, two endpoints, or lines on standard input")
	}
	text, err := io.ReadAll(io.LimitReader(in, maxDump))
	if err != nil {
		return "", fmt.Errorf("read the lines to explain: %w", err)
	}
	return string(text), nil
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
	return printExplanations(c, func(yield func(inspect.Explanation, error) bool) {
		for _, host := range hosts {
			for e, err := range inspectorOf(ctx, c, s, host).Explain(ctx, q) {
				if !yield(e, err) {
					return
				}
			}
		}
	})
}

func printExplanations(c *cli.Context, list iter.Seq2[inspect.Explanation, error]) error {
	if c.String("output") == "json" {
		return printStream(c.App.Writer, list)
	}
	return inspect.WriteExplanations(c.App.Writer, list, styleOf(c))
}
