package flows

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/overlay"
)

// Field is one field of a packet or its metadata that flows match or set. The
// order of the constants is the order in which ovs-ofctl prints them.
type Field uint8

// The fields, named as in ovs-fields(7).
const (
	Reg0 Field = iota
	Reg1
	Reg2
	Reg3
	Reg4
	Reg5
	Reg6
	Reg7
	Reg8
	Reg9
	Reg10
	Reg11
	Reg12
	Reg13
	Reg14
	Reg15
	TunID
	TunSrc
	TunDst
	TunIPv6Src
	TunIPv6Dst
	Metadata
	InPort
	VlanTCI
	VlanVID
	VlanPCP
	EthSrc
	EthDst
	EthType
	IPSrc
	IPDst
	IPv6Src
	IPv6Dst
	ArpSPA
	ArpTPA
	IPProto
	ArpOp
	ArpSHA
	ArpTHA
	IPTOS
	IPECN
	IPTTL
	TPSrc
	TPDst
	ICMPType
	ICMPCode
	NDTarget
	NDSLL
	NDTLL
	fieldCount
)

// format is how ovs-ofctl writes a field's value.
type format uint8

const (
	decimal format = iota
	hex
	hex4
	mac
	ipv4
	ipv6
	port
)

// fieldRow is what there is to know of a field.
type fieldRow struct {
	// match is its name in a match, set in set_field, nxm in move; set and nxm
	// are empty where a flow cannot do that.
	match, set, nxm string
	bits            int
	format          format
}

// fieldRows is read only.
var fieldRows = [fieldCount]fieldRow{
	Reg0:       {"reg0", "reg0", "NXM_NX_REG0", 32, hex},
	Reg1:       {"reg1", "reg1", "NXM_NX_REG1", 32, hex},
	Reg2:       {"reg2", "reg2", "NXM_NX_REG2", 32, hex},
	Reg3:       {"reg3", "reg3", "NXM_NX_REG3", 32, hex},
	Reg4:       {"reg4", "reg4", "NXM_NX_REG4", 32, hex},
	Reg5:       {"reg5", "reg5", "NXM_NX_REG5", 32, hex},
	Reg6:       {"reg6", "reg6", "NXM_NX_REG6", 32, hex},
	Reg7:       {"reg7", "reg7", "NXM_NX_REG7", 32, hex},
	Reg8:       {"reg8", "reg8", "NXM_NX_REG8", 32, hex},
	Reg9:       {"reg9", "reg9", "NXM_NX_REG9", 32, hex},
	Reg10:      {"reg10", "reg10", "NXM_NX_REG10", 32, hex},
	Reg11:      {"reg11", "reg11", "NXM_NX_REG11", 32, hex},
	Reg12:      {"reg12", "reg12", "NXM_NX_REG12", 32, hex},
	Reg13:      {"reg13", "reg13", "NXM_NX_REG13", 32, hex},
	Reg14:      {"reg14", "reg14", "NXM_NX_REG14", 32, hex},
	Reg15:      {"reg15", "reg15", "NXM_NX_REG15", 32, hex},
	TunID:      {"tun_id", "tun_id", "NXM_NX_TUN_ID", 64, hex},
	TunSrc:     {"tun_src", "tun_src", "NXM_NX_TUN_IPV4_SRC", 32, ipv4},
	TunDst:     {"tun_dst", "tun_dst", "NXM_NX_TUN_IPV4_DST", 32, ipv4},
	TunIPv6Src: {"tun_ipv6_src", "tun_ipv6_src", "NXM_NX_TUN_IPV6_SRC", 128, ipv6},
	TunIPv6Dst: {"tun_ipv6_dst", "tun_ipv6_dst", "NXM_NX_TUN_IPV6_DST", 128, ipv6},
	Metadata:   {"metadata", "metadata", "OXM_OF_METADATA", 64, hex},
	InPort:     {"in_port", "", "", 32, port},
	VlanTCI:    {"vlan_tci", "vlan_tci", "NXM_OF_VLAN_TCI", 16, hex4},
	VlanVID:    {"dl_vlan", "", "", 12, decimal},
	VlanPCP:    {"dl_vlan_pcp", "vlan_pcp", "", 3, decimal},
	EthSrc:     {"dl_src", "eth_src", "NXM_OF_ETH_SRC", 48, mac},
	EthDst:     {"dl_dst", "eth_dst", "NXM_OF_ETH_DST", 48, mac},
	EthType:    {"dl_type", "", "NXM_OF_ETH_TYPE", 16, hex4},
	IPSrc:      {"nw_src", "ip_src", "NXM_OF_IP_SRC", 32, ipv4},
	IPDst:      {"nw_dst", "ip_dst", "NXM_OF_IP_DST", 32, ipv4},
	IPv6Src:    {"ipv6_src", "ipv6_src", "NXM_NX_IPV6_SRC", 128, ipv6},
	IPv6Dst:    {"ipv6_dst", "ipv6_dst", "NXM_NX_IPV6_DST", 128, ipv6},
	ArpSPA:     {"arp_spa", "arp_spa", "NXM_OF_ARP_SPA", 32, ipv4},
	ArpTPA:     {"arp_tpa", "arp_tpa", "NXM_OF_ARP_TPA", 32, ipv4},
	IPProto:    {"nw_proto", "", "NXM_OF_IP_PROTO", 8, decimal},
	ArpOp:      {"arp_op", "arp_op", "NXM_OF_ARP_OP", 16, decimal},
	ArpSHA:     {"arp_sha", "arp_sha", "NXM_NX_ARP_SHA", 48, mac},
	ArpTHA:     {"arp_tha", "arp_tha", "NXM_NX_ARP_THA", 48, mac},
	IPTOS:      {"nw_tos", "", "NXM_OF_IP_TOS", 8, decimal},
	IPECN:      {"nw_ecn", "nw_ecn", "NXM_NX_IP_ECN", 2, decimal},
	IPTTL:      {"nw_ttl", "nw_ttl", "NXM_NX_IP_TTL", 8, decimal},
	TPSrc:      {"tp_src", "", "", 16, decimal},
	TPDst:      {"tp_dst", "", "", 16, decimal},
	ICMPType:   {"icmp_type", "", "", 8, decimal},
	ICMPCode:   {"icmp_code", "", "", 8, decimal},
	NDTarget:   {"nd_target", "nd_target", "NXM_NX_ND_TARGET", 128, ipv6},
	NDSLL:      {"nd_sll", "nd_sll", "NXM_NX_ND_SLL", 48, mac},
	NDTLL:      {"nd_tll", "nd_tll", "NXM_NX_ND_TLL", 48, mac},
}

