package journey

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// Wish is which packet is to be traced.
type Wish struct {
	// Proto is one of Protos; empty for icmp, or tcp where there is a DPort.
	Proto string
	// SPort and DPort are those of tcp and udp; 0 for the usual ones.
	SPort, DPort uint16
	// SrcMAC and SrcAddr are what the sender says that it is; zero for what it is.
	SrcMAC  overlay.MAC
	SrcAddr netip.Addr
	// DstMAC is where the packet is sent instead of to the receiver's MAC address;
	// then nothing asks for that first. Zero for the receiver's.
	DstMAC overlay.MAC
	// IPv6 asks for it where both have IPv4 as well.
	IPv6 bool
}

// Protos are the protocols that can be wished for.
func Protos() []string { return []string{"icmp", "tcp", "udp", "arp", "nd"} }

const (
	// usualSPort is one of those that Linux gives to clients, usualDPort that of
	// HTTP.
	usualSPort = 40000
	usualDPort = 80
)

// The purposes of packets.
const (
	// PurposePacket is the packet that was asked about.
	PurposePacket = "packet"
	// PurposeAddress is the question for the receiver's MAC address, which comes
	// before the first packet.
	PurposeAddress = "address"
)

// Packets returns what the sender sends, in this order: the question for the
// receiver's MAC address (RFC 826, RFC 4861) and the packet. Where the question
// itself is wished for it is the packet. A wish that cannot be is refused.
func Packets(from, to overlay.Endpoint, w Wish) ([]Packet, error) {
	if w.Proto == "" {
		w.Proto = "icmp"
		if w.DPort != 0 {
			w.Proto = "tcp"
		}
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	sender, receiver, err := w.stations(from, to)
	if err != nil {
		return nil, err
	}
	question := Packet{PurposeAddress, trace.ARPRequest(sender, receiver.Addr)}
	if !receiver.Addr.Is4() {
		question.Frame = trace.NeighborSolicitation(sender, receiver.Addr)
	}
	packet := Packet{Purpose: PurposePacket}
	switch w.Proto {
	case "arp", "nd":
		question.Purpose = PurposePacket
		return []Packet{question}, nil
	case "tcp":
		packet.Frame = trace.TCP(sender, receiver, w.SPort, w.DPort)
	case "udp":
		packet.Frame = trace.UDP(sender, receiver, w.SPort, w.DPort)
	default:
		packet.Frame = trace.Echo(sender, receiver)
	}
	if w.DstMAC != (overlay.MAC{}) {
		return []Packet{packet}, nil
	}
	return []Packet{question, packet}, nil
}

// check refuses what contradicts itself, and fills in the usual ports.
func (w *Wish) check() error {
	switch w.Proto {
	case "tcp", "udp":
		if w.SPort == 0 {
			w.SPort = usualSPort
		}
		if w.DPort == 0 {
			w.DPort = usualDPort
		}
		return nil
	case "icmp", "arp", "nd":
		if w.DstMAC != (overlay.MAC{}) && w.Proto != "icmp" {
			return overlay.Refuse(overlay.Invalid, "--proto "+w.Proto, "leave out the destination's MAC address", "the question itself goes to everybody")
		}
		if w.SPort != 0 || w.DPort != 0 {
			return overlay.Refuse(overlay.Invalid, "--proto "+w.Proto, "leave out the ports, or use --proto tcp or udp", "it has no ports")
		}
		if w.IPv6 && w.Proto == "arp" {
			return overlay.Refuse(overlay.Invalid, "--proto arp", "use --proto nd for IPv6", "it is IPv4's")
		}
		return nil
	}
	return overlay.Refuse(overlay.Invalid, "--proto "+w.Proto, "use one of "+strings.Join(Protos(), ", "), "unknown protocol")
}

// stations are both ends as the packet names them.
func (w Wish) stations(from, to overlay.Endpoint) (sender, receiver trace.Station, err error) {
	v6 := w.IPv6 || w.Proto == "nd" || w.Proto != "arp" && w.SrcAddr.Is6()
	if w.Proto != "arp" && !v6 {
		v6 = !(from.IPv4.Is4() && to.IPv4.Is4()) && from.IPv6.IsValid() && to.IPv6.IsValid()
	}
	sender, receiver = trace.Station{MAC: from.MAC, Addr: from.IPv4}, trace.Station{MAC: to.MAC, Addr: to.IPv4}
	family, why := "IPv4", ""
	if v6 {
		sender.Addr, receiver.Addr, family, why = from.IPv6, to.IPv6, "IPv6", ": "+noIPv6
	}
	if w.Proto == "nd" {
		sender.Addr, receiver.Addr = orLinkLocal(from), orLinkLocal(to)
	}
	for _, e := range []struct {
		overlay.Endpoint
		at trace.Station
	}{{from, sender}, {to, receiver}} {
		if !e.at.Addr.IsValid() {
			return sender, receiver, overlay.Refuse(overlay.Invalid, "endpoint "+e.Label(), "choose another --proto, or leave out --ipv6", "it has no %s address%s", family, why)
		}
	}
	if w.SrcMAC != (overlay.MAC{}) {
		sender.MAC = w.SrcMAC
	}
	if w.DstMAC != (overlay.MAC{}) {
		receiver.MAC = w.DstMAC
	}
	if w.SrcAddr.IsValid() {
		if w.SrcAddr.Is6() != v6 {
			return sender, receiver, overlay.Refuse(overlay.Invalid, fmt.Sprintf("--from-ip %s", w.SrcAddr), "use an address of the family that is traced", "it is not %s", family)
		}
		sender.Addr = w.SrcAddr
	}
	return sender, receiver, nil
}

// noIPv6 is why nothing of IPv6 arrives.
const noIPv6 = "ovsnet's networks carry IPv4 and ARP, and no IPv6"

// orLinkLocal is the endpoint's IPv6 address, or else the one that its kernel makes
// of its MAC address (RFC 4291, 2.5.6 and appendix A): a container asks for such
// addresses even where nobody gave it one.
func orLinkLocal(e overlay.Endpoint) netip.Addr {
	if e.IPv6.IsValid() {
		return e.IPv6
	}
	const universal = 0x02
	m := e.MAC
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ universal, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}
