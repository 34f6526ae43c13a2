package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/tests/lab"
)

const (
	// patience bounds the coming and going of a lab, and each command.
	patience = 2 * time.Minute
	// rounds is of how many runs of each kind a median is taken.
	rounds = 21
)

// up brings up a lab of one host until the benchmark ends.
func up(b *testing.B) *lab.Host {
	b.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		b.Fatal("needs root")
	default:
		b.Skip("needs root")
	}
	o := lab.Options{Name: "bench", Hosts: 1, Binaries: lab.BinariesIn("../../bin")}
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	if err := lab.Down(ctx, o.StateDir, o.Name, nil); err != nil {
		b.Fatal(err)
	}
	l, err := lab.Up(ctx, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := l.Down(ctx); err != nil {
			b.Error(err)
		}
	})
	return l.Host(1)
}

// timed runs argv on the host and tells how long it took.
func timed(b *testing.B, h *lab.Host, argv ...string) time.Duration {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	began := time.Now()
	if _, err := h.Run(ctx, argv...); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// median is in milliseconds.
func median(took []time.Duration) float64 {
	slices.Sort(took)
	return float64(took[len(took)/2].Microseconds()) / 1000
}

// A container starts and is removed on ovsnet, with and without docker_gwbridge beside it, on Docker's bridge and with
// no network, in turns.
func BenchmarkDockerRun(b *testing.B) {
	h := up(b)
	create := []string{"docker", "network", "create", "-d", "ovsnet", "--ipam-driver", "ovsnet"}
	timed(b, h, append(create, "--subnet", "10.90.0.0/24", "ovsnet")...)
	timed(b, h, append(create, "--subnet", "10.91.0.0/24", "--internal", "internal")...)
	kinds := []string{"none", "bridge", "internal", "ovsnet"}
	started, removed := map[string][]time.Duration{}, map[string][]time.Duration{}
	for b.Loop() {
		for range rounds {
			for _, kind := range kinds {
				started[kind] = append(started[kind], timed(b, h, "docker", "run", "-d", "--name", "it", "--network", kind, lab.ImageName))
				removed[kind] = append(removed[kind], timed(b, h, "docker", "rm", "-f", "it"))
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, kind := range kinds {
		b.ReportMetric(median(started[kind]), fmt.Sprintf("%s-run-ms", kind))
		b.ReportMetric(median(removed[kind]), fmt.Sprintf("%s-rm-ms", kind))
	}
}
