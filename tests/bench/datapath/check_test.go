package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
)

// figuresWith has every ratio that has a bound, at the bound's better side by so much.
func figuresWith(margin float64) figures.Datapath {
	var r figures.Datapath
	for _, b := range bounds() {
		i := slices.IndexFunc(r.Figures, func(f *figures.Figure) bool { return f.Name == b.figure })
		if i < 0 {
			i = len(r.Figures)
			r.Figures = append(r.Figures, &figures.Figure{Name: b.figure, Ratio: map[string]figures.Summary{}})
		}
		ratio := b.least + margin
		if b.most > 0 {
			ratio = b.most - margin
		}
		r.Figures[i].Ratio[b.to] = figures.Summary{Median: ratio, Min: ratio, Max: ratio}
	}
	return r
}

func TestCheck(t *testing.T) {
	if len(bounds()) == 0 {
		t.Fatal("nothing has a bound")
	}
	var out strings.Builder
	if err := check(figuresWith(0.001), &out); err != nil {
		t.Errorf("within all bounds: %v", err)
	}
	for _, r := range []figures.Datapath{figuresWith(-0.001), {}} {
		err := check(r, &out)
		if err == nil || strings.Count(err.Error(), "\n")+1 != len(bounds()) {
			t.Errorf("out of each bound, or without figures: %v", err)
		}
	}
}

// Every bound is of a figure that is measured and of a contender that is there, and says why.
func TestBoundsAreOfWhatThereIs(t *testing.T) {
	for _, b := range bounds() {
		known := slices.ContainsFunc(measures(), func(m measure) bool {
			return slices.ContainsFunc(m.figures, func(f figures.Figure) bool { return f.Name == b.figure && f.Less == (b.most > 0) })
		})
		contender := slices.ContainsFunc(contenders(), func(c contender) bool { return c.name == b.to })
		if !known || !contender || b.why == "" || (b.least > 0) == (b.most > 0) {
			t.Errorf("bound %+v", b)
		}
	}
}
