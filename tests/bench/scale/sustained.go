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
	// sustainedLag is how much later than their writes, in milliseconds, the flows of the last of those seconds may be in
	// the median. Where a rate is beyond what is possible by a few in a hundred they are later by more by then.
	sustainedLag = 100
)

// sustainedRates are tried until one is not kept up with.
func sustainedRates() []int { return []int{500, 1000, 1500, 2000, 2500, 3000, 4000, 5000, 6000} }

// sustained looks for the rate of changes at which the flows begin to lag.
func (l *laboratory) sustained(ctx context.Context) ([]figures.Changes, error) {
	var tried []figures.Changes
	for _, rate := range sustainedRates() {
		c, err := l.changes(ctx, rate, rate*sustainedSeconds)
		if err != nil {
			return nil, fmt.Errorf("%d changes a second: %w", rate, err)
		}
		c.KeptUp = c.Late <= sustainedLag
		tried = append(tried, c)
		fmt.Fprintf(os.Stderr, "          %d changes a second: %.1f ms in the last second\n", rate, c.Late)
		if !c.KeptUp {
			break
		}
	}
	return tried, nil
}
