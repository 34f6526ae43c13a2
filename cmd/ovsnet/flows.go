package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

func flowsCommand() *cli.Command {
	return &cli.Command{
		Name: "flows", Usage: "the OpenFlow flows on this host, or another",
		Subcommands: []*cli.Command{listFlowsCommand(), diffFlowsCommand(), explainFlowsCommand(), traceFlowsCommand(), watchFlowsCommand()},
	}
}

func listFlowsCommand() *cli.Command {
	return &cli.Command{
		Name: "ls", Usage: "list flows by table, with packets, bytes, age and what each is for",
		Description: `Flows that are not as they should be say so: missing, altered, no longer
wanted, or not ovsnet's. Filters add up. -o wide shows match, actions, cookie
and state as well; for a pager that does not wrap: ovsnet flows ls | less -S`,
		Flags: append(lookFlags(), outputFlag(),
			&cli.StringFlag{Name: "network", Usage: "only flows of this `NETWORK` (name or ID)"},
			&cli.StringFlag{Name: "endpoint", Usage: "only flows of this `ENDPOINT` (container name, ID, IP or MAC address)"},
			&cli.StringFlag{Name: "table", Usage: "only flows of this `TABLE` (name or number)"},
			&cli.StringFlag{Name: "rule", Usage: "only flows of this `RULE`, such as arp-answer, or foreign"},
			&cli.IntFlag{Name: "active", Usage: "only flows that a packet hit in the last `SECONDS`"},
			&cli.BoolFlag{Name: "dropped", Usage: "only flows that dropped packets"},
		),
		Action: inspecting(agentOrHost, listFlows),
	}
}

func listFlows(ctx context.Context, c *cli.Context, i agent.Inspector) error {
	if c.IsSet("active") && c.Int("active") < 1 {
		return overlay.Refuse(overlay.Invalid, fmt.Sprintf("--active %d", c.Int("active")), "use a number of seconds above 0", "no time to look at")
	}
	filter := inspect.Filter{
		Network: c.String("network"), Endpoint: c.String("endpoint"), Table: c.String("table"), Rule: c.String("rule"),
		Active: c.Int("active"), Dropped: c.Bool("dropped"),
	}
	if c.String("output") == "json" {
		return printStream(c.App.Writer, i.Flows(ctx, filter))
	}
	return toPeople(c, func(w io.Writer) error { return i.List(ctx, filter, styleOf(c), w) })
}

// styleOf is how flows are shown to people: with colours only on a terminal, and
// where nobody asked for none (https://no-color.org).
func styleOf(c *cli.Context) inspect.Style {
	return inspect.Style{Wide: c.String("output") == "wide", Color: isTerminal(c.App.Writer) && os.Getenv("NO_COLOR") == ""}
}

// isTerminal reports whether people see what is written there at once.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// printStream prints a JSON array of what comes, as it comes, each on a line of its
// own: to indent tens of thousands takes longer than all the rest. Where the list breaks
// off, the array has what came before, and still ends.
func printStream[T any](w io.Writer, list iter.Seq2[T, error]) error {
	out := bufio.NewWriter(w)
	var text bytes.Buffer
	encode := json.NewEncoder(&text)
	encode.SetEscapeHTML(false)
	const opening = "[\n"
	separator, end := opening, "[]\n"
	for value, err := range list {
		if err == nil {
			text.Reset()
			err = encode.Encode(value)
		}
		if err != nil {
			if separator != opening {
				_, _ = out.WriteString(end)
			}
			return errors.Join(err, out.Flush())
		}
		_, _ = fmt.Fprintf(out, "%s%s", separator, bytes.TrimRight(text.Bytes(), "\n"))
		separator, end = ",\n", "\n]\n"
	}
	_, _ = out.WriteString(end)
	return out.Flush()
}
