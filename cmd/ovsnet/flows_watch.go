package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

func watchFlowsCommand() *cli.Command {
	return &cli.Command{
		Name: "watch", Usage: "show changes of the flows as they happen, by ovsnet or by others; ends with ctrl-C",
		Description: `With --node it is another host's flows: its agent is asked about once a second what
changed since, in the same order and words as there.`,
		Flags: append(inspectFlags(), outputFlag(),
			&cli.BoolFlag{Name: "counters", Usage: "show the busiest flows, networks and drops instead, again and again"},
			&cli.DurationFlag{Name: "every", Usage: "how often --counters looks, at least 0.2s", Value: 2 * time.Second},
			&cli.IntFlag{Name: "top", Usage: "how many of each kind --counters shows, `N`", Value: 10},
		),
		Action: func(c *cli.Context) error {
			if err := exactArgs(c); err != nil {
				return err
			}
			if c.String("node") != "" {
				return watchOther(c)
			}
			client := agent.NewClient(c.String("socket"))
			if c.Bool("counters") {
				return watchCounters(c, client.Inspector)
			}
			return client.Watch(c.Context, showChange(c))
		},
	}
}

// watchOther watches the host that --node names.
func watchOther(c *cli.Context) error {
	s, err := openStore(c)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	node := c.String("node")
	i := inspectorOf(c.Context, c, s, node)
	if c.Bool("counters") {
		return watchCounters(c, i)
	}
	return i.FollowFlows(c.Context, node, showChange(c))
}

// showChange shows changes as they come.
func showChange(c *cli.Context) func(agent.FlowChange) error {
	return func(change agent.FlowChange) error {
		if c.String("output") == "json" {
			return json.NewEncoder(c.App.Writer).Encode(change)
		}
		_, err := fmt.Fprintln(c.App.Writer, printable(changeLine(change, c.String("output") == "wide")))
		return err
	}
}

// changeLine is a change for people: when, who, what, where, and what for. What a
// flow does is shown where it is not as ovsnet made it, and where wide.
func changeLine(c agent.FlowChange, wide bool) string {
	at := c.At.Local().Format("15:04:05.000")
	switch {
	case c.Lost > 0:
		return fmt.Sprintf("%s  %d changes came faster than they were shown", at, c.Lost)
	case c.Change == flows.Missed.String():
		return fmt.Sprintf("%s  %s", at, c.Reason)
	}
	what := c.Change
	if c.Cause != "" {
		what += " (" + c.Cause + ")"
	}
	line := fmt.Sprintf("%s  %-6s  %-7s  %-15s  %-46s  %s", at, c.By, what, fmt.Sprintf("%d %s", c.Table, c.TableName), orDash(c.Match), c.Reason)
	switch {
	case wide:
		line += fmt.Sprintf(" [cookie=%s actions=%s]", c.Cookie, c.Actions)
	case c.By == "other" && c.Change != flows.Removed.String():
		line += fmt.Sprintf(" [actions=%s]", c.Actions)
	}
	return line
}

// watchCounters looks at the counters again and again until the user ends it.
func watchCounters(c *cli.Context, i agent.Inspector) error {
	every := c.Duration("every")
	if every < 200*time.Millisecond || c.Int("top") < 1 {
		return overlay.Refuse(overlay.Invalid, "flows watch --counters", "use --every 0.2s or more, and --top 1 or more", "that is too little")
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before []inspect.Line
	var at time.Time
	for {
		lines, now, err := counters(c.Context, i)
		if c.Context.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if before != nil {
			if err := printTop(c, inspect.NewTop(before, lines, now, now.Sub(at).Seconds(), c.Int("top"))); err != nil {
				return err
			}
		}
		before, at = lines, now
		select {
		case <-c.Context.Done():
			return nil
		case <-tick.C:
		}
	}
}

// counters returns the flows with their counters, and when they were so.
func counters(ctx context.Context, i agent.Inspector) ([]inspect.Line, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	lines := []inspect.Line{}
	for line, err := range i.Flows(ctx, inspect.Filter{}) {
		if err != nil {
			return nil, time.Time{}, err
		}
		lines = append(lines, line)
	}
	return lines, time.Now(), nil
}

// printTop prints one look: a screen of its own on a terminal, else lines that
// each say everything.
func printTop(c *cli.Context, top inspect.Top) error {
	to := c.App.Writer
	if c.String("output") == "json" {
		return json.NewEncoder(to).Encode(top)
	}
	if isTerminal(to) {
		const homeAndClear = "\x1b[H\x1b[2J"
		if _, err := fmt.Fprint(to, homeAndClear); err != nil {
			return err
		}
	}
	at := top.At.Local().Format("15:04:05")
	if len(top.Flows)+len(top.Drops)+len(top.Networks) == 0 {
		_, err := fmt.Fprintf(to, "%s  quiet\n", at)
		return err
	}
	for _, n := range top.Networks {
		line := fmt.Sprintf("from here %s, from other hosts %s", rate(n.LocalPackets, n.LocalBytes), rate(n.TunnelPackets, n.TunnelBytes))
		if _, err := fmt.Fprintf(to, "%s  network  %-15s  %s\n", at, printable(n.Network), line); err != nil {
			return err
		}
	}
	return errors.Join(printRates(to, at, "flow", top.Flows), printRates(to, at, "drop", top.Drops))
}

func printRates(to io.Writer, at, kind string, list []inspect.FlowRate) error {
	for _, f := range list {
		if _, err := fmt.Fprintf(to, "%s  %-7s  %-15s  %s  %s\n", at, kind, printable(f.Table), rate(f.Packets, f.Bytes), printable(f.Reason)); err != nil {
			return err
		}
	}
	return nil
}

// rate is traffic per second, for people.
func rate(packets, bytes float64) string {
	bits, unit := bytes*8, "bit/s"
	for _, larger := range []string{"kbit/s", "Mbit/s", "Gbit/s"} {
		if bits < 1000 {
			break
		}
		bits, unit = bits/1000, larger
	}
	return fmt.Sprintf("%9.1f packets/s %6.1f %-6s", packets, bits, unit)
}
