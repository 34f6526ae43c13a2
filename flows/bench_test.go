package flows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

func BenchmarkCompile(b *testing.B) {
	for _, n := range sizes() {
		s := many(n)
		h := hostOf(s, "h1")
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			for b.Loop() {
				flows.Compile(s, h, route)
			}
			b.ReportMetric(float64(len(flows.Compile(s, h, route))), "flows")
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, n := range sizes() {
		s := many(n)
		text := dump(flows.Compile(s, hostOf(s, "h1"), route))
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := flows.ParseDump(strings.NewReader(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDiff(b *testing.B) {
	for _, n := range sizes() {
		s := many(n)
		list := flows.Compile(s, hostOf(s, "h1"), route)
		installed := printed(b, list)
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			for b.Loop() {
				if change, _ := flows.Diff(slices.Values(list), installed); !change.Empty() {
					b.Fatal("they differ")
				}
			}
		})
	}
}

// sizes are the numbers of endpoints to measure with.
func sizes() []int {
	if testing.Short() {
		return []int{1000}
	}
	return []int{1000, 10000, 100000}
}

// One remote endpoint comes and goes.
func BenchmarkOneChange(b *testing.B) {
	for _, n := range sizes() {
		s := many(n)
		h := hostOf(s, "h1")
		compiler := flows.NewCompiler(route)
		compiler.Update(s, h)
		var some overlay.Endpoint
		for e := range s.Endpoints("net") {
			if e.Node == "h2" {
				some = e
				break
			}
		}
		edit := s.Edit()
		edit.DeleteEndpoint(some.Network, some.ID)
		without := edit.Snapshot()
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			for b.Loop() {
				if d := compiler.Update(without, h); len(d.Delete) != 2 || len(d.Add) != 0 {
					b.Fatalf("%+v", d)
				}
				if d := compiler.Update(s, h); len(d.Add) != 2 {
					b.Fatalf("%+v", d)
				}
			}
		})
	}
}
