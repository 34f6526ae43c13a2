package journey

import (
	"fmt"
	"net/netip"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// why says for what reason a packet ends at a step.
func (b Bridge) why(at trace.Step, s Step) string {
	switch {
	case s.Miss:
		return fmt.Sprintf("no flow of %s matches", s.TableName)
	case s.State == Foreign:
		return "a flow that is not ovsnet's drops it"
	case at.Flow == nil:
		return s.Reason
	}
	reason := s.Reason
	if detail := b.detail(at); detail != "" {
		reason += ": " + detail
	}
	return reason
}

// detail says what of the packet it was that a drop is about.
func (b Bridge) detail(at trace.Step) string {
	why, p := at.Flow.Why, at.Packet
	switch why.Rule {
	case flows.Spoofed:
		return b.spoofed(why, p)
	case flows.UnknownPeer:
		return fmt.Sprintf("%s is in no node's record", tunnelSource(p))
	case flows.UnknownVNI:
		return b.unknownVNI(uint32(p.Get(flows.TunID).Lo), p.Get(flows.EthDst).MAC())
	case flows.UnknownUnicast:
		return b.unknownMAC(why.Network, p.Get(flows.EthDst).MAC())
	case flows.ARPUnanswered:
		return b.unknownAddr(why.Network, p.Get(flows.ArpTPA).IPv4())
	case flows.FloodFromHere, flows.FloodFromTunnel:
		return "nobody else is in the network"
	}
	return ""
}

func tunnelSource(p trace.Packet) netip.Addr {
	if v4 := p.Get(flows.TunSrc); !v4.IsZero() {
		return v4.IPv4()
	}
	return p.Get(flows.TunIPv6Src).IPv6()
}

// spoofed says which of the packet's addresses are not the endpoint's.
func (b Bridge) spoofed(why flows.Why, p trace.Packet) string {
	e, known := b.Snapshot.Endpoint(why.Network, why.Endpoint)
	if !known {
		return ""
	}
	addr := p.Get(flows.IPSrc).IPv4()
	switch p.Get(flows.EthType).Lo {
	case flows.EthTypeARP:
		addr = p.Get(flows.ArpSPA).IPv4()
		if mac := p.Get(flows.ArpSHA).MAC(); mac != e.MAC {
			return fmt.Sprintf("its ARP speaks for %s, and the endpoint's MAC address is %s", mac, e.MAC)
		}
	case flows.EthTypeIPv6:
		return "it is IPv6, which does not pass"
	}
	switch mac := p.Get(flows.EthSrc).MAC(); {
	case mac != e.MAC:
		return fmt.Sprintf("source MAC address %s is not the endpoint's %s", mac, e.MAC)
	case addr != e.IPv4:
		return fmt.Sprintf("source address %s is not the endpoint's (%s)", addr, addresses(e))
	}
	return "what is of this protocol does not pass"
}

func addresses(e overlay.Endpoint) string {
	text := "none"
	for i, a := range e.Addrs() {
		if i == 0 {
			text = a.String()
		} else {
			text += ", " + a.String()
		}
	}
	return text
}

// unknownVNI says which network a VNI is, and whether the receiver is here all the
// same.
func (b Bridge) unknownVNI(vni uint32, mac overlay.MAC) string {
	for n := range b.Snapshot.Networks() {
		if n.VNI != vni {
			continue
		}
		for e := range b.Snapshot.Endpoints(n.ID) {
			if e.MAC == mac && e.Node == b.Host.Node && b.Host.Ports[e.ID].OFPort == 0 {
				return b.unreached(e)
			}
		}
		return fmt.Sprintf("VNI %d is network %s, which has no endpoint up on %s", vni, n.Name, b.Host.Node)
	}
	return fmt.Sprintf("VNI %d is no network that %s knows", vni, b.Host.Node)
}

// unknownMAC says who has the MAC address, and why this host does not send there.
func (b Bridge) unknownMAC(network string, mac overlay.MAC) string {
	for e := range b.Snapshot.Endpoints(network) {
		if e.MAC == mac {
			return b.unreached(e)
		}
	}
	return b.elsewhere(func(e overlay.Endpoint) bool { return e.MAC == mac }, mac.String())
}

func (b Bridge) unknownAddr(network string, addr netip.Addr) string {
	for e := range b.Snapshot.Endpoints(network) {
		if e.IPv4 == addr {
			return b.unreached(e)
		}
	}
	return b.elsewhere(func(e overlay.Endpoint) bool { return e.IPv4 == addr }, addr.String())
}

// unreached says why an endpoint that the host knows has no flows there.
func (b Bridge) unreached(e overlay.Endpoint) string {
	record, known := b.Snapshot.Node(e.Node)
	_, reached := b.route(record)
	switch {
	case e.Node == b.Host.Node && b.Host.Ports[e.ID].OFPort == 0:
		return fmt.Sprintf("%s has no port on the bridge there: its container is gone, or lost its link; the agent there releases what stays so", b.endpoint(e))
	case e.Node != b.Host.Node && b.Host.Tunnel == 0:
		return fmt.Sprintf("%s is on another host, and %s has no tunnel port", b.endpoint(e), b.Host.Node)
	case e.Node != b.Host.Node && !known:
		return fmt.Sprintf("%s is on a host without a record", b.endpoint(e))
	case e.Node != b.Host.Node && !reached:
		return fmt.Sprintf("%s has no VTEP that %s can send to", e.Node, b.Host.Node)
	case e.Node != b.Host.Node:
		return fmt.Sprintf("%s is elsewhere, and what came out of the tunnel goes to no other host", b.endpoint(e))
	}
	return ""
}

func (b Bridge) route(peer overlay.Node) (netip.Addr, bool) {
	if b.Route == nil {
		return netip.Addr{}, false
	}
	return b.Route(peer)
}

// elsewhere says in which other networks somebody has what nobody has here.
func (b Bridge) elsewhere(has func(overlay.Endpoint) bool, what string) string {
	for network := range b.Snapshot.MemberNetworks() {
		for e := range b.Snapshot.Endpoints(network) {
			if has(e) {
				return fmt.Sprintf("%s is %s, and networks are separate", what, b.endpoint(e))
			}
		}
	}
	return "nobody has " + what
}
