package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
)

// scenario is one size of the cluster; Members is in how many networks the measured host has an endpoint.
type scenario struct{ Nodes, Endpoints, Networks, Members int }

// parseScenarios reads NODES:ENDPOINTS:NETWORKS:MEMBERS,...
func parseScenarios(text string) ([]scenario, error) {
	var list []scenario
	for part := range strings.SplitSeq(text, ",") {
		var s scenario
		if _, err := fmt.Sscanf(part, "%d:%d:%d:%d", &s.Nodes, &s.Endpoints, &s.Networks, &s.Members); err != nil {
			return nil, fmt.Errorf("scenario %q: write NODES:ENDPOINTS:NETWORKS:MEMBERSHIPS: %w", part, err)
		}
		list = append(list, s)
	}
	return list, nil
}

// pace is one way for changes to come: one after the other where rate is 0, or count of them at so many a second.
type pace struct{ rate, count int }

func paces() []pace {
	return []pace{{0, 500}, {100, 500}, {300, 600}, {1000, 100}, {1000, 1000}, {2000, 2000}}
}

// row measures one size of the cluster.
func (l *laboratory) row(ctx context.Context, s scenario, first bool) (figures.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	fmt.Fprintf(os.Stderr, "%s  %d nodes, %d endpoints, %d networks, there in %d\n", time.Now().Format(time.TimeOnly), s.Nodes, s.Endpoints, s.Networks, s.Members)
	if err := l.fleet.grow(ctx, s); err != nil {
		return figures.Row{}, err
	}
	if first {
		if err := l.fleet.check(ctx); err != nil {
			return figures.Row{}, err
		}
	}
	for n := range s.Members {
		if err := l.host.join(ctx, n, l.fleet.networks[n]); err != nil {
			return figures.Row{}, err
		}
	}
	row := figures.Row{Nodes: s.Nodes, Endpoints: s.Endpoints, Networks: s.Networks, Members: len(l.host.members), Load: figures.Load()}
	if err := l.starts(ctx, &row); err != nil {
		return figures.Row{}, err
	}
	var err error
	if l.monitor, err = watch(ctx, l.host); err != nil {
		return figures.Row{}, err
	}
	defer l.monitor.stop()
	if err := l.rest(ctx); err != nil {
		return figures.Row{}, err
	}
	for _, p := range paces() {
		c, err := l.changes(ctx, p.rate, p.count)
		if err != nil {
			return figures.Row{}, err
		}
		row.Changes = append(row.Changes, c)
	}
	if s.Networks > s.Members {
		if row.Elsewhere, err = l.elsewhere(ctx, s.Networks-1); err != nil {
			return figures.Row{}, err
		}
	}
	all, err := l.usage()
	if err != nil {
		return figures.Row{}, err
	}
	row.AgentRSS, row.AgentPeak, row.SwitchRSS = all[0].RSS, all[0].Peak, all[1].RSS
	row.Sustained, err = l.sustained(ctx)
	return row, err
}

// starts measures the agent's start without flows and with all of them.
func (l *laboratory) starts(ctx context.Context, row *figures.Row) error {
	if err := l.fleet.compact(ctx); err != nil {
		return err
	}
	status, err := l.fleet.raw.Status(ctx, etcdURL)
	if err != nil {
		return fmt.Errorf("ask etcd how large it is: %w", err)
	}
	row.EtcdBytes = float64(status.DbSizeInUse) / (1 << 20)
	cold, err := l.host.restart(ctx, true, status.Header.Revision)
	if err != nil {
		return err
	}
	row.Cold = cold.Seconds()
	all, err := l.usage()
	if err != nil {
		return err
	}
	row.ColdCPU = all[0].CPU.Seconds()
	if row.Flows, err = l.host.flows(ctx); err != nil {
		return err
	}
	warm, err := l.host.restart(ctx, false, status.Header.Revision)
	row.Warm = warm.Seconds()
	return err
}

// restPatience bounds the wait for rest, restShare is how much of a processor the agent may use then.
const (
	restPatience = 30 * time.Second
	restShare    = 0.02
)

// rest waits until the agent has done all that its start gave it to do beside the flows, which is no change's cost.
func (l *laboratory) rest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, restPatience)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		before, err := l.usage()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the agent does not come to rest after its start: %w", ctx.Err())
		case <-tick.C:
		}
		after, err := l.usage()
		if err != nil {
			return err
		}
		if after[0].CPU-before[0].CPU < time.Duration(restShare*float64(time.Second)) {
			return nil
		}
	}
}
