package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Spread is a median with its quartiles and the largest value.
type Spread struct{ Median, Low, High, Max float64 }

func spread(all []float64) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	slices.Sort(all)
	at := func(part int) float64 { return all[min(len(all)*part/4, len(all)-1)] }
	return Spread{Median: at(2), Low: at(1), High: at(3), Max: at(4)}
}

// String shows the median with the quartiles behind it.
func (s Spread) String() string { return fmt.Sprintf("%.1f (%.1f–%.1f)", s.Median, s.Low, s.High) }

// Report is one run.
type Report struct {
	At      time.Time
	Machine string
	// LoadBefore and LoadAfter are the machine's load averages of the last minute.
	LoadBefore, LoadAfter float64
	Runs                  []Run
	Calls                 []Call
	Creates               []Create
	Bursts                []Burst
}

// write keeps the report for the plots.
func (r Report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("keep the report: %w", err)
	}
	return nil
}

// print shows the report as tables.
func (r Report) print(out io.Writer) error {
	fmt.Fprintf(out, "%s, load %.1f before, %.1f after\n", r.Machine, r.LoadBefore, r.LoadAfter)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\none container\tdocker run ms\treached after ms\tdocker rm ms\t")
	for _, run := range r.Runs {
		reached := "-"
		if run.Reached != nil {
			reached = run.Reached.String()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", run.Kind, run.Start, reached, run.Remove)
	}
	fmt.Fprintln(t, "\nthe agent's part\tcalls\tms\tmax ms\t")
	for _, c := range r.Calls {
		fmt.Fprintf(t, "%s\t%d\t%s\t%.1f\t\n", c.Method, c.Count, c.Took, c.Took.Max)
	}
	fmt.Fprintln(t, "\none network\tcommands ms\tusable on all hosts ms\t")
	for _, c := range r.Creates {
		fmt.Fprintf(t, "%s\t%s\t%s\t\n", c.Kind, c.Commands, c.Usable)
	}
	fmt.Fprintln(t, "\nat once\tcontainers\tall s\teach ms\tremoval of all s\t")
	for _, b := range r.Bursts {
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%s\t%.1f\t\n", b.Kind, b.Count, b.All/1000, b.Each, b.Remove/1000)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// machine tells what the figures were taken on.
func machine() string {
	out, err := exec.Command("sh", "-c", `echo "$(nproc) x $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), Linux $(uname -r)"`).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// load is the load average of the last minute.
func load() float64 {
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
