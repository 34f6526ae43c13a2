package inspect

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Rates are what the counters moved by; a flow that was made anew counts from nought.
func TestTop(t *testing.T) {
	line := func(match, rule string, packets, bytes uint64) Line {
		return Line{TableName: "Forward", Match: match, Rule: rule, Drops: rule == "spoofed", Network: "id", NetworkName: "web", Packets: packets, Bytes: bytes, Reason: match}
	}
	before := []Line{line("a", "from-endpoint", 100, 1000), line("b", "known-vni", 50, 500), line("c", "spoofed", 1, 10), line("d", "to-local", 7, 70)}
	after := []Line{line("a", "from-endpoint", 120, 3000), line("b", "known-vni", 10, 100), line("c", "spoofed", 5, 50), line("d", "to-local", 7, 70)}
	got := NewTop(before, after, time.Unix(9, 0), 2, 10)
	want := Top{At: time.Unix(9, 0), Seconds: 2,
		Flows:    []FlowRate{{Table: "Forward", Match: "a", Reason: "a", Packets: 10, Bytes: 1000}, {Table: "Forward", Match: "b", Reason: "b", Packets: 5, Bytes: 50}},
		Drops:    []FlowRate{{Table: "Forward", Match: "c", Reason: "c", Packets: 2, Bytes: 20}},
		Networks: []NetworkRate{{Network: "web", LocalPackets: 10, LocalBytes: 1000, TunnelPackets: 5, TunnelBytes: 50}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := NewTop(before, after, time.Unix(9, 0), 2, 1); len(got.Flows) != 1 {
		t.Errorf("%d flows, want the first", len(got.Flows))
	}
}
