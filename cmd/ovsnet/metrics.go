package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
)

func metricsCommand() *cli.Command {
	return &cli.Command{
		Name: "metrics", Usage: "this host's agent's metrics, in Prometheus' text format",
		Flags: []cli.Flag{socketFlag()},
		Action: func(c *cli.Context) error {
			if err := exactArgs(c); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context, queryTimeout)
			defer cancel()
			return agent.NewClient(c.String("socket")).Metrics(ctx, c.App.Writer)
		},
	}
}
