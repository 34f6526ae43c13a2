package flows

import (
	"net/netip"

	"github.com/ovsnet/ovsnet/overlay"
)

// metadata holds the packet's network while it is in the pipeline: the VNI in
// bits 0 to 23, and fromTunnel in bit 24 where it came from another host. It is
// set with set_field: write_metadata, made for it, is what plain `ovs-ofctl
// dump-flows`, which speaks OpenFlow 1.0, cannot print.
const (
	vniMask    = 1<<24 - 1
	fromTunnel = 1 << 24
)

// The priorities, the same in every table. What most packets hit is highest:
// OVS stops looking there, and the masks of the rest stay out of the datapath's
// flows.
const (
	priorityFirst  uint16 = 200
	priorityHigh   uint16 = 110
	priorityNormal uint16 = 100
	priorityLow    uint16 = 90
	priorityRest   uint16 = 10
	priorityMiss   uint16 = 0
)

// groupBit is set in every broadcast and multicast address (IEEE 802).
const groupBit = 1 << 40

// ARP's requests and replies (RFC 826).
const (
	arpRequest = 1
	arpReply   = 2
)

func inPort(p uint32) FieldMatch     { return Exact(InPort, Number(uint64(p))) }
func fromHere(vni uint32) FieldMatch { return Exact(Metadata, Number(uint64(vni))) }
func fromPeers(vni uint32) FieldMatch {
	return Exact(Metadata, Number(uint64(vni)|fromTunnel))
}
func fromAnywhere(vni uint32) FieldMatch {
	return Masked(Metadata, Number(uint64(vni)), Number(vniMask))
}
func isARP() FieldMatch { return Exact(EthType, Number(EthTypeARP)) }

// rule makes a flow; without actions it drops.
func rule(t TableID, priority uint16, why Why, match Match, actions ...Action) Flow {
	return Flow{Key: Key{Table: t, Priority: priority, Match: match}, Actions: NewActions(actions...), Cookie: why.Cookie(), Why: why}
}

// place is an endpoint of this host, its network and its port.
type place struct {
	network  overlay.Network
	endpoint overlay.Endpoint
	port     uint32
}

func (p place) why(r Rule) Why {
	return Why{Rule: r, Network: p.network.ID, Endpoint: p.endpoint.ID, Node: p.endpoint.Node}
}

// peer is another host and the address to reach it by.
type peer struct {
	node string
	addr netip.Addr
}

// misses are the flows that every host has: what becomes of packets that no
// other flow took.
func misses() []Flow {
	return []Flow{
		rule(Classify, priorityMiss, Why{Rule: UnknownPort}, Match{}),
		rule(TunnelIn, priorityMiss, Why{Rule: UnknownVNI}, Match{}),
		rule(SpoofGuard, priorityMiss, Why{Rule: NotGuarded}, Match{}),
		rule(ArpResponder, priorityMiss, Why{Rule: NotARP}, Match{}, Goto(Forward)),
		rule(Forward, priorityLow, Why{Rule: ToMany}, NewMatch(Masked(EthDst, Number(groupBit), Number(groupBit))), Goto(Flood)),
		rule(Forward, priorityMiss, Why{Rule: NotForwarded}, Match{}),
		rule(Flood, priorityMiss, Why{Rule: NotFlooded}, Match{}),
	}
}

// unknownPeer counts tunnel packets that no peer's flow took.
func unknownPeer(tunnel uint32) Flow {
	return rule(Classify, priorityRest, Why{Rule: UnknownPeer}, NewMatch(inPort(tunnel)))
}

// knownPeer takes in what a peer sends from one of its addresses.
func knownPeer(tunnel uint32, p peer) Flow {
	source := Exact(TunSrc, AddrValue(p.addr))
	if !p.addr.Is4() {
		source = Exact(TunIPv6Src, AddrValue(p.addr))
	}
	return rule(Classify, priorityNormal, Why{Rule: FromPeer, Node: p.node}, NewMatch(inPort(tunnel), source), Goto(TunnelIn))
}

// fromEndpoint gives what an endpoint sends its network.
func fromEndpoint(p place) Flow {
	return rule(Classify, priorityFirst, p.why(FromEndpoint), NewMatch(inPort(p.port)),
		Set(Metadata, Number(uint64(p.network.VNI))), Goto(SpoofGuard))
}

// knownVNI gives tunnel packets their network.
func knownVNI(n overlay.Network) Flow {
	return rule(TunnelIn, priorityNormal, Why{Rule: KnownVNI, Network: n.ID}, NewMatch(Exact(TunID, Number(uint64(n.VNI)))),
		Set(Metadata, Number(uint64(n.VNI)|fromTunnel)), Goto(Forward))
}