// String returns the field's name as in a match.
func (f Field) String() string {
	if f >= fieldCount {
		return "field" + strconv.Itoa(int(f))
	}
	return fieldRows[f].match
}

// Bits returns the field's width, 1 to 128.
func (f Field) Bits() int { return fieldRows[f].bits }

// width returns the number of bytes that hold the field.
func (f Field) width() int { return (f.Bits() + 7) / 8 }

// Full returns the mask that covers the whole field.
func (f Field) Full() Value { return ones(f.Bits()) }

// matchField finds a field by its name in a match.
func matchField(name string) (Field, bool) {
	for f := range fieldCount {
		if fieldRows[f].match == name {
			return f, true
		}
	}
	return 0, false
}

// setField finds a field by its name in set_field.
func setField(name string) (Field, bool) {
	for f := range fieldCount {
		if name != "" && fieldRows[f].set == name {
			return f, true
		}
	}
	return 0, false
}

// nxmField finds a field by its name in move.
func nxmField(name string) (Field, bool) {
	for f := range fieldCount {
		if name != "" && fieldRows[f].nxm == name {
			return f, true
		}
	}
	return 0, false
}

// appendText writes a value as ovs-ofctl does.
func (f Field) appendText(to []byte, v Value) []byte {
	switch fieldRows[f].format {
	case mac:
		return append(to, v.MAC().String()...)
	case ipv4:
		return v.IPv4().AppendTo(to)
	case ipv6:
		return v.IPv6().AppendTo(to)
	case port:
		return append(to, PortNo(v.Lo).String()...)
	case hex:
		return appendHex(to, v.Lo)
	case hex4:
		return fmt.Appendf(to, "0x%04x", v.Lo)
	}
	return strconv.AppendUint(to, v.Lo, 10)
}

// appendMask writes a mask as ovs-ofctl does.
func (f Field) appendMask(to []byte, mask Value) []byte {
	switch fieldRows[f].format {
	case ipv4, ipv6:
		if n, ok := mask.leading(f.Bits()); ok {
			return strconv.AppendInt(to, int64(n), 10)
		}
	case decimal:
		return fmt.Appendf(to, "0x%x", mask.Lo)
	}
	return f.appendText(to, mask)
}

// appendHex writes as C's %#x does, which gives zero no prefix.
func appendHex(to []byte, n uint64) []byte {
	if n == 0 {
		return append(to, '0')
	}
	return strconv.AppendUint(append(to, "0x"...), n, 16)
}

// parse reads one value, or the mask where the text is one.
func (f Field) parse(text string) (Value, error) {
	var v Value
	switch fieldRows[f].format {
	case mac:
		m, err := overlay.ParseMAC(text)
		if err != nil {
			return Value{}, err
		}
		return MACValue(m), nil
	case ipv4, ipv6:
		a, err := netip.ParseAddr(text)
		if err != nil || a.Is4() != (fieldRows[f].format == ipv4) || a.Zone() != "" {
			return Value{}, fmt.Errorf("%q is no address for %s", text, f)
		}
		return AddrValue(a), nil
	case port:
		p, err := parsePort(text)
		return Number(uint64(p)), err
	default:
		n, err := strconv.ParseUint(text, 0, 64)
		if err != nil || strings.Contains(text, "_") {
			return Value{}, fmt.Errorf("%q is no number for %s", text, f)
		}
		v = Number(n)
	}
	if v.And(f.Full()) != v {
		return Value{}, fmt.Errorf("%s does not fit into the %d bits of %s", text, f.Bits(), f)
	}
	return v, nil
}

// parseMask reads what follows the slash.
func (f Field) parseMask(text string) (Value, error) {
	if format := fieldRows[f].format; format == ipv4 || format == ipv6 {
		if n, err := strconv.ParseUint(text, 10, 8); err == nil {
			if int(n) > f.Bits() {
				return Value{}, fmt.Errorf("prefix length %d is beyond the %d bits of %s", n, f.Bits(), f)
			}
			return prefixMask(f.Bits(), int(n)), nil
		}
	}
	return f.parse(text)
}

// parseMasked reads a value with an optional mask behind a slash. Value bits
// outside of the mask are cleared.
func (f Field) parseMasked(text string) (value, mask Value, err error) {
	plain, masked, found := strings.Cut(text, "/")
	mask = f.Full()
	if found {
		if mask, err = f.parseMask(masked); err != nil {
			return Value{}, Value{}, err
		}
	}
	value, err = f.parse(plain)
	return value.And(mask), mask, err
}
