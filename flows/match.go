package flows

import (
	"iter"
	"slices"
	"strings"
)

// FieldMatch is one condition of a match: the packet's bits under Mask are
// those of Value.
type FieldMatch struct {
	Field       Field
	Value, Mask Value
}

// Exact is the condition that the whole field has the value.
func Exact(f Field, v Value) FieldMatch { return FieldMatch{Field: f, Value: v, Mask: f.Full()} }

// Masked is the condition that the field has the value's bits under mask.
func Masked(f Field, v, mask Value) FieldMatch {
	return FieldMatch{Field: f, Value: v.And(mask), Mask: mask.And(f.Full())}
}

// String writes the condition as ovs-ofctl does.
func (m FieldMatch) String() string { return string(m.appendText(nil)) }

func (m FieldMatch) appendText(to []byte) []byte {
	to = append(append(to, m.Field.String()...), '=')
	if m.Mask == m.Field.Full() {
		return m.Field.appendText(to, m.Value)
	}
	if fieldRows[m.Field].format == decimal {
		return m.Field.appendMask(append(m.Field.appendMask(to, m.Value), '/'), m.Mask)
	}
	return m.Field.appendMask(append(m.Field.appendText(to, m.Value), '/'), m.Mask)
}

// Match is a set of conditions that a packet must all meet. It is comparable:
// two matches are == exactly when they mean the same. The zero Match takes
// every packet.
//
// The conditions are kept packed (field, mask flag, value, mask, in the order
// of fields), because a host has hundreds of thousands of them.
type Match struct{ packed string }

// NewMatch returns the match of those conditions. Conditions without a bit in
// their mask are left out; of two on one field the last one holds.
func NewMatch(conditions ...FieldMatch) Match {
	// Both stay on the stack for matches of usual size.
	sorted := append(make([]FieldMatch, 0, 8), conditions...)
	slices.SortStableFunc(sorted, func(a, b FieldMatch) int { return int(a.Field) - int(b.Field) })
	packed := make([]byte, 0, 96)
	for i, c := range sorted {
		if c.Mask.IsZero() || i+1 < len(sorted) && sorted[i+1].Field == c.Field {
			continue
		}
		packed = append(packed, byte(c.Field)<<1)
		width := c.Field.width()
		if c.Mask != c.Field.Full() {
			packed[len(packed)-1] |= 1
			packed = appendValue(packed, c.Mask, width)
		}
		packed = appendValue(packed, c.Value, width)
	}
	return Match{packed: string(packed)}
}

// Fields yields the conditions in the order of fields.
func (m Match) Fields() iter.Seq[FieldMatch] {
	return func(yield func(FieldMatch) bool) {
		for rest := m.packed; rest != ""; {
			c := FieldMatch{Field: Field(rest[0] >> 1)}
			masked := rest[0]&1 == 1
			rest = rest[1:]
			c.Mask = c.Field.Full()
			if masked {
				c.Mask, rest = takeValue(rest, c.Field.width())
			}
			c.Value, rest = takeValue(rest, c.Field.width())
			if !yield(c) {
				return
			}
		}
	}
}

// Get returns the condition on a field; false where there is none.
func (m Match) Get(f Field) (FieldMatch, bool) {
	for c := range m.Fields() {
		if c.Field == f {
			return c, true
		}
	}
	return FieldMatch{}, false
}

// String writes the match as ovs-ofctl does, with "ip", "arp" and the like for
// the protocol, which comes first. It is empty for the match of every packet.
func (m Match) String() string { return string(m.appendText(nil)) }

func (m Match) appendText(to []byte) []byte {
	begin := len(to)
	proto := m.protocol()
	to = append(to, proto.name...)
	for c := range m.Fields() {
		if proto.covers(c.Field) {
			continue
		}
		if len(to) > begin {
			to = append(to, ',')
		}
		to = c.appendText(to)
	}
	return to
}

// protocol returns ovs-ofctl's word for the match's protocol, the narrowest
// there is; one without a name where there is none.
func (m Match) protocol() protocol {
	ethType, _ := m.Get(EthType)
	ipProto, _ := m.Get(IPProto)
	if ethType.Mask != EthType.Full() {
		return protocol{}
	}
	var found protocol
	for _, p := range protocols() {
		if uint64(p.ethType) != ethType.Value.Lo {
			continue
		}
		if p.ipProto == 0 && found.name == "" || p.ipProto != 0 && ipProto == Exact(IPProto, Number(uint64(p.ipProto))) {
			found = p
		}
	}
	return found
}

// protocol is one of ovs-ofctl's words for an Ethernet type and, where it is
// not 0, an IP protocol.
type protocol struct {
	name    string
	ethType uint16
	ipProto uint8
}

// covers reports whether the word stands for the condition on that field.
func (p protocol) covers(f Field) bool {
	return p.name != "" && (f == EthType || f == IPProto && p.ipProto != 0)
}

// The Ethernet types that flows speak of (IEEE 802 numbers).
const (
	EthTypeIPv4 = 0x0800
	EthTypeARP  = 0x0806
	EthTypeIPv6 = 0x86dd
)

func protocols() [12]protocol {
	return [...]protocol{
		{"ip", EthTypeIPv4, 0}, {"arp", EthTypeARP, 0}, {"ipv6", EthTypeIPv6, 0},
		{"tcp", EthTypeIPv4, 6}, {"udp", EthTypeIPv4, 17}, {"icmp", EthTypeIPv4, 1}, {"sctp", EthTypeIPv4, 132},
		{"tcp6", EthTypeIPv6, 6}, {"udp6", EthTypeIPv6, 17}, {"icmp6", EthTypeIPv6, 58}, {"sctp6", EthTypeIPv6, 132},
		{"rarp", 0x8035, 0},
	}
}

// MarshalText writes the match as String does.
func (m Match) MarshalText() ([]byte, error) { return m.appendText(nil), nil }

// Compare orders matches by what they match on, for listings.
func (m Match) Compare(o Match) int { return strings.Compare(m.packed, o.packed) }
