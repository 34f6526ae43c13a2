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
		Name: "flows", Usage: "the OpenFlow flows on this host, or another",
		Subcommands: []*cli.Command{{
			Name: "ls", Usage: "list flows with what each is for",
			Flags: append(inspectFlags(), outputFlag(),
				&cli.StringFlag{Name: "network", Usage: "only flows of this `NETWORK`"},
				&cli.StringFlag{Name: "table", Usage: "only flows of this `TABLE` (name or number)"},
			),
			Action: withInspector(listFlows),
		}, traceFlowsCommand()},
	}
}

func listFlows(ctx context.Context, c *cli.Context, i agent.Inspector) error {
	lines, err := i.Flows(ctx, agent.FlowFilter{Network: c.String("network"), Table: c.String("table")})
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
