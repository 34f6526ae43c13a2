package topology

import "testing"

// Names have one order, whatever zeros stand before their numbers, so that in a
// sorted list equal names are beside each other.
func TestNaturalIsAnOrder(t *testing.T) {
	names := []string{""}
	for i := 0; len(names[i]) < 3; i++ {
		for _, next := range "ab01" {
			names = append(names, names[i]+string(next))
		}
	}
	for _, a := range names {
		for _, b := range names {
			ab := natural(a, b)
			if ab != -natural(b, a) || (ab == 0) != (a == b) {
				t.Fatalf("%q and %q: %d, %d", a, b, ab, natural(b, a))
			}
			for _, c := range names {
				if ab < 0 && natural(b, c) < 0 && natural(a, c) >= 0 {
					t.Fatalf("%q < %q < %q, but not %q < %q", a, b, c, a, c)
				}
			}
		}
	}
}
