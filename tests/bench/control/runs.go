package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// times are those of one kind's containers, in milliseconds.
type times struct {
	kind
	started, removed, reached []float64
	failed                    int
}

// runs starts and removes containers of each kind in turns. Those that others can reach are started twice: once alone,
// for the time that it takes, and once with probers that wait for them, whose questions are work for the same machine.
func runs(ctx context.Context, h *lab.Host, kinds []kind, probers []*prober, rounds int) ([]figures.Run, error) {
	var all []*times
	for _, k := range kinds {
		all = append(all, &times{kind: k})
	}
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "\r  container %d of %d of each kind", round+1, rounds)
		for _, t := range figures.Turn(all, round) {
			t.take(ctx, h, nil, 2*round)
			if t.prefix.IsValid() {
				t.take(ctx, h, probers, 2*round+1)
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	fmt.Fprintln(os.Stderr)
	var list []figures.Run
	for _, t := range all {
		r := figures.Run{Kind: t.name, Start: figures.NewSpread(t.started), Remove: figures.NewSpread(t.removed), Failed: t.failed}
		if t.prefix.IsValid() {
			s := figures.NewSpread(t.reached)
			r.Reached = &s
		}
		list = append(list, r)
	}
	return list, nil
}

// take starts and removes one container and adds what that took: with probers when it was reached, else all else.
func (t *times) take(ctx context.Context, h *lab.Host, probers []*prober, number int) {
	start, reach, err := oneRun(ctx, h, t.kind, probers, number)
	began := time.Now()
	_, gone := h.Run(ctx, "docker", "rm", "-f", "it")
	switch err = errors.Join(err, gone); {
	case err != nil:
		t.failed++
		fmt.Fprintf(os.Stderr, "\n  %s: %v\n", t.name, err)
	case probers == nil:
		t.started, t.removed = append(t.started, start), append(t.removed, figures.MS(time.Since(began)))
	default:
		t.reached = append(t.reached, reach)
	}
}

// runPatience is how long one container may take.
const runPatience = time.Minute

// oneRun starts one container, and waits until every prober has heard from it.
func oneRun(ctx context.Context, h *lab.Host, k kind, probers []*prober, number int) (start, reached float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, runPatience)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	answers := make([]time.Time, len(probers))
	if addr := k.address(number); addr.IsValid() {
		for i, p := range probers {
			group.Go(func() (err error) { answers[i], err = p.first(ctx, addr); return err })
		}
	}
	began := time.Now()
	if _, err := h.Run(ctx, k.start("it", number)...); err != nil {
		return 0, 0, err
	}
	returned := time.Now()
	if err := group.Wait(); err != nil {
		return 0, 0, err
	}
	last := returned
	if len(answers) > 0 {
		last = slices.MaxFunc(answers, time.Time.Compare)
	}
	return figures.MS(returned.Sub(began)), figures.MS(last.Sub(returned)), nil
}

// calls reads what the agent's log says of the calls that containers' starts and removals made.
func calls(h *lab.Host) ([]figures.Call, error) {
	text, err := h.Log(lab.Agent)
	if err != nil {
		return nil, err
	}
	took := map[string][]float64{}
	for _, found := range regexp.MustCompile(`method=(\S+) took=(\S+)`).FindAllStringSubmatch(text, -1) {
		d, err := time.ParseDuration(found[2])
		if err != nil {
			return nil, fmt.Errorf("the agent's log: %w", err)
		}
		took[found[1]] = append(took[found[1]], figures.MS(d))
	}
	var list []figures.Call
	for _, method := range []string{"IpamDriver.RequestAddress", "NetworkDriver.CreateEndpoint", "NetworkDriver.Join", "NetworkDriver.EndpointOperInfo",
		"NetworkDriver.Leave", "NetworkDriver.DeleteEndpoint", "IpamDriver.ReleaseAddress"} {
		if all := took[method]; len(all) > 0 {
			list = append(list, figures.Call{Method: method, Count: len(all), Took: figures.NewSpread(all)})
		}
	}
	return list, nil
}
