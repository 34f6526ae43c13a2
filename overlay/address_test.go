package overlay_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/overlay"
)

func addr(text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(text)
}

func prefix(text string) netip.Prefix {
	if text == "" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix(text)
}

func addrs(words ...string) []netip.Addr {
	list := make([]netip.Addr, len(words))
	for i, word := range words {
		list[i] = addr(word)
	}
	return list
}

func TestSubnetValidate(t *testing.T) {
	good := []string{
		"10.0.0.0/8", "10.32.0.0/24", "192.168.1.4/30", "172.16.0.0/12", "100.64.0.0/10", "203.0.113.0/24", "223.255.255.0/24",
		"255.255.255.0/24", "255.255.255.252/30", "240.0.0.0/4", "1.0.0.0/8",
		"fd00::/64", "2001:db8::/126", "fec0::/10", "feff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126", "::2:0/112",
	}
	for _, text := range good {
		if err := (overlay.Subnet{Prefix: prefix(text)}).Validate(); err != nil {
			t.Errorf("%s: %v, want it valid", text, err)
		}
	}
	bad := []string{
		"", "10.0.0.1/24", "10.0.0.0/31", "10.0.0.0/32", "0.0.0.0/0", "0.0.0.0/8", "0.1.0.0/16", "127.0.0.0/8", "127.8.0.0/16",
		"169.254.0.0/16", "169.254.7.0/24", "224.0.0.0/24", "239.1.0.0/16", "224.0.0.0/3", "128.0.0.0/1", "126.0.0.0/7", "169.0.0.0/8",
		"::/0", "::/64", "::/126", "fe80::/64", "febf::/16", "fe00::/8", "ff00::/8", "ff02::/64", "8000::/1", "fd00::1/64", "fd00::/127",
		"::ffff:10.0.0.0/120", "::ffff:0:0/96",
	}
	for _, text := range bad {
		if err := (overlay.Subnet{Prefix: prefix(text)}).Validate(); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%q: %v, want a refusal", text, err)
		}
	}
}

func TestSubnetValidateItsAddresses(t *testing.T) {
	tests := []struct {
		prefix, gateway string
		aux             []netip.Addr
		ok              bool
	}{
		{"10.0.0.0/24", "", nil, true},
		{"10.0.0.0/24", "10.0.0.1", addrs("10.0.0.254", ""), true},
		{"10.0.0.0/24", "10.0.0.0", nil, false},
		{"10.0.0.0/24", "10.0.0.255", nil, false},
		{"10.0.0.0/24", "10.0.1.1", nil, false},
		{"10.0.0.0/24", "fd00::1", nil, false},
		{"10.0.0.0/24", "10.0.0.1", addrs("10.0.0.2", "10.0.0.255"), false},
		{"fd00::/64", "fd00::1", addrs("fd00::ffff:ffff:ffff:ffff"), true},
		{"fd00::/64", "fd00::", nil, false},
	}
	for _, tt := range tests {
		s := overlay.Subnet{Prefix: prefix(tt.prefix), Gateway: addr(tt.gateway), Aux: tt.aux}
		if err := s.Validate(); (err == nil) != tt.ok || err != nil && !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%+v: %v, want valid: %v", s, err, tt.ok)
		}
	}
}

func TestUsable(t *testing.T) {
	tests := []struct {
		prefix, addr string
		ok           bool
	}{
		{"10.0.0.0/24", "10.0.0.1", true}, {"10.0.0.0/24", "10.0.0.254", true},
		{"10.0.0.0/24", "10.0.0.0", false}, {"10.0.0.0/24", "10.0.0.255", false}, {"10.0.0.0/24", "10.0.1.0", false},
		{"10.0.0.0/23", "10.0.0.255", true}, {"10.0.0.0/23", "10.0.1.0", true}, {"10.0.0.0/23", "10.0.1.255", false},
		{"255.255.255.252/30", "255.255.255.254", true}, {"255.255.255.252/30", "255.255.255.255", false},
		{"10.0.0.0/24", "::ffff:10.0.0.1", false}, {"10.0.0.0/24", "", false}, {"", "10.0.0.1", false}, {"", "", false},
		{"fd00::/126", "fd00::1", true}, {"fd00::/126", "fd00::3", true}, {"fd00::/126", "fd00::", false}, {"fd00::/126", "fd00::4", false},
		{"fd00::/64", "fd00::1%eth0", false},
	}
	for _, tt := range tests {
		err := overlay.Subnet{Prefix: prefix(tt.prefix)}.Usable(addr(tt.addr))
		if (err == nil) != tt.ok || err != nil && !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%q in %q: %v, want usable: %v", tt.addr, tt.prefix, err, tt.ok)
		}
	}
}