// ownIPv4 is highest in its table so that a stream's packets look at no more
// than it does.
func ownIPv4(p place) Flow {
	return rule(SpoofGuard, priorityFirst, p.why(OwnIPv4),
		NewMatch(inPort(p.port), Exact(EthSrc, MACValue(p.endpoint.MAC)), Exact(EthType, Number(EthTypeIPv4)), Exact(IPSrc, AddrValue(p.endpoint.IPv4))),
		Goto(ArpResponder))
}

func ownARP(p place) Flow {
	return rule(SpoofGuard, priorityHigh, p.why(OwnARP),
		NewMatch(append(p.arpSender(), Exact(ArpSPA, AddrValue(p.endpoint.IPv4)))...), Goto(ArpResponder))
}

// ownProbe lets an endpoint ask whether an address is free before it has one
// (RFC 5227, 2.1.1).
func ownProbe(p place) Flow {
	return rule(SpoofGuard, priorityNormal, p.why(OwnProbe),
		NewMatch(append(p.arpSender(), Exact(ArpOp, Number(arpRequest)), Exact(ArpSPA, Number(0)))...), Goto(ArpResponder))
}

// arpSender are the conditions of ARP that names the endpoint's own MAC, in the
// frame and inside.
func (p place) arpSender() []FieldMatch {
	own := MACValue(p.endpoint.MAC)
	return []FieldMatch{inPort(p.port), isARP(), Exact(EthSrc, own), Exact(ArpSHA, own)}
}

// spoofed counts for each endpoint what it may not send.
func spoofed(p place) Flow {
	return rule(SpoofGuard, priorityRest, p.why(Spoofed), NewMatch(inPort(p.port)))
}

// ownAddress keeps an endpoint from being told that its own address is taken.
func ownAddress(p place) Flow {
	return rule(ArpResponder, priorityHigh, p.why(OwnAddress), NewMatch(inPort(p.port), isARP(), Exact(ArpTPA, AddrValue(p.endpoint.IPv4))))
}

// arpAnswer turns a request into its own answer (RFC 826) and sends it back.
func arpAnswer(n overlay.Network, e overlay.Endpoint) Flow {
	own := MACValue(e.MAC)
	return rule(ArpResponder, priorityNormal, Why{Rule: ARPAnswer, Network: n.ID, Endpoint: e.ID, Node: e.Node},
		NewMatch(fromHere(n.VNI), isARP(), Exact(ArpOp, Number(arpRequest)), Exact(ArpTPA, AddrValue(e.IPv4))),
		Move(EthSrc, EthDst), Set(EthSrc, own), Set(ArpOp, Number(arpReply)),
		Move(ArpSHA, ArpTHA), Move(ArpSPA, ArpTPA), Set(ArpSHA, own), Set(ArpSPA, AddrValue(e.IPv4)),
		Output(PortInPort))
}

func arpUnanswered(n overlay.Network) Flow {
	return rule(ArpResponder, priorityRest, Why{Rule: ARPUnanswered, Network: n.ID}, NewMatch(fromHere(n.VNI), isARP()))
}

// toLocal stands above toRemote, so that an endpoint that moved here is reached
// here even while its old record is still known.
func toLocal(p place) Flow {
	return rule(Forward, priorityHigh, p.why(ToLocal),
		NewMatch(fromAnywhere(p.network.VNI), Exact(EthDst, MACValue(p.endpoint.MAC))), Output(PortNo(p.port)))
}

// toRemote takes only packets from here: nothing goes from tunnel to tunnel.
func toRemote(n overlay.Network, e overlay.Endpoint, to peer, tunnel uint32) Flow {
	return rule(Forward, priorityNormal, Why{Rule: ToRemote, Network: n.ID, Endpoint: e.ID, Node: e.Node},
		NewMatch(fromHere(n.VNI), Exact(EthDst, MACValue(e.MAC))),
		Set(TunID, Number(uint64(n.VNI))), to.set(), Output(PortNo(tunnel)))
}

// set gives the tunnel packet its destination.
func (p peer) set() Action {
	if p.addr.Is4() {
		return Set(TunDst, AddrValue(p.addr))
	}
	return Set(TunIPv6Dst, AddrValue(p.addr))
}

func unknownUnicast(n overlay.Network) Flow {
	return rule(Forward, priorityRest, Why{Rule: UnknownUnicast, Network: n.ID}, NewMatch(fromAnywhere(n.VNI)))
}
