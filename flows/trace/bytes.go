package trace

import (
	"encoding/binary"
	"errors"

	"github.com/ovsnet/ovsnet/flows"
)

// Sizes of headers, and what they begin with, in a packet that is sent.
const (
	arpHead       = 0x0001_0800_0604 // Ethernet and IPv4 (RFC 826)
	ipv4Version   = 0x45
	ipv6Version   = 0x60
	tcpHeader     = 20
	tcpSYN        = 0x02
	tcpWindow     = 64240
	nonceOption   = 14 // of neighbour discovery (RFC 3971, 5.3.2)
	sllOption     = 1  // RFC 4861, 4.6.1
	optionUnit    = 8
	checksumSpoil = 0x5555
)

// ErrUnsendable says that Bytes does not know how to write a packet.
var ErrUnsendable = errors.New("only ARP, ICMP echo, TCP, UDP and neighbour solicitations without a tag can be sent")

// Bytes returns the packet as it is sent, the payload at its end. Nobody is to be
// troubled by it: a TCP segment opens a connection (SYN), and that and a UDP
// datagram carry a wrong checksum, so that it goes all the way, and the receiver's
// kernel throws it away. Of a neighbour solicitation the payload is an option, and
// must be six bytes more than a multiple of eight.
func (p Packet) Bytes(payload []byte) ([]byte, error) {
	kind := p.values[flows.EthType].Lo
	data := append(p.mac(flows.EthDst), p.mac(flows.EthSrc)...)
	data = binary.BigEndian.AppendUint16(data, uint16(kind))
	switch {
	case p.Has(flows.VlanVID):
		return nil, ErrUnsendable
	case kind == flows.EthTypeARP:
		return append(data, p.arpBytes(payload)...), nil
	case kind != flows.EthTypeIPv4 && kind != flows.EthTypeIPv6:
		return nil, ErrUnsendable
	}
	segment, sum, err := p.segment(payload)
	if err != nil {
		return nil, err
	}
	header, pseudo := p.ipHeader(len(segment))
	proto := p.values[flows.IPProto].Lo
	if proto == protoICMP {
		pseudo = nil
	}
	value := checksum(append(pseudo, segment...))
	if proto == protoTCP || proto == protoUDP {
		if value ^= checksumSpoil; value == 0 { // which would be none (RFC 768)
			value = 1
		}
	}
	binary.BigEndian.PutUint16(segment[sum:], value)
	return append(append(data, header...), segment...), nil
}

func (p Packet) mac(f flows.Field) []byte {
	m := p.values[f].MAC()
	return m[:]
}

func (p Packet) number(f flows.Field) uint16 { return uint16(p.values[f].Lo) }

func (p Packet) arpBytes(payload []byte) []byte {
	data := binary.BigEndian.AppendUint64(nil, arpHead<<16|p.values[flows.ArpOp].Lo)
	for _, f := range []struct{ mac, addr flows.Field }{{flows.ArpSHA, flows.ArpSPA}, {flows.ArpTHA, flows.ArpTPA}} {
		data = append(data, p.mac(f.mac)...)
		data = append(data, p.values[f.addr].IPv4().AsSlice()...)
	}
	return append(data, payload...)
}

// segment is what the IP header is followed by, and where in it the checksum is.
func (p Packet) segment(payload []byte) (data []byte, sum int, err error) {
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, p.number(flows.TPSrc)), p.number(flows.TPDst))
	switch proto := p.values[flows.IPProto].Lo; {
	case proto == protoTCP:
		data, sum = append(ports, make([]byte, tcpHeader-len(ports))...), 16
		copy(data[4:8], payload[max(0, len(payload)-4):]) // a sequence number that nobody expects
		data[12], data[13] = tcpHeader/4<<4, tcpSYN
		binary.BigEndian.PutUint16(data[14:], tcpWindow)
	case proto == protoUDP:
		data, sum = append(ports, 0, 0, 0, 0), 6
		binary.BigEndian.PutUint16(data[4:], uint16(len(data)+len(payload)))
	case p.isNeighbor(neighborSolicit):
		target := p.values[flows.NDTarget].IPv6().As16()
		data, sum = append([]byte{neighborSolicit, 0, 0, 0, 0, 0, 0, 0}, target[:]...), 2
		data = append(append(data, sllOption, 1), p.mac(flows.NDSLL)...)
		data = append(data, nonceOption, byte((len(payload)+2)/optionUnit))
	case p.isICMP() && (p.number(flows.ICMPType) == echoRequest || p.number(flows.ICMPType) == echoRequestV6):
		data, sum = []byte{byte(p.number(flows.ICMPType)), 0, 0, 0, 0, 0, 0, 1}, 2
		copy(data[4:6], payload[max(0, len(payload)-2):])
	default:
		return nil, 0, ErrUnsendable
	}
	return append(data, payload...), sum, nil
}

// ipHeader is the header before so many bytes, and the pseudo header that their
// checksum covers as well (RFC 9293, 3.1; RFC 8200, 8.1).
func (p Packet) ipHeader(size int) (header, pseudo []byte) {
	proto, ttl := byte(p.number(flows.IPProto)), byte(p.number(flows.IPTTL))
	if p.values[flows.EthType].Lo == flows.EthTypeIPv6 {
		src, dst := p.values[flows.IPv6Src].IPv6().As16(), p.values[flows.IPv6Dst].IPv6().As16()
		addrs := append(src[:], dst[:]...)
		header = append([]byte{ipv6Version, 0, 0, 0, byte(size >> 8), byte(size), proto, ttl}, addrs...)
		return header, append(addrs, 0, 0, byte(size>>8), byte(size), 0, 0, 0, proto)
	}
	src, dst := p.values[flows.IPSrc].IPv4().As4(), p.values[flows.IPDst].IPv4().As4()
	addrs := append(src[:], dst[:]...)
	const ipv4Header = 20
	header = []byte{ipv4Version, 0, 0, 0, 0, 0, 0, 0, ttl, proto, 0, 0}
	binary.BigEndian.PutUint16(header[2:], uint16(ipv4Header+size))
	header = append(header, addrs...)
	binary.BigEndian.PutUint16(header[10:], checksum(header))
	return header, append(addrs, 0, proto, byte(size>>8), byte(size))
}

// checksum is the Internet's (RFC 1071).
func checksum(data []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	if len(data)%2 == 1 {
		sum += uint32(data[len(data)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
