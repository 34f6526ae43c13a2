package trace

import "github.com/ovsnet/ovsnet/flows"

// The numbers of protocols (IANA), and of the ICMPv6 messages by which hosts
// find their neighbours (RFC 4861, 4.3 and 4.4).
const (
	ethTypeRARP = 0x8035

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoSCTP   = 132

	echoRequest       = 8
	echoRequestV6     = 128
	neighborSolicit   = 135
	neighborAdvertise = 136

	arpRequest = 1
	arpReply   = 2
)

// Has reports whether the packet's headers have the field: by Open vSwitch's
// prerequisites (ovs-fields(7)). Metadata and registers every packet has.
func (p Packet) Has(f flows.Field) bool {
	ethType, proto := p.values[flows.EthType].Lo, p.values[flows.IPProto].Lo
	isIP := ethType == flows.EthTypeIPv4 || ethType == flows.EthTypeIPv6
	switch f {
	case flows.VlanVID, flows.VlanPCP:
		return p.values[flows.VlanTCI].Lo&vlanPresent != 0
	case flows.ArpOp, flows.ArpSPA, flows.ArpTPA, flows.ArpSHA, flows.ArpTHA:
		return ethType == flows.EthTypeARP || ethType == ethTypeRARP
	case flows.IPSrc, flows.IPDst:
		return ethType == flows.EthTypeIPv4
	case flows.IPv6Src, flows.IPv6Dst:
		return ethType == flows.EthTypeIPv6
	case flows.IPProto, flows.IPTOS, flows.IPECN, flows.IPTTL:
		return isIP
	case flows.TPSrc, flows.TPDst:
		return isIP && (proto == protoTCP || proto == protoUDP || proto == protoSCTP)
	case flows.ICMPType, flows.ICMPCode:
		return p.isICMP()
	case flows.NDTarget:
		return p.isNeighbor(neighborSolicit) || p.isNeighbor(neighborAdvertise)
	case flows.NDSLL:
		return p.isNeighbor(neighborSolicit)
	case flows.NDTLL:
		return p.isNeighbor(neighborAdvertise)
	}
	return true
}

func (p Packet) isICMP() bool {
	ethType, proto := p.values[flows.EthType].Lo, p.values[flows.IPProto].Lo
	return ethType == flows.EthTypeIPv4 && proto == protoICMP || ethType == flows.EthTypeIPv6 && proto == protoICMPv6
}

// isNeighbor tells a message of neighbour discovery.
func (p Packet) isNeighbor(kind uint64) bool {
	return p.values[flows.EthType].Lo == flows.EthTypeIPv6 && p.values[flows.IPProto].Lo == protoICMPv6 &&
		p.values[flows.ICMPType].Lo == kind && p.values[flows.ICMPCode].IsZero()
}

// inFrame reports whether the field travels with the packet. What else there is
// ends at the bridge.
func inFrame(f flows.Field) bool { return f >= flows.VlanTCI }
