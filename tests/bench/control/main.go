package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
	"github.com/ovsnet/ovsnet/tests/lab"
)

const (
	labName  = "bench-control"
	hosts    = 3
	patience = 3 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "control:", err)
		stop()
		os.Exit(1)
	}
}

// counts are how much is measured.
type counts struct{ rounds, burst, bursts, creates int }

func run(ctx context.Context) error {
	bin := flag.String("bin", "bin", "where ovsnet and ovsnet-lab are")
	data := flag.String("o", "control.json", "file for the figures as JSON")
	var c counts
	flag.IntVar(&c.rounds, "rounds", 20, "how many containers of each kind are started one by one")
	flag.IntVar(&c.burst, "parallel", 100, "how many are started at once; 0 for not at all")
	flag.IntVar(&c.bursts, "bursts", 4, "how often that many are")
	flag.IntVar(&c.creates, "creates", 8, "how many networks of each kind are made; 0 for not at all")
	flag.Parse()
	// The lab's own agents log for debugging, which users' do not.
	quiet := lab.AgentOptions{Args: []string{"--log-level", "info"}}
	o := lab.Options{Name: labName, Hosts: hosts, Binaries: lab.BinariesIn(*bin), Progress: os.Stderr,
		Agents: map[string]lab.AgentOptions{"h1": quiet, "h2": quiet, "h3": quiet}}
	report := figures.Control{Frame: figures.NewFrame(), LoadBefore: figures.Load()}
	failed := inLab(ctx, o, func(l *lab.Lab) error { return measure(ctx, l, c, &report) })
	report.LoadAfter = figures.Load()
	fmt.Println(report)
	return errors.Join(failed, figures.Write(*data, report), figures.Print(os.Stdout, report.Tables()))
}

// inLab runs do in a lab that is gone afterwards.
func inLab(ctx context.Context, o lab.Options, do func(*lab.Lab) error) error {
	upCtx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := lab.Down(upCtx, o.StateDir, o.Name, nil); err != nil {
		return err
	}
	l, err := lab.Up(upCtx, o)
	if err != nil {
		return err
	}
	err = do(l)
	downCtx, done := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer done()
	return errors.Join(err, l.Down(downCtx))
}

// measure fills the report.
func measure(ctx context.Context, l *lab.Lab, c counts, report *figures.Control) error {
	if err := makeSwarm(ctx, l); err != nil {
		return err
	}
	kinds := allKinds()
	if err := makeNetworks(ctx, l, kinds); err != nil {
		return err
	}
	probers, err := makeProbers(ctx, l, kinds)
	if err != nil {
		return err
	}
	if report.Runs, err = runs(ctx, l.Host(1), kinds, probers, c.rounds); err != nil {
		return err
	}
	if report.Calls, err = calls(l.Host(1)); err != nil {
		return err
	}
	if c.burst > 0 {
		if report.Bursts, err = bursts(ctx, l.Host(1), kinds, c.burst, c.bursts); err != nil {
			return err
		}
	}
	if c.creates > 0 {
		report.Creates, err = creates(ctx, l, c.creates)
	}
	return err
}
