package flows

import (
	"hash/maphash"
	"iter"
	"slices"

	"github.com/ovsnet/ovsnet/overlay"
)

// Compile returns all flows that the host should have, sorted. The route is
// asked for every host that has to be reached.
func Compile(s *overlay.Snapshot, h Host, route Route) []Flow {
	return settled(newInput(s, h, route).units())
}

// OfNetwork returns, sorted, the flows that exist for the sake of a network and
// its endpoints, or for one of its endpoints where that is not "".
func OfNetwork(s *overlay.Snapshot, h Host, route Route, network, endpoint string) []Flow {
	return settled(func(yield func([]Flow) bool) {
		in := newInput(s, h, route)
		if endpoint == "" {
			in.ofWhole(network, yield)
			return
		}
		yield(in.ofEndpoint(network, endpoint))
	})
}

// settled sorts the flows of units and leaves one of each key.
func settled(units iter.Seq[[]Flow]) []Flow {
	var all []Flow
	for unit := range units {
		all = append(all, unit...)
	}
	slices.SortFunc(all, func(a, b Flow) int {
		if c := Compare(a, b); c != 0 {
			return c
		}
		if a.outranks(b) {
			return -1
		}
		return 1
	})
	return slices.CompactFunc(all, func(a, b Flow) bool { return a.Key == b.Key })
}

// outranks decides between two flows of one key. That takes records in etcd
// that no claim allows, such as two endpoints with one address; which of them
// wins does not matter, but it must always be the same.
func (f Flow) outranks(o Flow) bool {
	if f.Cookie != o.Cookie {
		return f.Cookie < o.Cookie
	}
	return f.Actions.packed < o.Actions.packed
}

// Compiler follows the desired flows of one host. It is used by one goroutine.
type Compiler struct {
	route Route
	last  *input
	// claims counts the flows of each key, by the key's hash: what remains of
	// the flows once they are handed out.
	claims map[uint64]uint32
	seed   maphash.Seed
	// disputed counts the hashes with more than one claim.
	disputed int
}

// NewCompiler returns a Compiler for a host that should have no flows yet. The
// route must answer the same for the same record as long as the Compiler lives.
func NewCompiler(route Route) *Compiler {
	return &Compiler{route: route, claims: map[uint64]uint32{}, seed: maphash.MakeSeed()}
}

// Len returns the number of desired flows.
func (c *Compiler) Len() int { return len(c.claims) }

// Flows yields the flows that are desired since the last Update, in no order.
func (c *Compiler) Flows() iter.Seq[Flow] {
	return func(yield func(Flow) bool) {
		if c.last == nil {
			return
		}
		var disputed []Flow
		for unit := range c.last.units() {
			for _, f := range unit {
				if c.disputed > 0 && c.claims[c.hash(f.Key)] > 1 {
					disputed = append(disputed, f)
				} else if !yield(f) {
					return
				}
			}
		}
		for _, f := range settled(slices.Values([][]Flow{disputed})) {
			if !yield(f) {
				return
			}
		}
	}
}

// Claimed yields the flows of every object as of the last Update, in no order,
// and of a key that several claim each of theirs. Unlike Flows it may be read
// beside later Updates, by another goroutine.
func (c *Compiler) Claimed() iter.Seq[Flow] {
	in := c.last
	return func(yield func(Flow) bool) {
		if in == nil {
			return
		}
		for unit := range in.units() {
			for _, f := range unit {
				if !yield(f) {
					return
				}
			}
		}
	}
}

// Update takes the newest input and returns how the desired flows changed. It
// makes the flows of the objects that changed from the old and the new input
// and compares those; all others it does not look at.
func (c *Compiler) Update(s *overlay.Snapshot, h Host) Delta {
	last, next := c.last, newInput(s, h, c.route)
	c.last = next
	if last == nil {
		return c.account(nil, next, nil, collect(next.units()))
	}
	t := touch(last, next)
	return c.account(last, next, collect(t.units(last)), collect(t.units(next)))
}

// Follow is Update for those who compare all flows with the installed ones: it
// returns no difference, and the first time it makes none.
func (c *Compiler) Follow(s *overlay.Snapshot, h Host) {
	if c.last != nil {
		c.Update(s, h)
		return
	}
	c.last = newInput(s, h, c.route)
	for unit := range c.last.units() {
		c.claim(unit, map[Key]bool{})
	}
}

func collect(units iter.Seq[[]Flow]) []Flow {
	var all []Flow
	for unit := range units {
		all = append(all, unit...)
	}
	return all
}

// account replaces the claims of some flows by those of others and returns the
// difference that this makes.
func (c *Compiler) account(last, next *input, before, after []Flow) Delta {
	disputed := map[Key]bool{}
	c.release(before, disputed)
	c.claim(after, disputed)
	if len(disputed) == 0 {
		return difference(before, after)
	}
	return difference(winners(last, before, disputed), winners(next, after, disputed))
}

// release gives up the flows' claims and notes the disputed keys.
func (c *Compiler) release(flows []Flow, disputed map[Key]bool) {
	for _, f := range flows {
		switch h := c.hash(f.Key); c.claims[h] {
		case 1:
			delete(c.claims, h)
		case 2:
			c.disputed--
			fallthrough
		default:
			c.claims[h]--
			disputed[f.Key] = true
		}
	}
}

// claim lays the flows' claims and notes the disputed keys.
func (c *Compiler) claim(flows []Flow, disputed map[Key]bool) {
	for _, f := range flows {
		h := c.hash(f.Key)
		c.claims[h]++
		if c.claims[h] == 2 {
			c.disputed++
		}
		if c.claims[h] > 1 {
			disputed[f.Key] = true
		}
	}
}

func (c *Compiler) hash(k Key) uint64 { return maphash.Comparable(c.seed, k) }

// winners puts, for each disputed key, the flow that wins in the whole input in
// the place of those that claim it. This looks at every flow, which is the
// price of records that no claim allows.
func winners(in *input, flows []Flow, disputed map[Key]bool) []Flow {
	kept := slices.DeleteFunc(flows, func(f Flow) bool { return disputed[f.Key] })
	if in == nil {
		return kept
	}
	return append(kept, settled(func(yield func([]Flow) bool) {
		for unit := range in.units() {
			if !yield(slices.DeleteFunc(unit, func(f Flow) bool { return !disputed[f.Key] })) {
				return
			}
		}
	})...)
}
