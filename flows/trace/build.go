package trace

import (
	"net/netip"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// Station is one end of a conversation: what the frames of an endpoint say of
// it.
type Station struct {
	MAC overlay.MAC
	// Addr is IPv4 or IPv6; both ends of a packet have the same.
	Addr netip.Addr
}

// usualTTL is what Linux sends with.
const usualTTL = 64

// Broadcast is the MAC address of everybody on a network (IEEE 802).
func Broadcast() overlay.MAC { return overlay.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// TCP returns a segment with the ports.
func TCP(from, to Station, sport, dport uint16) Packet {
	return ip(from, to, protoTCP).ports(sport, dport)
}

// UDP returns a datagram with the ports.
func UDP(from, to Station, sport, dport uint16) Packet {
	return ip(from, to, protoUDP).ports(sport, dport)
}

// Echo returns what ping sends, by the family of the sender's address (RFC 792,
// RFC 4443).
func Echo(from, to Station) Packet {
	if from.Addr.Is4() {
		return ip(from, to, protoICMP).with(flows.ICMPType, echoRequest)
	}
	return ip(from, to, protoICMPv6).with(flows.ICMPType, echoRequestV6)
}

// ARPRequest returns the question who has an address (RFC 826).
func ARPRequest(from Station, target netip.Addr) Packet {
	return arp(from, Station{MAC: Broadcast(), Addr: target}, arpRequest)
}

// ARPReply returns an answer, to the one who asked.
func ARPReply(from, to Station) Packet {
	return arp(from, to, arpReply).With(flows.ArpTHA, flows.MACValue(to.MAC))
}

// GratuitousARP returns the announcement of the sender's own address (RFC 5227,
// 2.3).
func GratuitousARP(from Station) Packet { return ARPRequest(from, from.Addr) }

// Probe returns the question whether an address is free, from one that has none
// yet (RFC 5227, 2.1.1).
func Probe(from overlay.MAC, target netip.Addr) Packet {
	return ARPRequest(Station{MAC: from}, target)
}

// NeighborSolicitation returns IPv6's question who has an address, sent to the
// target's solicited-node address (RFC 4861, 4.3; RFC 4291, 2.7.1).
func NeighborSolicitation(from Station, target netip.Addr) Packet {
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	raw := target.As16()
	copy(group[13:], raw[13:])
	to := Station{MAC: overlay.MAC{0x33, 0x33, group[12], group[13], group[14], group[15]}, Addr: netip.AddrFrom16(group)}
	return ip(from, to, protoICMPv6).with(flows.ICMPType, neighborSolicit).with(flows.IPTTL, 255).
		With(flows.NDTarget, flows.AddrValue(target)).With(flows.NDSLL, flows.MACValue(from.MAC))
}

// FromPort returns the packet as it comes in by a port.
func (p Packet) FromPort(n flows.PortNo) Packet { return p.with(flows.InPort, uint64(n)) }

// FromTunnel returns the packet as it comes out of the tunnel port: src is the
// sender's VTEP, dst this host's.
func (p Packet) FromTunnel(n flows.PortNo, src, dst netip.Addr, vni uint32) Packet {
	from, to := flows.TunSrc, flows.TunDst
	if !src.Is4() {
		from, to = flows.TunIPv6Src, flows.TunIPv6Dst
	}
	return p.FromPort(n).with(flows.TunID, uint64(vni)).
		With(from, flows.AddrValue(src)).With(to, flows.AddrValue(dst))
}

// Frame returns what of the packet another host or a container sees: its
// headers, without port, tunnel, metadata and registers. A tag without its
// present bit is none.
func (p Packet) Frame() Packet {
	if !p.Has(flows.VlanVID) {
		p.values[flows.VlanTCI] = flows.Value{}
	}
	for f := range flows.Field(flows.FieldCount) {
		if !inFrame(f) {
			p.values[f] = flows.Value{}
		}
	}
	return p
}

func (p Packet) with(f flows.Field, n uint64) Packet { return p.With(f, flows.Number(n)) }

func (p Packet) ports(src, dst uint16) Packet {
	return p.with(flows.TPSrc, uint64(src)).with(flows.TPDst, uint64(dst))
}

func ethernet(from, to overlay.MAC, ethType uint64) Packet {
	return Packet{}.With(flows.EthSrc, flows.MACValue(from)).With(flows.EthDst, flows.MACValue(to)).with(flows.EthType, ethType)
}

func ip(from, to Station, proto uint64) Packet {
	if from.Addr.Is4() {
		return ethernet(from.MAC, to.MAC, flows.EthTypeIPv4).with(flows.IPProto, proto).with(flows.IPTTL, usualTTL).
			With(flows.IPSrc, flows.AddrValue(from.Addr)).With(flows.IPDst, flows.AddrValue(to.Addr))
	}
	return ethernet(from.MAC, to.MAC, flows.EthTypeIPv6).with(flows.IPProto, proto).with(flows.IPTTL, usualTTL).
		With(flows.IPv6Src, flows.AddrValue(from.Addr)).With(flows.IPv6Dst, flows.AddrValue(to.Addr))
}

func arp(from, to Station, op uint64) Packet {
	return ethernet(from.MAC, to.MAC, flows.EthTypeARP).with(flows.ArpOp, op).
		With(flows.ArpSHA, flows.MACValue(from.MAC)).With(flows.ArpSPA, flows.AddrValue(from.Addr)).
		With(flows.ArpTPA, flows.AddrValue(to.Addr))
}
