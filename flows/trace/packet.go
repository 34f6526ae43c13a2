package trace

import (
	"strings"

	"github.com/ovsnet/ovsnet/flows"
)

// Packet is one packet with what a bridge knows about it: its headers, the port
// and the tunnel that it came by, metadata and registers. It is a value, and
// comparable. A field that the headers do not have is zero.
type Packet struct {
	values [flows.FieldCount]flows.Value
}

const (
	// vlanPresent is the bit of vlan_tci that says that there is a tag
	// (ovs-fields(7)).
	vlanPresent = 0x1000
	// dscpMask are the bits of nw_tos; the others are nw_ecn (RFC 2474, 3).
	dscpMask = 0xfc
	pcpShift = 13
)

// Get returns what the packet has in a field; zero where it has none.
func (p Packet) Get(f flows.Field) flows.Value {
	tci := p.values[flows.VlanTCI].Lo
	switch {
	case f == flows.VlanVID && tci&vlanPresent != 0:
		return flows.Number(tci).And(f.Full())
	case f == flows.VlanPCP && tci&vlanPresent != 0:
		return flows.Number(tci >> pcpShift)
	}
	return p.values[f]
}

// With returns the packet with another value in a field. The headers that the
// field belongs to are the caller's to set: nw_src without dl_type=0x0800 is not
// seen.
func (p Packet) With(f flows.Field, v flows.Value) Packet {
	p.set(f, v, f.Full())
	return p
}

// set gives the bits under mask those of the value.
func (p *Packet) set(f flows.Field, v, mask flows.Value) {
	switch f {
	case flows.VlanVID, flows.VlanPCP:
		shift := 0
		if f == flows.VlanPCP {
			shift = pcpShift
		}
		mask = flows.Number(mask.Lo<<shift | vlanPresent)
		v = flows.Number(v.Lo<<shift | vlanPresent)
		f = flows.VlanTCI
	case flows.IPTOS:
		mask = mask.And(flows.Number(dscpMask))
	}
	p.values[f] = p.values[f].And(mask.Not()).Or(v.And(mask).And(f.Full()))
}

// String writes the packet as `ovs-appctl ofproto/trace` reads it
// (ovs-vswitchd(8)). Fields of zero are left out, as that is what Open vSwitch
// takes them for.
func (p Packet) String() string {
	words := []string{flows.NewMatch(p.exact(flows.EthType), p.exact(flows.IPProto)).String()}
	if words[0] == "" {
		words = nil
	}
	for f := range flows.Field(flows.FieldCount) {
		if p.values[f].IsZero() || !p.Has(f) || f == flows.EthType || f == flows.IPProto {
			continue
		}
		text := p.exact(f).String()
		if name := p.transport(f); name != "" {
			text = name + strings.TrimPrefix(text, f.String())
		}
		words = append(words, text)
	}
	return strings.Join(words, ",")
}

// exact is the condition that a field has what the packet has there; none for
// zero.
func (p Packet) exact(f flows.Field) flows.FieldMatch {
	if v := p.values[f]; !v.IsZero() && p.Has(f) {
		return flows.Exact(f, v)
	}
	return flows.FieldMatch{}
}

// transport is the name that ofproto/trace insists on for a field that several
// protocols have; "" for every other field.
func (p Packet) transport(f flows.Field) string {
	icmp := map[bool]string{true: "icmp", false: "icmpv6"}[p.values[flows.EthType].Lo == flows.EthTypeIPv4]
	ports := map[uint64]string{protoTCP: "tcp", protoUDP: "udp", protoSCTP: "sctp"}[p.values[flows.IPProto].Lo]
	switch f {
	case flows.TPSrc:
		return ports + "_src"
	case flows.TPDst:
		return ports + "_dst"
	case flows.ICMPType:
		return icmp + "_type"
	case flows.ICMPCode:
		return icmp + "_code"
	}
	return ""
}
