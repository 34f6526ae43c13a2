package capture

import (
	"encoding/binary"
	"net/netip"
)

// Offsets and sizes in the headers of Ethernet, ARP (RFC 826), IPv4 (RFC 791), IPv6
// (RFC 8200), UDP (RFC 768), TCP (RFC 9293) and VXLAN (RFC 7348), in bytes.
const (
	ethernetSize  = 14
	ethernetSrc   = 6
	arpSize       = 28
	ipv4Size      = 20
	ipv4Fragment  = 6
	ipv4Proto     = 9
	ipv4Src       = 12
	ipv6Size      = 40
	ipv6Proto     = 6
	ipv6Src       = 8
	udpSize       = 8
	tcpSize       = 20
	icmpSize      = 8
	neighborSize  = 24
	vxlanSize     = 8
	vxlanHasVNI   = 0x08
	fragmentMask  = 0x1fff
	versionShift  = 4
	wordSize      = 4
	addressesIPv4 = 4
	addressesIPv6 = 16
)

// The protocols that are told apart (IANA).
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherVLAN = 0x8100
	etherIPv6 = 0x86dd

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58

	// Types of ICMPv6 messages (RFC 4861, 4.3 and 4.4).
	neighborAsks    = 135
	neighborAnswers = 136
)

// isFragment reports whether data, an IPv4 packet, is not the beginning of its
// payload.
func isFragment(data []byte) bool {
	return binary.BigEndian.Uint16(data[ipv4Fragment:])&fragmentMask != 0
}

// ipHeader reads an IPv4 or IPv6 header; what follows it is nil where it does not
// follow at once, or is not the beginning of its payload.
func ipHeader(data []byte) (src, dst netip.Addr, proto byte, rest []byte) {
	switch {
	case len(data) >= ipv4Size && data[0]>>versionShift == 4:
		src, _ = netip.AddrFromSlice(data[ipv4Src:][:addressesIPv4])
		dst, _ = netip.AddrFromSlice(data[ipv4Src+addressesIPv4:][:addressesIPv4])
		header := int(data[0]&0x0f) * wordSize
		if header >= ipv4Size && header <= len(data) && !isFragment(data) {
			rest = data[header:]
		}
		return src, dst, data[ipv4Proto], rest
	case len(data) >= ipv6Size && data[0]>>versionShift == 6:
		src, _ = netip.AddrFromSlice(data[ipv6Src:][:addressesIPv6])
		dst, _ = netip.AddrFromSlice(data[ipv6Src+addressesIPv6:][:addressesIPv6])
		return src, dst, data[ipv6Proto], data[ipv6Size:]
	}
	return src, dst, 0, nil
}
