package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	var complaints bytes.Buffer
	perf := exec.CommandContext(ctx, "perf", "record", "-a", "-e", "cpu-clock", "-F", "1999", "-o", data)
	perf.Stderr = &complaints
	if err := perf.Start(); err != nil {
		return err
	}
	_, err := b.take(ctx, m, c)
	if err != nil {
		return err
	}
	if err := perf.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	// perf ends by the signal once it has written its file.
	_ = perf.Wait()
	if _, err := os.Stat(data); err != nil {
		return fmt.Errorf("perf recorded nothing: %s", &complaints)
	}
	return nil
}

// top are the first lines of a report that say something.
func top(report string) string {
	const most = 60
	var lines []string
	for line := range strings.Lines(report) {
		if line = strings.TrimRight(line, " \n"); line != "" && !strings.HasPrefix(line, "#") && len(lines) < most {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
