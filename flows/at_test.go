package flows_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/flows"
)

// What is desired at some places is what all desired flows have there, for every rule and any records.
func TestAtIsAPartOfAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		compiler := flows.NewCompiler(route)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			w.step(t)
		}
		s := w.edit.Snapshot()
		compiler.Update(s, w.host)
		all := flows.Compile(s, w.host, route)
		for _, f := range all {
			places := map[flows.Where]bool{f.Where(): true, all[rapid.IntRange(0, len(all)-1).Draw(t, "another")].Where(): true, {Table: 99}: true}
			want := slices.DeleteFunc(slices.Clone(all), func(f flows.Flow) bool { return !places[f.Where()] })
			if diff := cmp.Diff(lines(want), lines(compiler.At(places))); diff != "" {
				t.Fatalf("at %v (-all +at):\n%s", places, diff)
			}
		}
	})
}

func BenchmarkAt(b *testing.B) {
	for _, n := range sizes() {
		s := many(n)
		compiler := flows.NewCompiler(route)
		compiler.Update(s, hostOf(s, "h1"))
		all := slices.Collect(compiler.Flows())
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if len(compiler.At(map[flows.Where]bool{all[i*7919%len(all)].Where(): true})) != 1 {
					b.Fatal("not one flow")
				}
			}
		})
	}
}
