package flows

import (
	"encoding/binary"
	"net/netip"

	"github.com/ovsnet/ovsnet/overlay"
)

// Value is an unsigned number of up to 128 bits: what a packet has in a field,
// in network byte order.
type Value struct{ Hi, Lo uint64 }

// Number returns the value of a plain number.
func Number(n uint64) Value { return Value{Lo: n} }

// MACValue returns an Ethernet address as a 48-bit number.
func MACValue(m overlay.MAC) Value {
	return Value{Lo: uint64(binary.BigEndian.Uint16(m[:2]))<<32 | uint64(binary.BigEndian.Uint32(m[2:]))}
}

// AddrValue returns an IP address as a number of 32 or 128 bits; that of the
// zero Addr is 0.
func AddrValue(a netip.Addr) Value {
	switch {
	case a.Is4():
		raw := a.As4()
		return Value{Lo: uint64(binary.BigEndian.Uint32(raw[:]))}
	case a.IsValid():
		raw := a.As16()
		return Value{Hi: binary.BigEndian.Uint64(raw[:8]), Lo: binary.BigEndian.Uint64(raw[8:])}
	}
	return Value{}
}

// And returns the bits that both have.
func (v Value) And(o Value) Value { return Value{Hi: v.Hi & o.Hi, Lo: v.Lo & o.Lo} }

// Or returns the bits that either has.
func (v Value) Or(o Value) Value { return Value{Hi: v.Hi | o.Hi, Lo: v.Lo | o.Lo} }

// Not returns the bits that v lacks among all 128.
func (v Value) Not() Value { return Value{Hi: ^v.Hi, Lo: ^v.Lo} }

// IsZero reports whether no bit is set.
func (v Value) IsZero() bool { return v == Value{} }

// MAC returns the low 48 bits as an Ethernet address.
func (v Value) MAC() overlay.MAC {
	var m overlay.MAC
	binary.BigEndian.PutUint16(m[:2], uint16(v.Lo>>32))
	binary.BigEndian.PutUint32(m[2:], uint32(v.Lo))
	return m
}

// IPv4 returns the low 32 bits as an address.
func (v Value) IPv4() netip.Addr {
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], uint32(v.Lo))
	return netip.AddrFrom4(raw)
}

// IPv6 returns all 128 bits as an address.
func (v Value) IPv6() netip.Addr {
	return netip.AddrFrom16(v.bytes())
}

// ones returns a value with the lowest bits set.
func ones(bits int) Value {
	if bits <= 64 {
		return Value{Lo: ^uint64(0) >> (64 - bits)}
	}
	return Value{Hi: ^uint64(0) >> (128 - bits), Lo: ^uint64(0)}
}

// prefixMask returns a mask of the leading bits of a field.
func prefixMask(width, leading int) Value {
	return ones(width).And(ones(width - leading).Not())
}

// leading returns how many of the field's leading bits are set, and whether
// those are all that are.
func (v Value) leading(width int) (int, bool) {
	for n := range width {
		if prefixMask(width, n) == v {
			return n, true
		}
	}
	return width, v == ones(width)
}

func (v Value) bytes() [16]byte {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], v.Hi)
	binary.BigEndian.PutUint64(raw[8:], v.Lo)
	return raw
}

// appendValue packs the value into that many bytes.
func appendValue(to []byte, v Value, width int) []byte {
	raw := v.bytes()
	return append(to, raw[16-width:]...)
}

// takeValue unpacks a value of that many bytes, and returns the rest.
func takeValue(packed string, width int) (Value, string) {
	var v Value
	for i := range width {
		v.Hi = v.Hi<<8 | v.Lo>>56
		v.Lo = v.Lo<<8 | uint64(packed[i])
	}
	return v, packed[width:]
}
