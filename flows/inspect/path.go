package inspect

import (
	"fmt"
	"iter"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// trip is a packet that comes in here, and what it is.
type trip struct {
	title  string
	packet trace.Packet
}

// FindPath finds two endpoints of one network by words, and the hosts that packets
// from the one to the other pass, in this order.
func FindPath(s *overlay.Snapshot, fromWord, toWord, network string) (Question, []string, error) {
	from, err := FindEndpoint(s, fromWord, network)
	if err != nil {
		return Question{}, nil, err
	}
	to, err := FindEndpoint(s, toWord, network)
	if err != nil {
		return Question{}, nil, err
	}
	if from.ID == to.ID {
		return Question{}, nil, overlay.Refuse(overlay.Invalid, fmt.Sprintf("from %s to %s", from.Label(), to.Label()), "name two endpoints",
			"both are %s, and what a container sends to itself does not leave it", which(s, []overlay.Endpoint{from}))
	}
	if from.Network != to.Network {
		return Question{}, nil, overlay.Refuse(overlay.Invalid, fmt.Sprintf("from %s to %s", from.Label(), to.Label()), "name two endpoints of one network",
			"%s is in network %s and %s in %s, and no flow leads from one network to another", from.Label(), networkName(s, from.Network), to.Label(), networkName(s, to.Network))
	}
	hosts := []string{from.Node}
	if to.Node != from.Node {
		hosts = append(hosts, to.Node)
	}
	return Question{From: &Place{Network: from.Network, Endpoint: from.ID}, To: &Place{Network: to.Network, Endpoint: to.ID}}, hosts, nil
}

// ExplainPath explains the flows that ARP and a ping from one endpoint to another
// of its network meet on this host, if all flows are as they should be.
func (b Bridge) ExplainPath(from, to overlay.Endpoint) (iter.Seq[Explanation], error) {
	trips, err := b.trips(from, to)
	if err != nil {
		return nil, err
	}
	return func(yield func(Explanation) bool) {
		found := map[flows.Key]pair{}
		for p := range b.pairs() {
			if p.want != nil {
				found[p.want.Key] = p
			}
		}
		table := trace.NewBridge(trace.Ports{Tunnel: flows.PortNo(b.Host.Tunnel)}, func(yield func(flows.Flow) bool) {
			for _, f := range b.desired() {
				if !yield(f) {
					return
				}
			}
		})
		for _, t := range trips {
			for _, step := range table.Run(t.packet).Steps {
				if step.Flow == nil {
					continue
				}
				e := b.explain(found[step.Flow.Key])
				if e.Packet = t.title; !yield(e) {
					return
				}
			}
		}
	}, nil
}

// trips are the packets of a ping as they come in on this host.
func (b Bridge) trips(from, to overlay.Endpoint) ([]trip, error) {
	source, target := trace.Station{MAC: from.MAC, Addr: from.IPv4}, trace.Station{MAC: to.MAC, Addr: to.IPv4}
	ping := fmt.Sprintf("a packet from %s (%s) to %s (%s), on %s", from.Label(), from.IPv4, to.Label(), to.IPv4, b.Host.Node)
	if p, here := b.Host.Ports[from.ID]; here && from.Node == b.Host.Node {
		in := flows.PortNo(p.OFPort)
		return []trip{
			{fmt.Sprintf("the ARP request of %s (%s) for %s (%s), on %s", from.Label(), from.IPv4, to.Label(), to.IPv4, b.Host.Node), trace.ARPRequest(source, to.IPv4).FromPort(in)},
			{ping, trace.Echo(source, target).FromPort(in)},
		}, nil
	}
	network, known := b.Snapshot.Network(to.Network)
	peer, isPeer := b.Snapshot.Node(from.Node)
	self, isNode := b.Snapshot.Node(b.Host.Node)
	vtep, reached := b.Route(peer)
	if to.Node != b.Host.Node || from.Node == b.Host.Node || !known || !isPeer || !isNode || !reached {
		return nil, overlay.Refuse(overlay.Missing, fmt.Sprintf("from %s to %s", from.Label(), to.Label()), "see ovsnet endpoint ls and ovsnet status", "%s does not have what such packets need here", b.Host.Node)
	}
	return []trip{{ping + ", out of the tunnel", trace.Echo(source, target).FromTunnel(flows.PortNo(b.Host.Tunnel), vtep, self.VTEP(), network.VNI)}}, nil
}

// ExplainUnseen is ExplainPath for a host that said nothing, for the reason silent:
// its flows follow from what the Bridge assumes, and nobody looked at one of them.
func (b Bridge) ExplainUnseen(from, to overlay.Endpoint, silent string) (iter.Seq[Explanation], error) {
	b.Installed = nil
	for _, f := range b.desired() {
		b.Installed = append(b.Installed, flows.Installed{Flow: f})
	}
	list, err := b.ExplainPath(from, to)
	if err != nil {
		return nil, err
	}
	return func(yield func(Explanation) bool) {
		for e := range list {
			e.State, e.Silent, e.Standing = Unseen, silent, "desired: nobody looked whether OVS has it"
			if !yield(e) {
				return
			}
		}
	}, nil
}