func TestFirstAndLast(t *testing.T) {
	tests := []struct{ prefix, first, last string }{
		{"10.0.0.0/24", "10.0.0.1", "10.0.0.254"},
		{"10.0.0.77/24", "10.0.0.1", "10.0.0.254"},
		{"10.32.0.0/12", "10.32.0.1", "10.47.255.254"},
		{"255.255.255.252/30", "255.255.255.253", "255.255.255.254"},
		{"fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffd", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"", "", ""},
	}
	for _, tt := range tests {
		p := prefix(tt.prefix)
		if first, last := overlay.First(p), overlay.Last(p); first != addr(tt.first) || last != addr(tt.last) {
			t.Errorf("%q: %v to %v, want %s to %s", tt.prefix, first, last, tt.first, tt.last)
		}
	}
}

func TestNextFree(t *testing.T) {
	tests := []struct {
		name, prefix, part string
		taken              []netip.Addr
		after, want        string // want "" is exhausted
	}{
		{"first", "10.0.0.0/24", "", nil, "", "10.0.0.1"},
		{"after", "10.0.0.0/24", "", nil, "10.0.0.7", "10.0.0.8"},
		{"wraps", "10.0.0.0/30", "", addrs("10.0.0.1"), "10.0.0.1", "10.0.0.2"},
		{"wraps to the start", "10.0.0.0/30", "", addrs("10.0.0.2"), "10.0.0.1", "10.0.0.1"},
		{"after the last", "10.0.0.0/30", "", nil, "10.0.0.2", "10.0.0.1"},
		{"after outside", "10.0.0.0/24", "", nil, "10.9.0.0", "10.0.0.1"},
		{"after of the other family", "10.0.0.0/24", "", nil, "fd00::1", "10.0.0.1"},
		{"gap", "10.0.0.0/24", "", addrs("10.0.0.1", "10.0.0.2", "10.0.0.4"), "", "10.0.0.3"},
		{"taken twice and outside", "10.0.0.0/24", "", addrs("9.0.0.0", "10.0.0.1", "10.0.0.1", "11.0.0.0"), "", "10.0.0.2"},
		{"full", "10.0.0.0/30", "", addrs("10.0.0.1", "10.0.0.2"), "10.0.0.1", ""},
		{"range", "10.0.0.0/24", "10.0.0.128/25", nil, "", "10.0.0.128"},
		{"range has the network address", "10.0.0.0/24", "10.0.0.0/30", nil, "", "10.0.0.1"},
		{"range has the broadcast address", "10.0.0.0/24", "10.0.0.252/30", addrs("10.0.0.252", "10.0.0.253", "10.0.0.254"), "", ""},
		{"range of one", "10.0.0.0/24", "10.0.0.9/32", nil, "10.0.0.9", "10.0.0.9"},
		{"range of the network address only", "10.0.0.0/24", "10.0.0.0/32", nil, "", ""},
		{"range of the broadcast address only", "10.0.0.0/24", "10.0.0.255/32", nil, "", ""},
		{"cursor before the range", "10.0.0.0/24", "10.0.0.128/25", nil, "10.0.0.5", "10.0.0.128"},
		{"top of IPv4", "255.255.255.252/30", "", addrs("255.255.255.253"), "255.255.255.253", "255.255.255.254"},
		{"full at the top of IPv4", "255.255.255.252/30", "", addrs("255.255.255.253", "255.255.255.254", "255.255.255.255"), "", ""},
		{"IPv6", "fd00::/64", "", addrs("fd00::1"), "", "fd00::2"},
		{"last of IPv6", "fd00::/126", "", addrs("fd00::1", "fd00::2"), "fd00::2", "fd00::3"},
		{"full at the top of IPv6", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126", "",
			addrs("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffd", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "", ""},
		{"no subnet", "", "", nil, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := overlay.Pool{Prefix: prefix(tt.prefix), Range: prefix(tt.part)}.NextFree(tt.taken, addr(tt.after))
			if got != addr(tt.want) || (err != nil) != (tt.want == "") || err != nil && !overlay.IsKind(err, overlay.Exhausted) {
				t.Errorf("got %v, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// smallPrefix draws a subnet of at most 64 addresses, often at the end of the
// family's address space.
func smallPrefix(t *rapid.T) netip.Prefix {
	base := rapid.SampledFrom([]string{"10.0.0.0", "10.0.0.128", "255.255.255.192", "fd00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffc0"}).Draw(t, "base")
	a := addr(base)
	return netip.PrefixFrom(a, a.BitLen()-rapid.IntRange(2, 6).Draw(t, "host bits"))
}

// hosts lists, address by address, what endpoints of the pool may have.
func hosts(p overlay.Pool) []netip.Addr {
	var list []netip.Addr
	for a := p.Prefix.Addr(); a.IsValid() && p.Prefix.Contains(a); a = a.Next() {
		if (overlay.Subnet{Prefix: p.Prefix}).Usable(a) == nil && (!p.Range.IsValid() || p.Range.Contains(a)) {
			list = append(list, a)
		}
	}
	return list
}

func TestNextFreeAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := overlay.Pool{Space: overlay.DefaultSpace, Prefix: smallPrefix(t)}
		whole := hosts(pool)
		if rapid.Bool().Draw(t, "with range") {
			at := rapid.SampledFrom(whole).Draw(t, "range at")
			pool.Range = netip.PrefixFrom(at, rapid.IntRange(pool.Prefix.Bits(), at.BitLen()).Draw(t, "range bits")).Masked()
		}
		taken := rapid.SliceOfDistinct(rapid.SampledFrom(whole), func(a netip.Addr) netip.Addr { return a }).Draw(t, "taken")
		slices.SortFunc(taken, netip.Addr.Compare)
		after := rapid.SampledFrom(append([]netip.Addr{{}, pool.Prefix.Addr().Prev(), pool.Prefix.Addr()}, whole...)).Draw(t, "after")

		candidates := hosts(pool)
		if i := slices.IndexFunc(candidates, after.Less); i > 0 && after.IsValid() {
			candidates = slices.Concat(candidates[i:], candidates[:i])
		}
		free := slices.IndexFunc(candidates, func(a netip.Addr) bool { return !slices.Contains(taken, a) })
		got, err := pool.NextFree(taken, after)
		switch {
		case free < 0 && !overlay.IsKind(err, overlay.Exhausted):
			t.Fatalf("nothing is free, got %v, %v", got, err)
		case free >= 0 && (err != nil || got != candidates[free]):
			t.Fatalf("got %v, %v; want %v", got, err, candidates[free])
		}
	})
}

func TestFreeSubnet(t *testing.T) {
	tests := []struct {
		name, pool string
		bits       int
		taken      []string
		want       string
		kind       overlay.Kind
	}{
		{"first", "10.32.0.0/12", 24, nil, "10.32.0.0/24", 0},
		{"next", "10.32.0.0/12", 24, []string{"10.32.0.0/24"}, "10.32.1.0/24", 0},
		{"a smaller one blocks", "10.32.0.0/12", 24, []string{"10.32.0.7/32"}, "10.32.1.0/24", 0},
		{"a larger one blocks", "10.32.0.0/12", 24, []string{"10.32.0.0/13"}, "10.40.0.0/24", 0},
		{"not masked", "10.32.0.5/12", 24, []string{"10.32.0.9/24"}, "10.32.1.0/24", 0},
		{"others do not matter", "10.32.0.0/12", 24, []string{"fd00::/8", "192.168.0.0/16", ""}, "10.32.0.0/24", 0},
		{"whole pool", "10.32.0.0/24", 24, nil, "10.32.0.0/24", 0},
		{"none left", "10.32.0.0/24", 24, []string{"10.32.0.200/32"}, "", overlay.Exhausted},
		{"default route", "10.32.0.0/12", 24, []string{"0.0.0.0/0"}, "", overlay.Exhausted},
		{"last at the top", "255.255.254.0/23", 24, []string{"255.255.254.0/24"}, "255.255.255.0/24", 0},
		{"none left at the top", "255.255.254.0/23", 24, []string{"255.255.254.0/24", "255.255.255.255/32"}, "", overlay.Exhausted},
		{"all of IPv4 taken bit by bit", "0.0.0.0/0", 30, []string{"0.0.0.0/1", "128.0.0.0/1"}, "", overlay.Exhausted},
		{"does not fit", "10.32.0.0/25", 24, nil, "", overlay.Invalid},
		{"too small for hosts", "10.32.0.0/24", 31, nil, "", overlay.Invalid},
		{"IPv6", "fd00::/8", 24, nil, "", overlay.Invalid},
		{"no pool", "", 24, nil, "", overlay.Invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			taken := make([]netip.Prefix, len(tt.taken))
			for i, text := range tt.taken {
				taken[i] = prefix(text)
			}
			got, err := overlay.FreeSubnet(prefix(tt.pool), tt.bits, taken)
			if got != prefix(tt.want) || (err != nil) != (tt.want == "") || err != nil && !overlay.IsKind(err, tt.kind) {
				t.Errorf("got %v, %v; want %q, kind %v", got, err, tt.want, tt.kind)
			}
		})
	}
}

func TestFreeSubnetAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]string{"10.0.0.0", "255.255.255.0", "0.0.0.0"}).Draw(t, "base")
		pool := netip.PrefixFrom(addr(base), rapid.IntRange(24, 28).Draw(t, "pool bits"))
		bits := rapid.IntRange(pool.Bits(), 30).Draw(t, "bits")
		taken := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) netip.Prefix {
			raw := pool.Addr().As4()
			raw[3] = rapid.Byte().Draw(t, "host")
			return netip.PrefixFrom(netip.AddrFrom4(raw), rapid.IntRange(23, 32).Draw(t, "length"))
		}), 0, 12).Draw(t, "taken")

		var want netip.Prefix
		for a := pool.Addr(); a.IsValid() && pool.Contains(a); a = a.Next() {
			p := netip.PrefixFrom(a, bits)
			if p == p.Masked() && !slices.ContainsFunc(taken, p.Overlaps) {
				want = p
				break
			}
		}
		got, err := overlay.FreeSubnet(pool, bits, taken)
		if got != want || (err != nil) == want.IsValid() {
			t.Fatalf("got %v, %v; want %v", got, err, want)
		}
	})
}

