package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
)

// frame is of the machine that the labs are in, with the versions of what is measured.
func frame(ctx context.Context) (figures.Frame, error) {
	f := figures.NewFrame()
	for _, program := range []string{"ovs-vswitchd", "dockerd", "iperf3"} {
		out, err := exec.CommandContext(ctx, program, "--version").Output()
		if err != nil {
			return f, fmt.Errorf("%s --version: %w", program, err)
		}
		version, _, _ := strings.Cut(string(out), "\n")
		f.Machine += ", " + version
	}
	return f, nil
}

// watchLoad collects load averages until ctx ends.
func watchLoad(ctx context.Context) <-chan []float64 {
	collected := make(chan []float64, 1)
	go func() {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for loads := []float64{figures.Load()}; ; loads = append(loads, figures.Load()) {
			select {
			case <-ctx.Done():
				collected <- loads
				return
			case <-tick.C:
			}
		}
	}()
	return collected
}
