package tunnel

import "net/netip"

// The bytes that stand before an inner IP packet on the underlay, inside the
// underlay's MTU (RFC 7348 section 5): the underlay's own IP header, UDP, VXLAN
// and the inner Ethernet header. The outer Ethernet header is not part of the
// MTU. OVS sends no inner VLAN tag and no IP options.
const (
	ipv4Header     = 20
	ipv6Header     = 40
	udpHeader      = 8
	vxlanHeader    = 8
	ethernetHeader = 14
)

// Overhead is what VXLAN takes of the underlay's MTU, in bytes: 50 between IPv4
// VTEPs (20+8+8+14), 70 between IPv6 ones (40+8+8+14).
func Overhead(vtep netip.Addr) int {
	outer := ipv4Header
	if vtep.Unmap().Is6() {
		outer = ipv6Header
	}
	return outer + udpHeader + vxlanHeader + ethernetHeader
}

// NetworkMTU is the largest MTU, in bytes, of a network whose packets the
// underlay carries: 1450 over IPv4 on 1500. It may come out as too small for
// any network (below overlay.MinMTU); the caller refuses that.
func NetworkMTU(underlay int, vtep netip.Addr) int { return underlay - Overhead(vtep) }
