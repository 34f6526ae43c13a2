package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

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
	compared, err := i.Differences(ctx)
	if err != nil {
		return err
	}
	p := reports{c: c}
	if err := errors.Join(p.print(compared), p.end()); err != nil {
		return err
	}
	if p.differences == 0 {
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
	_, _ = fmt.Fprintf(c.App.ErrWriter, "ovsnet: repaired %d flows\n", p.differences)
	return nil
}

// diffAll compares the flows of every host.
func diffAll(ctx context.Context, c *cli.Context, s *store.Store) error {
	if err := exactArgs(c); err != nil {
		return err
	}
	view, err := listCluster(ctx, c, s)
	if err != nil {
		return err
	}
	var hosts []string
	for node := range view.Snapshot.Nodes() {
		hosts = append(hosts, node.Name)
	}
	inspectorOf := inspectorsOf(ctx, c, s)
	return printAll(c, askEach(hosts, func(host string) (inspect.Report, error) {
		compared, err := inspectorOf(host).Differences(ctx)
		if err != nil {
			return inspect.Report{}, err
		}
		return compared.Report()
	}))
}

// printAll prints each host's report as it comes. A host that does not answer keeps
// no other from being shown.
func printAll(c *cli.Context, answers iter.Seq2[inspect.Report, error]) error {
	p := reports{c: c}
	var silent error
	for report, err := range answers {
		if err != nil {
			_, _ = fmt.Fprintln(c.App.ErrWriter, "ovsnet:", err)
			silent = fmt.Errorf("%w: %w", errSaid, err)
			continue
		}
		if err := p.print(report.Comparison()); err != nil {
			return err
		}
	}
	if err := p.end(); err != nil {
		return err
	}
	if silent == nil && p.differences > 0 {
		return errDiffers
	}
	return silent
}

// reports prints comparisons one after the other: for programs as an array.
type reports struct {
	c *cli.Context
	// differences and hosts count what was printed.
	differences, hosts int
}

// print prints a comparison as its differences come.
func (r *reports) print(compared inspect.Comparison) error {
	all := compared.Differences
	compared.Differences = func(yield func(inspect.Difference, error) bool) {
		for d, err := range all {
			if err == nil {
				r.differences++
			}
			if !yield(d, err) {
				return
			}
		}
	}
	if r.c.String("output") != "json" {
		return toPeople(r.c, func(w io.Writer) error { return compared.WriteUnified(w, styleOf(r.c)) })
	}
	before := ",\n"
	if r.hosts++; r.hosts == 1 {
		before = "[\n"
	}
	if _, err := io.WriteString(r.c.App.Writer, before); err != nil {
		return err
	}
	return compared.WriteJSON(r.c.App.Writer)
}

// end ends the array.
func (r *reports) end() error {
	if r.c.String("output") != "json" {
		return nil
	}
	text := "\n]\n"
	if r.hosts == 0 {
		text = "[]\n"
	}
	_, err := io.WriteString(r.c.App.Writer, text)
	return err
}

// askEach asks every host, several at once, and yields their answers in the order of
// the hosts, each as soon as it and those before it are there.
func askEach[T any](hosts []string, ask func(host string) (T, error)) iter.Seq2[T, error] {
	type answer struct {
		value T
		err   error
	}
	return func(yield func(T, error) bool) {
		places := make(chan struct{}, atOnce)
		answers := make([]chan answer, len(hosts))
		for i, host := range hosts {
			answers[i] = make(chan answer, 1)
			go func() {
				places <- struct{}{}
				defer func() { <-places }()
				value, err := ask(host)
				answers[i] <- answer{value, err}
			}()
		}
		for _, next := range answers {
			if a := <-next; !yield(a.value, a.err) {
				return
			}
		}
	}
}
