package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
	"github.com/ovsnet/ovsnet/tests/bench/figures"
)

// watching lets agents that are nothing but package store's Watcher, each with a connection of its own, follow the
// first network, and writes changes one after the other.
func (l *laboratory) watching(ctx context.Context, config store.Config, agents, count int) (figures.Watching, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	network := l.fleet.networks[0].ID
	arrivals := make(chan arrival, agents)
	began := time.Now()
	group, ready := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for n := range agents {
		group.Go(func() error {
			s, err := store.Open(config)
			if err != nil {
				return err
			}
			context.AfterFunc(ctx, func() { _ = s.Close() })
			w := s.Watch(ctx, hostName(n))
			go follow(w, network, arrivals)
			return w.Follow(ready, network)
		})
	}
	if err := group.Wait(); err != nil {
		return figures.Watching{}, err
	}
	result := figures.Watching{Agents: agents, Ready: time.Since(began).Seconds()}
	before, err := l.usage()
	if err != nil {
		return figures.Watching{}, err
	}
	subjects, _ := l.fresh(count)
	var last, half []time.Duration
	for i := range subjects {
		began := time.Now()
		if err := l.fleet.write(ctx, subjects[i:i+1], true); err != nil {
			return figures.Watching{}, err
		}
		times, err := collect(ctx, arrivals, subjects[i].id(), agents)
		if err != nil {
			return figures.Watching{}, err
		}
		last, half = append(last, times[agents-1].Sub(began)), append(half, times[agents/2].Sub(began))
	}
	after, err := l.usage()
	if err != nil {
		return figures.Watching{}, err
	}
	slices.Sort(last)
	slices.Sort(half)
	result.P50, result.P99, result.Median = figures.MS(last[count/2]), figures.MS(last[count*99/100]), figures.MS(half[count/2])
	result.Etcd, result.EtcdRSS = figures.MS(after[2].CPU-before[2].CPU)/float64(count), after[2].RSS
	return result, l.fleet.removeAll(ctx, subjects)
}

// arrival is an endpoint that a view brought.
type arrival struct {
	endpoint string
	at       time.Time
}

// follow tells of every endpoint of a measurement that a view brings.
func follow(w *store.Watcher, network string, arrivals chan<- arrival) {
	before := overlay.NewSnapshot()
	for view := range w.Views() {
		at := time.Now()
		for _, c := range overlay.Diff(before, view.Snapshot).Endpoints {
			if c.After != nil && c.Before == nil && c.After.Network == network && !c.After.IPv4.Less(measured()) {
				arrivals <- arrival{endpoint: c.After.ID, at: at}
			}
		}
		before = view.Snapshot
	}
}

// measured is the first address of the endpoints that come and go for measurements.
func measured() netip.Addr { return subject{number: firstMeasured}.address() }

// collect gives the times, sorted, at which all agents had the endpoint.
func collect(ctx context.Context, arrivals <-chan arrival, endpoint string, agents int) ([]time.Time, error) {
	var times []time.Time
	for len(times) < agents {
		select {
		case a := <-arrivals:
			if a.endpoint == endpoint {
				times = append(times, a.at)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d agents saw the change: %w", len(times), agents, ctx.Err())
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times, nil
}
