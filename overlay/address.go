package overlay

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
)

// Pool is a subnet claimed in an address space. Docker knows it by its ID.
type Pool struct {
	// Space is the address space, DefaultSpace or a network's name.
	Space string
	// Prefix is the subnet, masked.
	Prefix netip.Prefix
	// Range is the part of the subnet that addresses are given from when none
	// is asked for (Docker's --ip-range); the zero Prefix means all of it. It
	// is one host's choice, so it travels in the ID and not in the store.
	Range netip.Prefix
}

// ID returns the pool's name for Docker: space, subnet and range, if any.
func (p Pool) ID() string {
	id := p.Space + "|" + p.Prefix.String()
	if p.Range.IsValid() {
		id += "|" + p.Range.String()
	}
	return id
}

// ParsePoolID reads what Pool.ID wrote.
func ParsePoolID(id string) (Pool, error) {
	refusal := Refuse(Invalid, "address pool \""+id+"\"", "", "not a pool of ovsnet")
	parts := strings.Split(id, "|")
	if len(parts) < 2 || len(parts) > 3 || ValidateName("address space", parts[0]) != nil {
		return Pool{}, refusal
	}
	pool := Pool{Space: parts[0]}
	var err error
	if pool.Prefix, err = netip.ParsePrefix(parts[1]); err != nil {
		return Pool{}, refusal
	}
	if len(parts) == 3 {
		if pool.Range, err = netip.ParsePrefix(parts[2]); err != nil {
			return Pool{}, refusal
		}
	}
	if err := pool.Validate(); err != nil {
		return Pool{}, err
	}
	return pool, nil
}

// Validate refuses a pool whose prefix is not a usable subnet or whose range
// is not part of it.
func (p Pool) Validate() error {
	if err := (Subnet{Prefix: p.Prefix}).Validate(); err != nil {
		return err
	}
	if p.Range.IsValid() && (p.Range != p.Range.Masked() || p.Range.Bits() < p.Prefix.Bits() || !p.Prefix.Contains(p.Range.Addr())) {
		return Refuse(Invalid, "subnet "+p.Prefix.String(), "choose an --ip-range inside the subnet", "range %s is not a part of it", p.Range)
	}
	return nil
}

// Validate refuses a prefix that no network can have, and a gateway or
// auxiliary address that is not a usable address of it.
func (s Subnet) Validate() error {
	object := "subnet " + s.Prefix.String()
	switch p := s.Prefix; {
	case !p.IsValid():
		return Refuse(Invalid, "subnet", "write it as in 10.32.0.0/24", "not an address with a prefix length")
	case p != p.Masked():
		return Refuse(Invalid, object, "did you mean "+p.Masked().String()+"?", "it has bits set beyond its prefix length")
	case slices.ContainsFunc(notForHosts(), p.Overlaps):
		return Refuse(Invalid, object, "choose a private unicast range", "not a unicast range for hosts")
	case p.Addr().BitLen()-p.Bits() < 2:
		return Refuse(Invalid, object, "choose a larger one", "it has no room for a gateway and an endpoint")
	}
	for _, a := range append([]netip.Addr{s.Gateway}, s.Aux...) {
		if !a.IsValid() {
			continue
		}
		if err := s.Usable(a); err != nil {
			return err
		}
	}
	return nil
}

// notForHosts returns the ranges that no subnet may touch: "this network",
// loopback, link-local and multicast (RFC 6890, RFC 5771), and IPv4 addresses in
// IPv6 form, which are one thing under two names (RFC 4291, 2.5.5).
func notForHosts() []netip.Prefix {
	v4 := func(a, b, c, d byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), bits)
	}
	v6 := func(a, b byte, bits int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom16([16]byte{a, b}), bits)
	}
	mapped := netip.PrefixFrom(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff}), 96)
	return []netip.Prefix{
		v4(0, 0, 0, 0, 8), v4(127, 0, 0, 0, 8), v4(169, 254, 0, 0, 16), v4(224, 0, 0, 0, 4),
		v6(0, 0, 127), mapped, v6(0xfe, 0x80, 10), v6(0xff, 0, 8),
	}
}

