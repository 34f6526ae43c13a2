package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
)

// measure is one thing that is measured, which gives one or more figures.
type measure struct {
	name    string
	figures []figures.Figure
	take    func(ctx context.Context, b *bench, c *contest) ([]float64, error)
}

// measures are all, in the order of the tables.
func measures() []measure {
	return []measure{
		{"tcp1", []figures.Figure{{Name: "tcp1", Unit: "Gbit/s"}, {Name: "cpu", Unit: "s/GB", Less: true}}, streams(1)},
		{"tcp4", []figures.Figure{{Name: "tcp4", Unit: "Gbit/s"}}, streams(4)},
		{"udp64", []figures.Figure{{Name: "udp64", Unit: "packets/s"}}, packetsOf(64)},
		{"udp1400", []figures.Figure{{Name: "udp1400", Unit: "packets/s"}}, packetsOf(1400)},
		{"rr", []figures.Figure{{Name: "rr50", Unit: "µs", Less: true}, {Name: "rr99", Unit: "µs", Less: true}}, roundTrip},
		{"connect", []figures.Figure{{Name: "connect", Unit: "connections/s"}}, connects},
	}
}

// contest is a contender that is up, with its servers.
type contest struct {
	contender
	sites [2]site
}

// streams is TCP throughput, and with it what a gigabyte costs.
func streams(n int) func(context.Context, *bench, *contest) ([]float64, error) {
	return func(ctx context.Context, b *bench, c *contest) ([]float64, error) {
		before, err := busy()
		if err != nil {
			return nil, err
		}
		seconds := strconv.Itoa(int(b.duration.Seconds()))
		out, err := b.enter(ctx, c.sites[0], "iperf3", "-c", c.sites[1].addr.String(), "-t", seconds, "-P", strconv.Itoa(n), "-J").Output()
		if err != nil {
			return nil, fmt.Errorf("iperf3: %w: %s", err, out)
		}
		after, err := busy()
		if err != nil {
			return nil, err
		}
		var report struct {
			End struct {
				Received struct {
					Bytes     float64 `json:"bytes"`
					PerSecond float64 `json:"bits_per_second"`
				} `json:"sum_received"`
			} `json:"end"`
		}
		if err := json.Unmarshal(out, &report); err != nil || report.End.Received.Bytes == 0 {
			return nil, fmt.Errorf("iperf3 reports nothing received: %w: %s", err, out)
		}
		received := report.End.Received
		values := []float64{received.PerSecond / 1e9, (after - before).Seconds() / (received.Bytes / 1e9)}
		if n > 1 {
			values = values[:1]
		}
		return values, nil
	}
}

func packetsOf(size int) func(context.Context, *bench, *contest) ([]float64, error) {
	return func(ctx context.Context, b *bench, c *contest) ([]float64, error) {
		p, err := b.probe(ctx, c, "udp", strconv.Itoa(size))
		if p.Lost > 0 {
			fmt.Fprintf(os.Stderr, "%s: %d packets of %d bytes were lost\n", c.name, p.Lost, size)
		}
		return []float64{p.PerSecond}, err
	}
}

func roundTrip(ctx context.Context, b *bench, c *contest) ([]float64, error) {
	p, err := b.probe(ctx, c, "rr")
	return []float64{p.P50, p.P99}, err
}

func connects(ctx context.Context, b *bench, c *contest) ([]float64, error) {
	p, err := b.probe(ctx, c, "connect")
	return []float64{p.PerSecond}, err
}

// probe runs this program in the first site.
func (b *bench) probe(ctx context.Context, c *contest, kind string, args ...string) (probed, error) {
	argv := append([]string{b.self, "probe", kind, c.sites[1].addr.String(), b.duration.String()}, args...)
	out, err := b.enter(ctx, c.sites[0], argv...).Output()
	var p probed
	if err == nil {
		err = json.Unmarshal(out, &p)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return p, err
}

// enter gives a command in a site. It is of the scheduler's class for batch work (sched(7)), in which nobody who wakes
// interrupts who runs: else it is chance whether a receiver wakes for each packet or for many, and that is most of the
// cost of a small one.
func (b *bench) enter(ctx context.Context, s site, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + s.netns, "chrt", "--batch", "0"}, argv...)...)
	// What Go does on its own would be measured as well.
	cmd.Env = append(os.Environ(), "GOGC=off", "GOMAXPROCS=2", "GODEBUG=asyncpreemptoff=1")
	return cmd
}

// busy is the time that all processors together were not idle (proc(5), /proc/stat).
func busy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	const (
		tick                = 10 * time.Millisecond // USER_HZ is 100 on all platforms that have Docker
		idle, iowait, steal = 3, 4, 7
	)
	var sum int
	for i, word := range strings.Fields(strings.SplitN(string(text), "\n", 2)[0])[1 : steal+1] {
		n, err := strconv.Atoi(word)
		if err != nil {
			return 0, fmt.Errorf("read /proc/stat: %w", err)
		}
		if i != idle && i != iowait {
			sum += n
		}
	}
	return time.Duration(sum) * tick, nil
}
