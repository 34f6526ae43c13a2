package figures

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Frame is when and on what a run was made.
type Frame struct {
	At      time.Time
	Machine string
}

// NewFrame is of now and this machine.
func NewFrame() Frame {
	out, err := exec.Command("sh", "-c", `echo "$(nproc) x $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), Linux $(uname -r)"`).Output()
	if err != nil {
		out = []byte("unknown")
	}
	return Frame{At: time.Now().UTC().Truncate(time.Second), Machine: strings.TrimSpace(string(out))}
}

// String is a line for above the tables.
func (f Frame) String() string {
	return fmt.Sprintf("Measured at %s on %s.", f.At.Format("2006-01-02 15:04 UTC"), f.Machine)
}

// Load is the machine's load average of the last minute; -1 where it cannot be read.
func Load() float64 {
	var average float64
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, err = fmt.Sscan(string(text), &average)
	}
	if err != nil {
		return -1
	}
	return average
}

// Write keeps figures as JSON.
func Write(path string, figures any) error {
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("keep the figures: %w", err)
	}
	return nil
}

// Read takes kept figures back.
func Read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the figures: %w", err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read the figures in %s: %w", path, err)
	}
	return nil
}

// MS is a time in milliseconds.
func MS(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Spread is a median with its quartiles and the largest value.
type Spread struct{ Median, Low, High, Max float64 }

// NewSpread sorts the values, and reads it off them; the zero Spread where there are none.
func NewSpread(all []float64) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	slices.Sort(all)
	at := func(part int) float64 { return all[min(len(all)*part/4, len(all)-1)] }
	return Spread{Median: at(2), Low: at(1), High: at(3), Max: at(4)}
}

// String shows the median, and the quartiles behind it.
func (s Spread) String() string { return fmt.Sprintf("%.1f (%.1f to %.1f)", s.Median, s.Low, s.High) }

// Seconds is String of milliseconds, in seconds.
func (s Spread) Seconds() string {
	return Spread{Median: s.Median / 1000, Low: s.Low / 1000, High: s.High / 1000}.String()
}

// Turn is the order of a round: who comes first in one comes last in the next, because what ran before is felt, and who
// comes after another in the same lab finds its daemons awake.
func Turn[T any](all []T, round int) []T {
	turn := slices.Clone(all)
	if round%2 == 1 {
		slices.Reverse(turn)
	}
	return turn
}
