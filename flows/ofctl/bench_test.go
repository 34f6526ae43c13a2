package ofctl_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
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
			// The same through ovs-ofctl, as it was before package openflow.
			b.Run("one-flow-by-process", func(b *testing.B) {
				for b.Loop() {
					s.byProcess(flows.Delta{Add: desired[:1]})
				}
			})
			b.Run("apply-by-process", func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					s.do(none)
					b.StartTimer()
					s.byProcess(all)
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

// byProcess is a bundle by a run of ovs-ofctl.
func (s *realSwitch) byProcess(change flows.Delta) {
	s.t.Helper()
	cmd := exec.CommandContext(call(s.t), "ovs-ofctl", "-O", "OpenFlow15", "bundle", bridge, "-")
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+s.dir)
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(change.WriteBundle(in), in.Close(), cmd.Wait()); err != nil {
		s.t.Fatal(err)
	}
}
