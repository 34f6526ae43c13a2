package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
	"github.com/ovsnet/ovsnet/tests/lab"
)

const (
	upPatience   = 10 * time.Minute
	takePatience = 5 * time.Minute
	lookEvery    = 100 * time.Millisecond
	// tries bounds how often one measurement is begun: iperf3's server may not be free again yet.
	tries = 3
	// quietPatience bounds the wait for quiet, quietShare is how busy the processors may be then.
	quietPatience = 2 * time.Minute
	quietShare    = 0.1
)

// bench is one run.
type bench struct {
	// self is this program, bin the directory of the project's programs.
	self, bin string
	datapath  lab.Datapath
	mtu       int
	// duration is of each single measurement; rounds is how often each is made.
	duration time.Duration
	rounds   int
	progress io.Writer

	labs     map[string]*lab.Lab
	contests []*contest
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// up makes the labs and the contenders with their servers, which end with ctx.
func (b *bench) up(ctx context.Context, which []contender) error {
	b.labs = map[string]*lab.Lab{}
	for _, c := range which {
		if b.labs[c.lab] == nil {
			l, err := b.lab(ctx, c.lab)
			if err != nil {
				return err
			}
			b.labs[c.lab] = l
		}
		if err := b.join(ctx, c); err != nil {
			return fmt.Errorf("set up %s: %w", c.name, err)
		}
		b.say("%s is up", c.name)
	}
	return nil
}

// lab brings up a lab of two hosts.
func (b *bench) lab(ctx context.Context, name string) (*lab.Lab, error) {
	ctx, cancel := context.WithTimeout(ctx, upPatience)
	defer cancel()
	o := labOptions(name)
	o.Datapath, o.MTU, o.Binaries, o.Progress = b.datapath, b.mtu, lab.BinariesIn(b.bin), b.progress
	if err := lab.Down(ctx, o.StateDir, o.Name, nil); err != nil {
		return nil, err
	}
	l, err := lab.Up(ctx, o)
	if err != nil {
		return nil, err
	}
	quiet := []*lab.Host{l.Net()}
	if o.NoDocker {
		quiet = append(quiet, l.Hosts()...)
	}
	for _, h := range quiet {
		if err := noBridgeFilter(ctx, h); err != nil {
			return l, err
		}
	}
	return l, nil
}

// noBridgeFilter undoes on hosts without Docker, and in the underlay, what the module that Docker loads does in every
// namespace: it gives bridged packets to iptables.
func noBridgeFilter(ctx context.Context, h *lab.Host) error {
	return script(ctx, h, `for f in /proc/sys/net/bridge/bridge-nf-call-*; do if [ -e "$f" ]; then echo 0 >"$f"; fi; done`)
}

// join sets a contender up and waits until its two sites reach each other.
func (b *bench) join(ctx context.Context, c contender) error {
	upCtx, cancel := context.WithTimeout(ctx, upPatience)
	defer cancel()
	sites, err := c.setUp(upCtx, b.labs[c.lab])
	if err != nil {
		return err
	}
	for _, argv := range [][]string{{b.self, "serve"}, {"iperf3", "-s"}} {
		if err := b.enter(ctx, sites[1], argv...).Start(); err != nil {
			return fmt.Errorf("start %v: %w", argv, err)
		}
	}
	joined := &contest{c, sites}
	b.contests = append(b.contests, joined)
	err = until(upCtx, func() error {
		_, err := b.probe(upCtx, joined, "connect")
		return err
	})
	if err != nil {
		return fmt.Errorf("the hosts do not reach each other: %w", err)
	}
	return nil
}

// until does something again and again until it succeeds or ctx ends, and then gives the last error.
func until(ctx context.Context, do func() error) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// down takes the labs away.
func (b *bench) down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), upPatience)
	defer cancel()
	var errs []error
	for _, l := range b.labs {
		errs = append(errs, l.Down(ctx))
	}
	return errors.Join(errs...)
}

// run measures everything on each contender, in turns.
func (b *bench) run(ctx context.Context, which []measure) ([]*figures.Figure, error) {
	var all []*figures.Figure
	taken := map[string]*figures.Figure{}
	for _, m := range which {
		for _, f := range m.figures {
			f.Samples = map[string][]float64{}
			taken[f.Name] = &f
			all = append(all, &f)
		}
	}
	if err := b.quiet(ctx); err != nil {
		return nil, err
	}
	for round := range b.rounds {
		for _, m := range which {
			for _, c := range figures.Turn(b.contests, round) {
				values, err := b.take(ctx, m, c)
				if err != nil {
					return nil, fmt.Errorf("%s on %s: %w", m.name, c.name, err)
				}
				b.say("round %d of %d: %s on %s: %.3f", round+1, b.rounds, m.name, c.name, values)
				for i, f := range m.figures {
					samples := taken[f.Name].Samples
					samples[c.name] = append(samples[c.name], values[i])
				}
			}
		}
	}
	for _, f := range all {
		f.Summarize()
	}
	return all, nil
}

// take makes one measurement.
func (b *bench) take(ctx context.Context, m measure, c *contest) (values []float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, takePatience)
	defer cancel()
	for try := 1; try <= tries; try++ {
		if values, err = m.take(ctx, b, c); err == nil || ctx.Err() != nil {
			break
		}
		b.say("%s on %s, try %d of %d: %v", m.name, c.name, try, tries, err)
	}
	return values, err
}

// quiet waits until the daemons have done what the setting up gave them to do. A machine that never gets quiet measures
// all the same: every contender pays for it.
func (b *bench) quiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quietPatience)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		before, err := busy()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			b.say("the machine does not get quiet")
			return nil
		case <-tick.C:
		}
		after, err := busy()
		if err != nil {
			return err
		}
		if share := (after - before).Seconds() / float64(runtime.NumCPU()); share < quietShare {
			return nil
		}
	}
}

// dumps are the flows of the kernel or of ovs-vswitchd, and how often they were looked for, on each host with a bridge
// while packets flow.
func (b *bench) dumps(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for _, c := range b.contests {
		if c.name != hand && c.name != ovsnet {
			continue
		}
		if _, err := b.take(ctx, measures()[0], c); err != nil {
			return nil, err
		}
		for _, h := range b.labs[c.lab].Hosts() {
			for _, command := range []string{"dpctl/dump-flows", "dpctl/show"} {
				text, err := h.Run(ctx, "ovs-appctl", command, "-m")
				if err != nil {
					return nil, err
				}
				out[c.name+" "+h.Name+" "+command] = text
			}
		}
	}
	return out, nil
}
