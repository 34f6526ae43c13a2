package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
)

// errDiffers ends a command that found flows which are not as they should be.
var errDiffers = errors.New("flows differ")

// atOnce is how many hosts are asked at the same time.
const atOnce = 16

func diffFlowsCommand() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "desired against installed flows, as a unified diff with reasons; exit status 0 and nothing when they agree, 5 when not",
		Description: `Lines with - are installed and should not be, lines with + should be and are
not; the line with # before them says what for. -o wide also says what an
installed flow counted, whose it is, and what of an altered one differs. With
--repair this host's agent makes the installed flows the desired ones, which
also removes flows on its bridge that are not ovsnet's; it prints what it
changed.`,
		Flags: append(lookFlags(), outputFlag(),
			&cli.BoolFlag{Name: "all", Usage: "ask every host of the cluster"},
			&cli.BoolFlag{Name: "repair", Usage: "make them agree, on this host"},
		),
		Action: diffFlows,
	}
}

func diffFlows(c *cli.Context) error {
	if c.Bool("repair") && (c.Bool("all") || c.IsSet("node")) {
		return overlay.Refuse(overlay.Invalid, "--repair", "run it on that host", "other hosts are only looked at")
	}
	if c.Bool("all") && c.IsSet("node") {
		return overlay.Refuse(overlay.Invalid, "--all", "leave out one of them", "it contradicts --node")
	}
	if c.Bool("all") {
		return withStore(diffAll)(c)
	}
	return inspecting(agentOrHost, diffOne)(c)
}

// diffOne compares one host's flows, and where that is asked repairs them.
func diffOne(ctx context.Context, c *cli.Context, i agent.Inspector) error {
	report, err := i.Differences(ctx)
	if err != nil {
		return err
	}
	if err := printReports(c, []inspect.Report{report}); err != nil {
		return err
	}
	if len(report.Differences) == 0 {
		return nil
	}
	if !c.Bool("repair") {
		return errDiffers
	}
	left, err := agent.NewClient(c.String("socket")).Repair(ctx)
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if len(left.Differences) > 0 {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "ovsnet: %d flows differ still, the first: %s\n", len(left.Differences), left.Differences[0].Reason)
		return errDiffers
	}
	_, _ = fmt.Fprintf(c.App.ErrWriter, "ovsnet: repaired %d flows\n", len(report.Differences))
	return nil
}

// diffAll compares the flows of every host. One that does not answer keeps no
// other from being shown.
func diffAll(ctx context.Context, c *cli.Context, s *store.Store) error {
	if err := exactArgs(c); err != nil {
		return err
	}
	view, err := listCluster(ctx, c, s)
	if err != nil {
		return err
	}
	var reports []inspect.Report
	var silent error
	differ := false
	for answer := range askEach(ctx, c, s, view.Snapshot, agent.Inspector.Differences) {
		if answer.err != nil {
			_, _ = fmt.Fprintln(c.App.ErrWriter, "ovsnet:", answer.err)
			silent = fmt.Errorf("%w: %w", errSaid, answer.err)
			continue
		}
		differ = differ || len(answer.value.Differences) > 0
		reports = append(reports, answer.value)
	}
	if err := printReports(c, reports); err != nil {
		return err
	}
	if silent == nil && differ {
		return errDiffers
	}
	return silent
}

func printReports(c *cli.Context, reports []inspect.Report) error {
	if c.String("output") == "json" {
		if reports == nil {
			reports = []inspect.Report{}
		}
		return printJSON(c.App.Writer, reports)
	}
	for _, r := range reports {
		if err := r.WriteUnified(c.App.Writer, styleOf(c)); err != nil {
			return err
		}
	}
	return nil
}

// hostAnswer is what one host answered, or why not.
type hostAnswer[T any] struct {
	value T
	err   error
}

// askEach asks every host of the cluster, several at once, and yields their
// answers in the order of their names.
func askEach[T any](ctx context.Context, c *cli.Context, s *store.Store, snapshot *overlay.Snapshot, ask func(agent.Inspector, context.Context) (T, error)) func(yield func(hostAnswer[T]) bool) {
	return func(yield func(hostAnswer[T]) bool) {
		places := make(chan struct{}, atOnce)
		var answers []chan hostAnswer[T]
		for node := range snapshot.Nodes() {
			answer := make(chan hostAnswer[T], 1)
			answers = append(answers, answer)
			go func() {
				places <- struct{}{}
				defer func() { <-places }()
				value, err := ask(inspectorOf(ctx, c, s, node.Name), ctx)
				answer <- hostAnswer[T]{value, err}
			}()
		}
		for _, answer := range answers {
			if !yield(<-answer) {
				return
			}
		}
	}
}
