package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
)

// bound is what the median of a ratio of ovsnet to another contender must keep.
type bound struct {
	figure, to string
	// least or most is the bound; the other is 0.
	least, most float64
	why         string
}

// bounds are for the virtual machine that counts instructions. There a round trip repeats to one in a thousand, so
// that what the pipeline costs a packet shows in it first. One sample in ten of the others lies far out, and medians
// of a few scatter by two or three in a hundred: their bounds leave room for that.
func bounds() []bound {
	const (
		pipeline = "the whole pipeline may cost a packet no more than one flow each way between the same containers, which is tracked"
		streams  = "a stream, many packets or connections may be behind those flows by no more than they scatter"
		peer     = "Docker's own overlay is what users have otherwise"
	)
	return []bound{
		{figure: "rr50", to: hand, most: 1, why: pipeline},
		{figure: "tcp1", to: hand, least: 0.95, why: streams},
		{figure: "udp64", to: hand, least: 0.95, why: streams},
		{figure: "connect", to: hand, least: 0.95, why: streams},
		{figure: "rr50", to: swarm, most: 0.95, why: peer},
		{figure: "tcp1", to: swarm, least: 0.97, why: peer},
		{figure: "udp64", to: swarm, least: 1, why: peer},
		{figure: "connect", to: swarm, least: 1, why: peer},
	}
}

// check says of every bound whether the report keeps it, and fails when one is not kept.
func check(r figures.Datapath, out io.Writer) error {
	var errs []error
	for _, b := range bounds() {
		var ratio figures.Summary
		for _, f := range r.Figures {
			if f.Name == b.figure {
				ratio = f.Ratio[b.to]
			}
		}
		limit, kept := fmt.Sprintf("≥ %.2f", b.least), ratio.Median >= b.least
		if b.most > 0 {
			limit, kept = fmt.Sprintf("≤ %.2f", b.most), ratio.Median <= b.most
		}
		line := fmt.Sprintf("%s: ovsnet to %s %s, must be %s: %s", b.figure, b.to, ratio.Text(3), limit, b.why)
		fmt.Fprintln(out, line)
		if ratio == (figures.Summary{}) || !kept {
			errs = append(errs, errors.New(line))
		}
	}
	return errors.Join(errs...)
}
