package ofctl_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
)

// A host's flows go into an empty bridge, come back and are compared, as at the
// start of an agent.
func BenchmarkBundle(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			s := newSwitch(b)
			snapshot, host := crowd(n)
			desired := flows.Compile(snapshot, host, route)
			all := flows.Delta{Add: desired}
			var none flows.Delta
			for _, f := range desired {
				none.Delete = append(none.Delete, f.Key)
			}
			b.Run("apply", func(b *testing.B) {
				for b.Loop() {
					s.do(all)
					b.StopTimer()
					s.do(none)
					b.StartTimer()
				}
				b.ReportMetric(float64(len(desired)), "flows")
			})
			s.do(all)
			b.Run("dump-and-diff", func(b *testing.B) {
				for b.Loop() {
					if change, _ := flows.Diff(slices.Values(desired), s.dump()); !change.Empty() {
						b.Fatal("OVS shows other flows than were installed")
					}
				}
			})
			b.Run("one-flow", func(b *testing.B) {
				for b.Loop() {
					s.do(flows.Delta{Add: desired[:1]})
				}
			})
		})
	}
}

func (s *realSwitch) do(change flows.Delta) {
	s.t.Helper()
	if err := s.client.Apply(call(s.t), change); err != nil {
		s.t.Fatal(err)
	}
}
