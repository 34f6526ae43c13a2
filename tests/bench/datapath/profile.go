package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// profiles are where the processors' time goes in each measurement on each contender: the first lines of perf's report
// (package linux-perf), by measure and contender.
func (b *bench) profiles(ctx context.Context, which []measure) (map[string]string, error) {
	dir, err := os.MkdirTemp("", "profile-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	data := filepath.Join(dir, "perf.data")
	out := map[string]string{}
	for _, m := range which {
		for _, c := range b.contests {
			if err := b.recorded(ctx, data, m, c); err != nil {
				return nil, fmt.Errorf("profile of %s on %s: %w", m.name, c.name, err)
			}
			text, err := exec.CommandContext(ctx, "perf", "report", "-i", data, "--stdio", "--no-children", "--sort", "symbol", "-g", "none").Output()
			if err != nil {
				return nil, fmt.Errorf("perf report: %w", err)
			}
			if top(string(text)) == "" {
				return nil, fmt.Errorf("perf saw nothing of %s on %s: this machine's clock does not let it look", m.name, c.name)
			}
			out[m.name+" "+c.name] = top(string(text))
			b.say("profile of %s on %s:\n%s", m.name, c.name, out[m.name+" "+c.name])
		}
	}
	return out, nil
}

// recorded takes one measurement under perf. A virtual machine has no counters, so the clock tells when to look.
func (b *bench) recorded(ctx context.Context, data string, m measure, c *contest) error {
	perf, err := startPerf(ctx, data)
	if err != nil {
		return err
	}
	if err = perf.tell("enable"); err == nil {
		_, err = b.take(ctx, m, c)
	}
	return errors.Join(err, perf.end())
}

// recorder is perf at work, which looks only while it is told to: it takes seconds to begin.
type recorder struct {
	cmd        *exec.Cmd
	orders     *os.File
	answers    *os.File
	complaints bytes.Buffer
}

// startPerf starts perf, idle, with its control descriptors (perf-record(1), --control).
func startPerf(ctx context.Context, data string) (*recorder, error) {
	ordersIn, orders, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = ordersIn.Close() }()
	answers, answersOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, orders.Close())
	}
	defer func() { _ = answersOut.Close() }()
	r := &recorder{orders: orders, answers: answers}
	// ExtraFiles are descriptors from 3 on.
	r.cmd = exec.CommandContext(ctx, "perf", "record", "-a", "-e", "cpu-clock", "-F", "1999", "-D", "-1", "--control", "fd:3,4", "-o", data)
	r.cmd.Stderr, r.cmd.ExtraFiles = &r.complaints, []*os.File{ordersIn, answersOut}
	if err := r.cmd.Start(); err != nil {
		return nil, errors.Join(err, orders.Close(), answers.Close())
	}
	return r, nil
}

// tell gives an order and waits until it is carried out.
func (r *recorder) tell(order string) error {
	err := r.answers.SetReadDeadline(time.Now().Add(takePatience))
	if err == nil {
		_, err = r.orders.WriteString(order + "\n")
	}
	if err == nil {
		_, err = r.answers.Read(make([]byte, len("ack\n")+1))
	}
	if err != nil {
		return fmt.Errorf("perf does not do as told (%s): %w", order, err)
	}
	return nil
}

// end stops perf, which ends by the signal once it has written its file.
func (r *recorder) end() error {
	err := r.tell("disable")
	if err == nil {
		err = r.cmd.Process.Signal(os.Interrupt)
	} else {
		err = errors.Join(err, r.cmd.Process.Kill())
	}
	_ = r.cmd.Wait()
	if err = errors.Join(err, r.orders.Close(), r.answers.Close()); err != nil {
		return fmt.Errorf("%w: %s", err, &r.complaints)
	}
	return nil
}

// top are the first lines of a report that say something.
func top(report string) string {
	const most = 250
	var lines []string
	for line := range strings.Lines(report) {
		if line = strings.TrimRight(line, " -\n"); line != "" && !strings.HasPrefix(line, "#") && len(lines) < most {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