// Usable refuses an address that no endpoint of the subnet can have because it
// lies outside, or is the network or broadcast address (RFC 919, RFC 950; for
// IPv6 the subnet-router anycast address, RFC 4291).
func (s Subnet) Usable(addr netip.Addr) error {
	object := "address " + addr.String()
	remedy := "choose one between " + First(s.Prefix).String() + " and " + Last(s.Prefix).String()
	switch {
	case !s.Prefix.Contains(addr):
		return Refuse(Invalid, object, remedy, "outside subnet %s", s.Prefix)
	case addr == s.Prefix.Addr():
		return Refuse(Invalid, object, remedy, "the network address of subnet %s", s.Prefix)
	case addr.Is4() && addr == broadcast(s.Prefix):
		return Refuse(Invalid, object, remedy, "the broadcast address of subnet %s", s.Prefix)
	}
	return nil
}

// First returns the first address that a host can have in the subnet; the zero
// Addr if p is not valid.
func First(p netip.Prefix) netip.Addr {
	if !p.IsValid() {
		return netip.Addr{}
	}
	return p.Masked().Addr().Next()
}

// Last returns the last address that a host can have in the subnet; the zero
// Addr if p is not valid.
func Last(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		return broadcast(p).Prev()
	}
	return broadcast(p)
}

// broadcast returns the address of p with all host bits set; the zero Addr if
// p is not valid.
func broadcast(p netip.Prefix) netip.Addr {
	if !p.IsValid() {
		return netip.Addr{}
	}
	raw := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(raw)*8; bit++ {
		raw[bit/8] |= 1 << (7 - bit%8)
	}
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

// NextFree returns the first address of the pool that is not taken, looking
// from the one after the given one and then from the start of the pool's
// range. The zero after starts at the range's start; taken must be sorted. An
// exhausted pool is a Refusal of kind Exhausted.
func (p Pool) NextFree(taken []netip.Addr, after netip.Addr) (netip.Addr, error) {
	first, last := First(p.Prefix), Last(p.Prefix)
	if p.Range.IsValid() {
		first, last = maxAddr(first, p.Range.Masked().Addr()), minAddr(last, broadcast(p.Range))
	}
	if after.IsValid() && !after.Less(first) && after.Less(last) {
		if addr, ok := firstGap(after.Next(), last, taken); ok {
			return addr, nil
		}
	}
	if addr, ok := firstGap(first, last, taken); ok {
		return addr, nil
	}
	where := p.Prefix
	if p.Range.IsValid() {
		where = p.Range
	}
	return netip.Addr{}, Refuse(Exhausted, "address pool "+where.String(), "remove endpoints, or make a network with a larger subnet", "no free address is left")
}

// firstGap returns the first address from lo to hi that is not in sorted taken.
func firstGap(lo, hi netip.Addr, taken []netip.Addr) (netip.Addr, bool) {
	i, _ := slices.BinarySearchFunc(taken, lo, netip.Addr.Compare)
	for ; lo.IsValid() && !hi.Less(lo); lo = lo.Next() {
		for i < len(taken) && taken[i].Less(lo) {
			i++
		}
		if i == len(taken) || taken[i] != lo {
			return lo, true
		}
	}
	return netip.Addr{}, false
}

func maxAddr(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}

func minAddr(a, b netip.Addr) netip.Addr {
	if b.Less(a) {
		return b
	}
	return a
}

// FreeSubnet returns the first IPv4 subnet of the given length inside pool
// that overlaps nothing in taken. Without one it is a Refusal of kind
// Exhausted. bits ranges from pool.Bits() to 30.
func FreeSubnet(pool netip.Prefix, bits int, taken []netip.Prefix) (netip.Prefix, error) {
	if !pool.Addr().Is4() || bits < pool.Bits() || bits > 30 {
		return netip.Prefix{}, Refuse(Invalid, "address pool "+pool.String(), "set --address-pool to an IPv4 range of /24 or more", "no /%d fits in it", bits)
	}
	step := uint64(1) << (32 - bits)
	end := uint64(addrToUint(broadcast(pool)))
	for at := uint64(addrToUint(pool.Masked().Addr())); at <= end; {
		candidate := netip.PrefixFrom(uintToAddr(uint32(at)), bits)
		i := slices.IndexFunc(taken, candidate.Overlaps)
		if i < 0 {
			return candidate, nil
		}
		at = max(at+step, uint64(addrToUint(broadcast(taken[i])))/step*step+step)
	}
	return netip.Prefix{}, Refuse(Exhausted, "address pool "+pool.String(), "name a --subnet, or set a larger --address-pool on the agents", "no free /%d is left", bits)
}

func addrToUint(a netip.Addr) uint32 {
	raw := a.As4()
	return binary.BigEndian.Uint32(raw[:])
}

func uintToAddr(n uint32) netip.Addr {
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], n)
	return netip.AddrFrom4(raw)
}
