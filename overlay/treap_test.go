package overlay

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// shape writes the tree with its brackets, so that two trees of equal content
// but different shape differ.
func shape(n *treapNode[int]) string {
	if n == nil {
		return "."
	}
	return fmt.Sprintf("(%s %q=%d %s)", shape(n.left), n.key, *n.value, shape(n.right))
}

// fresh builds the treap of a model in a drawn order.
func fresh(t *rapid.T, model map[string]int) treap[int] {
	keys := rapid.Permutation(slices.Sorted(maps.Keys(model))).Draw(t, "order")
	var built treap[int]
	for _, key := range keys {
		built = built.set(key, model[key])
	}
	return built
}

func checkHeap(t *rapid.T, n *treapNode[int]) {
	for _, child := range []*treapNode[int]{n.left, n.right} {
		if child == nil {
			continue
		}
		if !n.above(child.key, child.priority) {
			t.Fatalf("%q lies over %q", n.key, child.key)
		}
		checkHeap(t, child)
	}
}

func checkAgainstModel(t *rapid.T, tr treap[int], model map[string]int) {
	if tr.size != len(model) {
		t.Fatalf("size %d, want %d", tr.size, len(model))
	}
	var keys []string
	for key, value := range tr.all() {
		keys = append(keys, key)
		if model[key] != value {
			t.Fatalf("%q is %d, want %d", key, value, model[key])
		}
		if got, ok := tr.get(key); !ok || got != value {
			t.Fatalf("get %q: %d, %v; want %d", key, got, ok, value)
		}
	}
	if want := slices.Sorted(maps.Keys(model)); !slices.Equal(keys, want) {
		t.Fatalf("keys %q, want %q", keys, want)
	}
	if tr.root != nil {
		checkHeap(t, tr.root)
	}
}

// A few keys so that most edits meet an existing one; among them the empty key
// and prefixes of each other.
func drawKey(t *rapid.T) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("ab/")), 0, 4, -1).Draw(t, "key")
}

func TestTreapAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type moment struct {
			tree  treap[int]
			model map[string]int
		}
		model := map[string]int{}
		var tree treap[int]
		history := []moment{{model: maps.Clone(model)}}
		for range rapid.IntRange(0, 60).Draw(t, "edits") {
			key := drawKey(t)
			if rapid.Bool().Draw(t, "set") {
				value := rapid.IntRange(0, 3).Draw(t, "value")
				model[key], tree = value, tree.set(key, value)
			} else {
				delete(model, key)
				tree = tree.without(key)
			}
			history = append(history, moment{tree: tree, model: maps.Clone(model)})
		}
		// No edit may have changed what was there before.
		for _, m := range history {
			checkAgainstModel(t, m.tree, m.model)
		}
		if got, want := shape(tree.root), shape(fresh(t, model).root); got != want {
			t.Fatalf("after edits %s,\nfrom scratch %s", got, want)
		}
		a, b := rapid.SampledFrom(history).Draw(t, "a"), rapid.SampledFrom(history).Draw(t, "b")
		checkDiff(t, a.tree, b.tree, a.model, b.model)
		checkDiff(t, a.tree, fresh(t, b.model), a.model, b.model)
	})
}

func checkDiff(t *rapid.T, a, b treap[int], before, after map[string]int) {
	var keys []string
	diffTreaps(a, b, func(x, y int) bool { return x == y }, func(key string, x, y *int) {
		keys = append(keys, key)
		for side, got := range map[string]*int{"before": x, "after": y} {
			want, ok := map[string]map[string]int{"before": before, "after": after}[side][key]
			if (got != nil) != ok || ok && *got != want {
				t.Fatalf("%q %s: %v, want %d, %v", key, side, got, want, ok)
			}
		}
	})
	union := maps.Clone(before)
	maps.Copy(union, after)
	want := slices.DeleteFunc(slices.Sorted(maps.Keys(union)), func(key string) bool {
		x, inBefore := before[key]
		y, inAfter := after[key]
		return inBefore && inAfter && x == y
	})
	if !slices.Equal(keys, want) {
		t.Fatalf("diff emits %q, want %q", keys, want)
	}
}

func TestTreapStopsWhenTold(t *testing.T) {
	var tree treap[int]
	for i := range 100 {
		tree = tree.set(fmt.Sprint(i), i)
	}
	visited := 0
	for range tree.all() {
		if visited++; visited == 3 {
			break
		}
	}
	if visited != 3 {
		t.Errorf("visited %d entries, want 3", visited)
	}
}

// Keys of etcd differ in a few last characters; their treap may not become a list.
func TestTreapIsShallow(t *testing.T) {
	var depth func(n *treapNode[int]) int
	depth = func(n *treapNode[int]) int {
		if n == nil {
			return 0
		}
		return 1 + max(depth(n.left), depth(n.right))
	}
	var tree treap[int]
	for i := range 100_000 {
		tree = tree.set(fmt.Sprintf("0a1b2c3d4e5f/%08d", i), i)
	}
	if got := depth(tree.root); got > 70 {
		t.Errorf("100,000 keys lie %d deep, want about twice the 17 of a balanced tree", got)
	}
}

// The cost of a diff follows the changes: at this size a walk over everything
// would compare 100,000 values.
func TestDiffSkipsWhatIsShared(t *testing.T) {
	var tree treap[int]
	for i := range 100_000 {
		tree = tree.set(fmt.Sprint(i), i)
	}
	changed := tree.set("77", -1).without("12345").set("new", 1)
	compared, emitted := 0, 0
	diffTreaps(tree, changed, func(x, y int) bool { compared++; return x == y }, func(string, *int, *int) { emitted++ })
	if emitted != 3 || compared > 200 {
		t.Errorf("%d changes from %d comparisons, want 3 from a few paths' worth", emitted, compared)
	}
}
