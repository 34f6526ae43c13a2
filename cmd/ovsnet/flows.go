package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
)

func flowsCommand() *cli.Command {
	return &cli.Command{
		Name: "flows", Usage: "the OpenFlow flows on this host",
		Subcommands: []*cli.Command{{
			Name: "ls", Usage: "list flows with what each is for",
			Flags: []cli.Flag{
				socketFlag(), outputFlag(),
				&cli.StringFlag{Name: "network", Usage: "only flows of this `NETWORK`"},
				&cli.StringFlag{Name: "table", Usage: "only flows of this `TABLE` (name or number)"},
			},
			Action: listFlows,
		}},
	}
}

func listFlows(c *cli.Context) error {
	if err := exactArgs(c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context, queryTimeout)
	defer cancel()
	lines, err := agent.NewClient(c.String("socket")).Flows(ctx, agent.FlowFilter{Network: c.String("network"), Table: c.String("table")})
	if err != nil {
		return err
	}
	return printList(c, lines, []column[agent.FlowLine]{
		{title: "table", cell: func(l agent.FlowLine) string { return fmt.Sprintf("%d %s", l.Table, l.TableName) }},
		{title: "priority", cell: func(l agent.FlowLine) string { return strconv.Itoa(int(l.Priority)) }},
		{title: "packets", cell: func(l agent.FlowLine) string { return strconv.FormatUint(l.Packets, 10) }},
		{title: "bytes", cell: func(l agent.FlowLine) string { return strconv.FormatUint(l.Bytes, 10) }},
		{title: "age", cell: func(l agent.FlowLine) string { return (time.Duration(l.Age) * time.Second).String() }},
		{title: "match", cell: func(l agent.FlowLine) string { return orDash(l.Match) }},
		{title: "reason", cell: func(l agent.FlowLine) string { return l.Reason }},
		{title: "actions", cell: func(l agent.FlowLine) string { return l.Actions }, wide: true},
		{title: "state", cell: func(l agent.FlowLine) string { return l.State }, wide: true},
		{title: "cookie", cell: func(l agent.FlowLine) string { return l.Cookie }, wide: true},
	})
}
