package flows

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/ovsnet/ovsnet/overlay"
)

// Route says which VTEP address to use towards a peer; false where none fits.
type Route func(peer overlay.Node) (netip.Addr, bool)

// Port is a local endpoint's OVS port.
type Port struct {
	// Network is the endpoint's network ID.
	Network string
	// OFPort is the OpenFlow port number, 1 to 65279.
	OFPort uint32
}

// Host is what the compiler must know of this host beside the snapshot.
type Host struct {
	// Node is this host's name.
	Node string
	// Tunnel is the tunnel port's OpenFlow number, 0 while there is none.
	Tunnel uint32
	// Ports are the ports that are up, by endpoint ID. The map is not changed
	// once it was handed over.
	Ports map[string]Port
}

// input is all that flows follow from.
type input struct {
	snapshot *overlay.Snapshot
	host     Host
	route    Route
	// locals are the endpoints with a port here, by network and endpoint ID.
	locals map[string][]local
}

// local is an endpoint with a port on this host.
type local struct {
	endpoint overlay.Endpoint
	port     uint32
}

func newInput(s *overlay.Snapshot, h Host, route Route) *input {
	in := &input{snapshot: s, host: h, route: route, locals: map[string][]local{}}
	for _, id := range slices.Sorted(maps.Keys(h.Ports)) {
		p := h.Ports[id]
		e, ok := s.Endpoint(p.Network, id)
		if _, known := s.Network(p.Network); ok && known && e.Node == h.Node {
			in.locals[p.Network] = append(in.locals[p.Network], local{endpoint: e, port: p.OFPort})
		}
	}
	return in
}

// Compile returns all flows that the host should have, in Compare's order.
func Compile(s *overlay.Snapshot, h Host, route Route) []Flow {
	return slices.SortedFunc(newInput(s, h, route).all(), Compare)
}

// all yields every flow, unit by unit.
func (in *input) all() iter.Seq[Flow] {
	return func(yield func(Flow) bool) {
		each := func(flows []Flow) bool {
			return !slices.ContainsFunc(flows, func(f Flow) bool { return !yield(f) })
		}
		if !each(staticFlows()) {
			return
		}
		for n := range in.snapshot.Nodes() {
			if !each(in.nodeFlows(n)) {
				return
			}
		}
		for network := range in.locals {
			if !each(in.networkFlows(network)) {
				return
			}
			for e := range in.snapshot.Endpoints(network) {
				if !each(in.endpointFlows(e)) {
					return
				}
			}
		}
	}
}

// flow makes a flow of one rule.
func flow(t TableID, priority uint16, why Why, match Match, actions ...Action) Flow {
	return Flow{Key: Key{Table: t, Priority: priority, Match: match}, Actions: newActions(actions...), Cookie: CookieOf(why), Why: why}
}

// The priorities within a table.
const (
	missPriority    = 0
	restPriority    = 10
	floodPriority   = 50
	exactPriority   = 100
	ownPriority     = 110
	perPortPriority = 20
)

// staticFlows are the same on every host: what ends each table.
func staticFlows() []Flow {
	miss := func(t TableID, r Rule) Flow { return flow(t, missPriority, Why{Rule: r}, "", drop()) }
	return []Flow{
		miss(Classify, UnknownSource), miss(TunnelIn, UnknownVNI), miss(SpoofGuard, SpoofMiss), miss(Forward, ForwardMiss), miss(Flood, FloodMiss),
		flow(ArpResponder, restPriority, Why{Rule: ARPUnanswered}, newMatch(keyword("arp")), drop()),
		flow(ArpResponder, missPriority, Why{Rule: NotARP}, "", gotoTable(Forward)),
		flow(Forward, floodPriority, Why{Rule: ToFlood}, newMatch(groupBit()), gotoTable(Flood)),
	}
}

// nodeFlows let a peer's tunnel packets in, from any address in its record.
func (in *input) nodeFlows(n overlay.Node) []Flow {
	if n.Name == in.host.Node || in.host.Tunnel == 0 {
		return nil
	}
	var flows []Flow
	for _, addr := range n.VTEPs {
		if addr.Is4() {
			flows = append(flows, flow(Classify, exactPriority, Why{Rule: KnownPeer, Node: n.Name},
				newMatch(inPort(in.host.Tunnel), tunSrc(addr)), gotoTable(TunnelIn)))
		}
	}
	return flows
}

