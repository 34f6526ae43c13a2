package figures

import (
	"fmt"
	"slices"
)

// Datapath is one run of tests/bench/datapath.
type Datapath struct {
	Frame
	// Command is how the run was made.
	Command string
	// Clock is what time was measured by: time, or instructions of two nanoseconds each.
	Clock string
	// Datapath is Open vSwitch's, system or netdev, and MTU the underlay's in bytes.
	Datapath string
	MTU      int
	// Seconds is how long each single measurement took by that clock.
	Seconds float64
	// Load are the machine's load averages of one minute, from before the run to its end.
	Load []float64
	// Contenders are in the order of the tables.
	Contenders []string
	Figures    []*Figure
	// Dumps are what Open vSwitch says of its datapath's flows while packets flow, by contender, host and command.
	Dumps map[string]string
	// Profiles are where processor time went, by measure and contender, when that was asked for.
	Profiles map[string]string `json:",omitempty"`
}

// Subject is the contender that is held against the others.
const Subject = "ovsnet"

// Figure is one figure of all contenders.
type Figure struct {
	Name, Unit string
	// Less says that less is better.
	Less bool
	// Samples are in the order in which they were taken: one of each contender, again and again.
	Samples map[string][]float64
	// Summary is of each contender's samples, Ratio of the Subject's to each other contender's within a round.
	Summary, Ratio map[string]Summary
}

// Summary is the middle and the ends of some numbers.
type Summary struct{ Median, Min, Max float64 }

// NewSummary is of at least one number.
func NewSummary(all []float64) Summary {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return Summary{Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Min: sorted[0], Max: sorted[n-1]}
}

// Summarize computes Summary and Ratio.
func (f *Figure) Summarize() {
	f.Summary, f.Ratio = map[string]Summary{}, map[string]Summary{}
	for name, samples := range f.Samples {
		f.Summary[name] = NewSummary(samples)
		own := f.Samples[Subject]
		if name == Subject || own == nil {
			continue
		}
		ratios := make([]float64, len(samples))
		for i := range samples {
			ratios[i] = own[i] / samples[i]
		}
		f.Ratio[name] = NewSummary(ratios)
	}
}

// Tables are for people.
func (d Datapath) Tables() []Table {
	medians := Table{Title: "Medians, with the smallest and the largest sample", Head: append([]string{"", "unit"}, d.Contenders...)}
	ratios := Table{Title: "ovsnet to the others, medians of the ratios within a round", Head: append([]string{"", "better"}, d.Contenders...)}
	for _, f := range d.Figures {
		better := "more"
		if f.Less {
			better = "less"
		}
		median, ratio := []string{f.Name, f.Unit}, []string{f.Name, better}
		for _, name := range d.Contenders {
			median = append(median, f.Summary[name].Text(digits(f.Summary[name].Median)))
			ratio = append(ratio, f.Ratio[name].Text(3))
		}
		medians.Rows, ratios.Rows = append(medians.Rows, median), append(ratios.Rows, ratio)
	}
	return []Table{medians, ratios}
}

// String is a line for above the tables.
func (d Datapath) String() string {
	load := NewSummary(append([]float64{}, d.Load...))
	return fmt.Sprintf("%s `%s`: %d rounds of %g s by a clock of %s; underlay MTU %d; load average outside %.1f to %.1f.",
		d.Frame, d.Command, d.rounds(), d.Seconds, d.Clock, d.MTU, load.Min, load.Max)
}

func (d Datapath) rounds() int {
	if len(d.Figures) == 0 {
		return 0
	}
	return len(d.Figures[0].Samples[Subject])
}

// digits are how many behind the point show four in all.
func digits(n float64) int {
	switch {
	case n >= 1000:
		return 0
	case n >= 10:
		return 1
	}
	return 3
}

// Text is the median with the ends behind it, or a dash where there is nothing.
func (s Summary) Text(digits int) string {
	if s == (Summary{}) {
		return "–"
	}
	return fmt.Sprintf("%.*f (%.*f to %.*f)", digits, s.Median, digits, s.Min, digits, s.Max)
}
