package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ovsnet/ovsnet/overlay"
)

// Party is one end of a packet.
type Party struct {
	MAC overlay.MAC `json:"mac"`
	// Addr is its IP address, invalid in what is no IP or ARP.
	Addr netip.Addr `json:"addr,omitzero"`
	// Port is that of TCP or UDP, 0 otherwise.
	Port uint16 `json:"port,omitempty"`
	// Name is what people call the endpoint; empty where the cluster has none with
	// this MAC in the network.
	Name string `json:"name,omitempty"`
}

// described is what the headers of a packet say.
type described struct {
	from, to Party
	what     string
}

// describe reads a packet from its Ethernet header on. It trusts no length in it:
// what is cut short is called that.
func describe(data []byte) described {
	if len(data) < ethernetSize {
		return described{what: "cut short"}
	}
	d := described{to: Party{MAC: overlay.MAC(data[:6])}, from: Party{MAC: overlay.MAC(data[6:12])}}
	kind, rest := binary.BigEndian.Uint16(data[12:]), data[ethernetSize:]
	tag := ""
	if kind == etherVLAN && len(rest) >= wordSize {
		tag = fmt.Sprintf("vlan %d, ", binary.BigEndian.Uint16(rest)&0x0fff)
		kind, rest = binary.BigEndian.Uint16(rest[2:]), rest[wordSize:]
	}
	switch kind {
	case etherARP:
		d.arp(rest)
	case etherIPv4, etherIPv6:
		d.ip(rest)
	default:
		d.what = fmt.Sprintf("ethertype 0x%04x", kind)
	}
	d.what = tag + d.what
	return d
}

// arp reads a question or an answer (RFC 826).
func (d *described) arp(data []byte) {
	if len(data) < arpSize {
		d.what = "arp, cut short"
		return
	}
	d.from.Addr, _ = netip.AddrFromSlice(data[14:18])
	d.to.Addr, _ = netip.AddrFromSlice(data[24:28])
	switch op := binary.BigEndian.Uint16(data[6:]); op {
	case 1:
		d.what = fmt.Sprintf("arp who has %s, tell %s", d.to.Addr, d.from.Addr)
	case 2:
		d.what = fmt.Sprintf("arp %s is at %s", d.from.Addr, overlay.MAC(data[8:14]))
	default:
		d.what = fmt.Sprintf("arp operation %d", op)
	}
}

func (d *described) ip(data []byte) {
	var proto byte
	var rest []byte
	d.from.Addr, d.to.Addr, proto, rest = ipHeader(data)
	switch {
	case !d.from.Addr.IsValid():
		d.what = "ip, cut short"
	case rest == nil && isFragment(data):
		d.what = protoName(proto) + ", a later fragment"
	case rest == nil:
		d.what = protoName(proto) + ", cut short"
	case proto == protoTCP && len(rest) >= tcpSize:
		d.ports(rest)
		d.what = fmt.Sprintf("tcp %s, seq %d", tcpFlags(rest[13]), binary.BigEndian.Uint32(rest[4:]))
		if ack := binary.BigEndian.Uint32(rest[8:]); rest[13]&0x10 != 0 {
			d.what += fmt.Sprintf(", ack %d", ack)
		}
	case proto == protoUDP && len(rest) >= udpSize:
		d.ports(rest)
		d.what = "udp"
	case proto == protoICMP && len(rest) >= icmpSize:
		d.what = "icmp " + icmpWords(rest, 8, 0)
	case proto == protoICMPv6 && len(rest) >= icmpSize:
		d.what = "icmp6 " + icmpv6Words(rest)
	case proto == protoTCP, proto == protoUDP, proto == protoICMP, proto == protoICMPv6:
		d.what = protoName(proto) + ", cut short"
	default:
		d.what = protoName(proto)
	}
}

func (d *described) ports(data []byte) {
	d.from.Port, d.to.Port = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
}

func protoName(proto byte) string {
	switch proto {
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoICMP:
		return "icmp"
	case protoICMPv6:
		return "icmp6"
	}
	return fmt.Sprintf("ip protocol %d", proto)
}

// tcpFlags names the flags as people know them (RFC 9293, 3.1).
func tcpFlags(bits byte) string {
	var set []string
	for i, name := range []string{"fin", "syn", "rst", "push", "ack", "urg"} {
		if bits&(1<<i) != 0 {
			set = append(set, name)
		}
	}
	if len(set) == 0 {
		return "without flags"
	}
	return strings.Join(set, " ")
}

// icmpWords names echo requests and replies, which have these types; the rest by
// numbers (RFC 792).
func icmpWords(data []byte, request, reply byte) string {
	word := ""
	switch data[0] {
	case request:
		word = "echo request"
	case reply:
		word = "echo reply"
	default:
		return fmt.Sprintf("type %d, code %d", data[0], data[1])
	}
	return fmt.Sprintf("%s, id %d, seq %d", word, binary.BigEndian.Uint16(data[4:]), binary.BigEndian.Uint16(data[6:]))
}

// icmpv6Words names echo (RFC 4443) and the neighbours' questions and answers (RFC
// 4861, 4.3 and 4.4).
func icmpv6Words(data []byte) string {
	if len(data) >= neighborSize && (data[0] == neighborAsks || data[0] == neighborAnswers) {
		target, _ := netip.AddrFromSlice(data[8:neighborSize])
		if data[0] == neighborAsks {
			return fmt.Sprintf("who has %s", target)
		}
		return fmt.Sprintf("%s is here", target)
	}
	return icmpWords(data, 128, 129)
}