func TestPoolID(t *testing.T) {
	tests := []struct {
		id string
		ok bool
	}{
		{"default|10.32.0.0/24", true}, {"web|10.32.0.0/24|10.32.0.128/25", true}, {"web|fd00::/64", true},
		{"", false}, {"default", false}, {"default|", false}, {"|10.32.0.0/24", false}, {"default|10.32.0.0/24|", false},
		{"default|10.32.0.0/24|10.32.0.0/25|", false}, {"default|10.32.0.1/24", false}, {"default|10.32.0.0/24|10.32.0.1/25", false},
		{"default|10.32.0.0/24|10.33.0.0/25", false}, {"default|10.32.0.0/24|10.32.0.0/16", false}, {"default|10.32.0.0/24|fd00::/64", false},
		{"a b|10.32.0.0/24", false}, {"default|10.32.0.0", false}, {"default|224.0.0.0/24", false},
	}
	for _, tt := range tests {
		pool, err := overlay.ParsePoolID(tt.id)
		switch {
		case (err == nil) != tt.ok:
			t.Errorf("%q: %v, want valid: %v", tt.id, err, tt.ok)
		case err == nil && pool.ID() != tt.id:
			t.Errorf("%q came back as %q", tt.id, pool.ID())
		case err != nil && (!overlay.IsKind(err, overlay.Invalid) || pool != overlay.Pool{}):
			t.Errorf("%q: pool %+v, error %v; want a refusal alone", tt.id, pool, err)
		}
	}
}

func FuzzParsePoolID(f *testing.F) {
	for _, id := range []string{"default|10.32.0.0/24", "web|10.32.0.0/24|10.32.0.128/25", "w|fd00::/64", "||", "a|0.0.0.0/0|::/0", "x|255.255.255.252/30"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		pool, err := overlay.ParsePoolID(id)
		if err != nil {
			if !overlay.IsKind(err, overlay.Invalid) {
				t.Fatalf("error %v is no refusal", err)
			}
			return
		}
		if again, err := overlay.ParsePoolID(pool.ID()); err != nil || again != pool {
			t.Fatalf("%+v came back as %+v, %v", pool, again, err)
		}
		free, err := pool.NextFree(nil, netip.Addr{})
		var refusal *overlay.Refusal
		if err != nil && !errors.As(err, &refusal) {
			t.Fatal(err)
		}
		if err == nil && (overlay.Subnet{Prefix: pool.Prefix}).Usable(free) != nil {
			t.Fatalf("the first free address of %s is %s, which no endpoint can have", id, free)
		}
	})
}
