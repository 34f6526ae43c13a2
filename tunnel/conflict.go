package tunnel

import (
	"net/netip"
	"slices"
)

// Occupied is an address range that this host uses outside the overlay, so
// that a network with it could not be told apart.
type Occupied struct {
	// Prefix is the range, masked.
	Prefix netip.Prefix
	// What says for people what it is: "route 10.0.0.0/8 via eth0".
	What string
}

// PoolConflict returns the first of the ranges that overlaps a pool or subnet,
// the most specific ones first; false where none does.
func PoolConflict(pool netip.Prefix, occupied []Occupied) (Occupied, bool) {
	sorted := slices.SortedStableFunc(slices.Values(occupied), func(a, b Occupied) int {
		return b.Prefix.Bits() - a.Prefix.Bits()
	})
	i := slices.IndexFunc(sorted, func(o Occupied) bool { return o.Prefix.Overlaps(pool) })
	if i < 0 {
		return Occupied{}, false
	}
	return sorted[i], true
}
