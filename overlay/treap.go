package overlay

import "iter"

// treap is a persistent ordered map. A key's priority is its hash, so the
// shape follows from the set of keys, whatever the order of edits; two treaps
// that share history share sub-trees. The zero value is empty.
type treap[V any] struct {
	root *treapNode[V]
	size int
}

// treapNode is small, because an edit copies all of them on the way to its key;
// what it holds is never copied.
type treapNode[V any] struct {
	key         string
	priority    uint64
	value       *V
	left, right *treapNode[V]
}

// priorityOf is FNV-1a with a final mix, because keys often share long prefixes.
func priorityOf(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

// above reports whether n belongs nearer to the root than the key with that priority.
func (n *treapNode[V]) above(key string, priority uint64) bool {
	return n.priority > priority || n.priority == priority && n.key < key
}

func (t treap[V]) get(key string) (V, bool) {
	for n := t.root; n != nil; {
		switch {
		case key == n.key:
			return *n.value, true
		case key < n.key:
			n = n.left
		default:
			n = n.right
		}
	}
	var none V
	return none, false
}

func (t treap[V]) set(key string, value V) treap[V] {
	_, had := t.get(key)
	size := t.size
	if !had {
		size++
	}
	return treap[V]{root: insert(t.root, &treapNode[V]{key: key, priority: priorityOf(key), value: &value}), size: size}
}

func (t treap[V]) without(key string) treap[V] {
	if _, had := t.get(key); !had {
		return t
	}
	return treap[V]{root: remove(t.root, key), size: t.size - 1}
}

// all yields the entries in the order of their keys.
func (t treap[V]) all() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) { walk(t.root, yield) }
}

func walk[V any](n *treapNode[V], yield func(string, V) bool) bool {
	return n == nil || walk(n.left, yield) && yield(n.key, *n.value) && walk(n.right, yield)
}

func insert[V any](n, fresh *treapNode[V]) *treapNode[V] {
	if n == nil {
		return fresh
	}
	if n.key == fresh.key {
		fresh.left, fresh.right = n.left, n.right
		return fresh
	}
	if !n.above(fresh.key, fresh.priority) {
		fresh.left, fresh.right = split(n, fresh.key)
		return fresh
	}
	c := *n
	if fresh.key < n.key {
		c.left = insert(n.left, fresh)
	} else {
		c.right = insert(n.right, fresh)
	}
	return &c
}

func remove[V any](n *treapNode[V], key string) *treapNode[V] {
	if n.key == key {
		return merge(n.left, n.right)
	}
	c := *n
	if key < n.key {
		c.left = remove(n.left, key)
	} else {
		c.right = remove(n.right, key)
	}
	return &c
}

// split parts n into the keys below key and those above it; key itself is left out.
func split[V any](n *treapNode[V], key string) (below, above *treapNode[V]) {
	if n == nil {
		return nil, nil
	}
	if n.key == key {
		return n.left, n.right
	}
	c := *n
	if n.key < key {
		c.right, above = split(n.right, key)
		return &c, above
	}
	below, c.left = split(n.left, key)
	return below, &c
}

func merge[V any](below, above *treapNode[V]) *treapNode[V] {
	switch {
	case below == nil:
		return above
	case above == nil:
		return below
	case below.above(above.key, above.priority):
		c := *below
		c.right = merge(below.right, above)
		return &c
	default:
		c := *above
		c.left = merge(below, above.left)
		return &c
	}
}

// diffTreaps calls emit for every key whose value is in only one of the two or
// is not the same in both, in the order of keys. It skips what they share.
func diffTreaps[V any](a, b treap[V], same func(x, y V) bool, emit func(key string, before, after *V)) {
	diffNodes(a.root, b.root, same, emit)
}

func diffNodes[V any](a, b *treapNode[V], same func(x, y V) bool, emit func(key string, before, after *V)) {
	switch {
	case a == b:
	case a == nil || b != nil && a.key != b.key && b.above(a.key, a.priority):
		below, above := split(a, b.key)
		diffNodes(below, b.left, same, emit)
		emit(b.key, nil, b.value)
		diffNodes(above, b.right, same, emit)
	case b == nil || a.key != b.key:
		below, above := split(b, a.key)
		diffNodes(a.left, below, same, emit)
		emit(a.key, a.value, nil)
		diffNodes(a.right, above, same, emit)
	default:
		diffNodes(a.left, b.left, same, emit)
		if a.value != b.value && !same(*a.value, *b.value) {
			emit(a.key, a.value, b.value)
		}
		diffNodes(a.right, b.right, same, emit)
	}
}
