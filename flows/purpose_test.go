package flows_test

import (
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// Every flow's cookie leads back to what it is for, and one of somebody who is not known to the rule alone.
func TestPurposes(t *testing.T) {
	s := newCluster("h1", "h2").network("n1", 4096, "10.0.0.0/24").endpoint("n1", "a", "h1").endpoint("n1", "b", "h2").snapshot()
	purpose := flows.Purposes(s)
	for _, f := range flows.Compile(s, hostOf(s, "h1"), route) {
		if got := purpose(f.Cookie); got != f.Why {
			t.Errorf("%s is for %+v, and its cookie says %+v", f, f.Why, got)
		}
	}
	gone := flows.Why{Rule: flows.ToLocal, Network: "n9", Endpoint: "e9", Node: "h9"}
	if got := purpose(gone.Cookie()); got != (flows.Why{Rule: flows.ToLocal}) {
		t.Errorf("of an unknown endpoint's flow is said %+v", got)
	}
	if got := flows.Formerly(purpose(gone.Cookie()), overlay.NewSnapshot()); got != "no longer wanted: delivers to an endpoint here" {
		t.Error(got)
	}
}
