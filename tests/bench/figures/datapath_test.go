package figures

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDatapathFigures(t *testing.T) {
	f := Figure{Name: "speed", Unit: "km/h", Samples: map[string][]float64{Subject: {2, 9, 4}, "raw": {4, 10, 16}, "hand": {2, 3, 8}}}
	f.Summarize()
	want := map[string]Summary{"raw": {0.5, 0.25, 0.9}, "hand": {1, 0.5, 3}}
	if diff := cmp.Diff(want, f.Ratio); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Summary{4, 2, 9}, f.Summary[Subject]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Summary{2.5, 1, 4}, NewSummary([]float64{4, 1, 3, 2})); diff != "" {
		t.Error("of an even number:", diff)
	}
	tables := Datapath{Contenders: []string{"raw", "bridge", Subject}, Figures: []*Figure{&f}}.Tables()
	if diff := cmp.Diff([]string{"speed", "km/h", "10.0 (4.0 to 16.0)", "–", "4.000 (2.000 to 9.000)"}, tables[0].Rows[0]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"speed", "more", "0.500 (0.250 to 0.900)", "–", "–"}, tables[1].Rows[0]); diff != "" {
		t.Error(diff)
	}
}
