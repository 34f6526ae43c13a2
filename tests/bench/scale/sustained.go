package main

import (
	"context"
	"fmt"
	"os"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
)

const (
	// sustainedSeconds is for how long each rate is tried.
	sustainedSeconds = 4
	// caughtUp is how long after the last write, in milliseconds, the last flow may come. Where a rate is beyond what is
	// possible by a few in a hundred, what waits by then takes longer.
	caughtUp = 100
	// sustainedTries is how often a rate is tried before it counts as too high.
	sustainedTries = 2
)

// sustainedRates are tried until one is not kept up with. All of them together need 102,000 addresses of a network,
// twice that if each is tried twice.
func sustainedRates() []int { return []int{500, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000} }

// sustained looks for the rate of changes at which the flows begin to lag.
func (l *laboratory) sustained(ctx context.Context) ([]figures.Changes, error) {
	var tried []figures.Changes
	for _, rate := range sustainedRates() {
		for range sustainedTries {
			c, err := l.changes(ctx, rate, rate*sustainedSeconds)
			if err != nil {
				return nil, fmt.Errorf("%d changes a second: %w", rate, err)
			}
			c.KeptUp = c.Behind <= caughtUp
			tried = append(tried, c)
			fmt.Fprintf(os.Stderr, "          %d changes a second: %.1f ms, the last one behind by %.1f ms\n", rate, c.P50, c.Behind)
			if c.KeptUp {
				break
			}
		}
		if !tried[len(tried)-1].KeptUp {
			break
		}
	}
	return tried, nil
}