// endpointFlows are those of one endpoint, here or elsewhere.
func (in *input) endpointFlows(e overlay.Endpoint) []Flow {
	network, ok := in.snapshot.Network(e.Network)
	if !ok || len(in.locals[e.Network]) == 0 {
		return nil
	}
	if e.Node != in.host.Node {
		return in.remoteFlows(network, e)
	}
	port, up := in.host.Ports[e.ID]
	if !up {
		return nil
	}
	why := func(r Rule) Why { return Why{Rule: r, Network: e.Network, Endpoint: e.ID, Node: e.Node} }
	from := inPort(port.OFPort)
	flows := []Flow{
		flow(Classify, exactPriority, why(LocalPort), newMatch(from), setNetwork(network.VNI), gotoTable(SpoofGuard)),
		flow(SpoofGuard, perPortPriority, why(Spoofed), newMatch(from), drop()),
		flow(Forward, exactPriority, why(ToLocal), newMatch(anyNetwork(network.VNI), ethDst(e.MAC)), output(port.OFPort)),
	}
	if e.IPv4.IsValid() {
		flows = append(flows,
			flow(SpoofGuard, exactPriority, why(OwnIPv4), newMatch(keyword("ip"), from, ethSrc(e.MAC), ipSrc(e.IPv4)), gotoTable(ArpResponder)),
			flow(SpoofGuard, exactPriority, why(OwnARP), newMatch(keyword("arp"), from, ethSrc(e.MAC), arpSenderMAC(e.MAC), arpSender(e.IPv4)), gotoTable(ArpResponder)),
			flow(SpoofGuard, exactPriority, why(ARPProbe), newMatch(keyword("arp"), from, ethSrc(e.MAC), arpSenderMAC(e.MAC), arpSender(netip.IPv4Unspecified()), arpRequest()), gotoTable(ArpResponder)),
			flow(ArpResponder, ownPriority, why(OwnAddress), newMatch(keyword("arp"), from, arpRequest(), arpTarget(e.IPv4)), drop()),
			arpFlow(network, e),
		)
	}
	return flows
}

// remoteFlows lead to an endpoint on another host.
func (in *input) remoteFlows(network overlay.Network, e overlay.Endpoint) []Flow {
	peer, known := in.snapshot.Node(e.Node)
	addr, reachable := in.route(peer)
	if !known || !reachable || in.host.Tunnel == 0 {
		return nil
	}
	flows := []Flow{flow(Forward, exactPriority, Why{Rule: ToRemote, Network: e.Network, Endpoint: e.ID, Node: e.Node},
		newMatch(localNetwork(network.VNI), ethDst(e.MAC)), setTunID(network.VNI), setTunDst(addr), output(in.host.Tunnel))}
	if e.IPv4.IsValid() {
		flows = append(flows, arpFlow(network, e))
	}
	return flows
}

func arpFlow(network overlay.Network, e overlay.Endpoint) Flow {
	return flow(ArpResponder, exactPriority, Why{Rule: ARPAnswer, Network: e.Network, Endpoint: e.ID, Node: e.Node},
		newMatch(keyword("arp"), localNetwork(network.VNI), arpRequest(), arpTarget(e.IPv4)), answerARP(e.MAC, e.IPv4)...)
}

// networkFlows are those of a network with members here.
func (in *input) networkFlows(id string) []Flow {
	network, ok := in.snapshot.Network(id)
	if !ok || len(in.locals[id]) == 0 {
		return nil
	}
	why := func(r Rule) Why { return Why{Rule: r, Network: id} }
	here := make([][]Action, len(in.locals[id]))
	for i, l := range in.locals[id] {
		here[i] = []Action{output(l.port)}
	}
	flows := []Flow{
		flow(TunnelIn, exactPriority, why(MemberVNI), newMatch(tunID(network.VNI)), setNetwork(fromTunnel|network.VNI), gotoTable(Forward)),
		flow(Forward, restPriority, why(UnknownUnicast), newMatch(anyNetwork(network.VNI)), drop()),
	}
	flows = append(flows, floodFlows(why(FloodTunnel), tunnelNetwork(network.VNI), nil, here)...)
	return append(flows, floodFlows(why(FloodLocal), localNetwork(network.VNI), []Action{setTunID(network.VNI)}, append(here, in.copies(id)...))...)
}

// copies are the actions that send one copy to each other host with a member.
func (in *input) copies(network string) [][]Action {
	var list [][]Action
	for host := range in.snapshot.MemberHosts(network) {
		peer, known := in.snapshot.Node(host)
		if !known || host == in.host.Node || in.host.Tunnel == 0 {
			continue
		}
		if addr, ok := in.route(peer); ok {
			list = append(list, []Action{setTunDst(addr), output(in.host.Tunnel)})
		}
	}
	return list
}

// floodChunk is how many copies one flow makes: about 1,000 fit into one.
const floodChunk = 400

// floodFlows make the copies, in a chain of flows where one cannot hold all:
// reg1 counts the links of the chain. OVS itself never sends a copy back out of
// the port a packet came in by.
func floodFlows(why Why, network Field, first []Action, copies [][]Action) []Flow {
	var flows []Flow
	for n := 0; n == 0 || n*floodChunk < len(copies); n++ {
		part := copies[n*floodChunk : min((n+1)*floodChunk, len(copies))]
		match, priority, actions := newMatch(network), uint16(exactPriority), slices.Clone(first)
		if n > 0 {
			match, priority, actions = newMatch(network, chunk(n)), ownPriority, nil
		}
		for _, c := range part {
			actions = append(actions, c...)
		}
		if (n+1)*floodChunk < len(copies) {
			actions = append(actions, nextChunk(n+1), again(Flood))
		}
		flows = append(flows, flow(Flood, priority, why, match, actions...))
	}
	return flows
}
