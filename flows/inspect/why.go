package inspect

import (
	"fmt"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// cause is why flows of a rule exist, and what would happen without them.
type cause struct{ why, without string }

// subject is what a flow is about, by name.
type subject struct{ endpoint, network, node, host string }

func (b Bridge) subjectOf(w flows.Why) subject {
	s := subject{node: w.Node, host: b.Host.Node, network: networkName(b.Snapshot, w.Network), endpoint: overlay.ShortID(w.Endpoint)}
	if e, ok := b.Snapshot.Endpoint(w.Network, w.Endpoint); ok {
		s.endpoint = e.Label()
		if e.IPv4.IsValid() {
			s.endpoint += " (" + e.IPv4.String() + ")"
		}
	}
	return s
}

// causeOf tells the cause of a desired flow.
func (b Bridge) causeOf(w flows.Why) cause {
	s := b.subjectOf(w)
	switch w.Rule {
	case flows.FromEndpoint:
		return cause{s.endpoint + " of network " + s.network + " is plugged in here, and whatever comes in by its port belongs to its network.",
			"everything that " + s.endpoint + " sends would be dropped as from a port that is no endpoint's."}
	case flows.FromPeer:
		return cause{s.node + " is a host of the cluster, and tunnel packets are taken from known hosts only.",
			"everything that " + s.node + " sends here would be dropped as from an unknown host."}
	case flows.UnknownPeer:
		return cause{"the tunnel has no authentication, so packets from addresses in no node record are not believed.",
			"such packets would be dropped one flow later all the same, counted together with those of unknown ports."}
	case flows.UnknownPort:
		return cause{"what comes in by a port that is neither the tunnel nor an endpoint's has no network.",
			"OVS would drop such packets all the same, and count them nowhere."}
	case flows.KnownVNI:
		return cause{"network " + s.network + " has an endpoint here.",
			"what other hosts send to endpoints of " + s.network + " here would be dropped as of an unknown network."}
	case flows.UnknownVNI:
		return cause{"a network without an endpoint here has no receivers here.", "OVS would drop such packets all the same, and count them nowhere."}
	}
	return b.guardCause(w.Rule, s)
}

// guardCause goes on with SpoofGuard and ArpResponder.
func (b Bridge) guardCause(r flows.Rule, s subject) cause {
	switch r {
	case flows.OwnIPv4:
		return cause{s.endpoint + " may send IPv4 with its own MAC and address, and with no other.", "all IPv4 that " + s.endpoint + " sends would be dropped as forged."}
	case flows.OwnARP:
		return cause{s.endpoint + " may speak for itself in ARP.", s.endpoint + " could ask for no address: its ARP would be dropped as forged."}
	case flows.OwnProbe:
		return cause{"an endpoint may ask whether an address is free before it has one (RFC 5227).", "duplicate-address detection in " + s.endpoint + " would find every address free."}
	case flows.Spoofed:
		return cause{"what " + s.endpoint + " sends under another MAC or address, or of another protocol, is not its to send.",
			"such packets would be dropped one flow later all the same, not counted as " + s.endpoint + "'s."}
	case flows.NotGuarded:
		return cause{"nothing passes SpoofGuard that no flow vouches for.", "OVS would drop such packets all the same, and count them nowhere."}
	case flows.OwnAddress:
		return cause{"announcements and probes of " + s.endpoint + " for its own address need no answer.", s.endpoint + " would be told that its own address is taken, by itself."}
	case flows.ARPAnswer:
		return cause{s.endpoint + " has the address in network " + s.network + ", on " + s.node + ", so this host answers at once and asks nobody.",
			"endpoints of " + s.network + " on " + s.host + " would get no answer for " + s.endpoint + ", and could not begin to talk to it."}
	case flows.ARPUnanswered:
		return cause{"nobody in network " + s.network + " has such an address, so nobody could answer.", "the questions would go on to Forward and be copied to every member."}
	case flows.NotARP:
		return cause{"this table is about ARP only.", "endpoints here could send nothing but ARP."}
	}
	return b.forwardCause(r, s)
}

// forwardCause goes on with Forward and Flood.
func (b Bridge) forwardCause(r flows.Rule, s subject) cause {
	switch r {
	case flows.ToLocal:
		return cause{s.endpoint + " of network " + s.network + " is plugged in here.", "packets to " + s.endpoint + " would be dropped here as unicast that nobody has."}
	case flows.ToRemote:
		return cause{s.endpoint + " of network " + s.network + " lives on " + s.node + ", and the network has an endpoint here.",
			"packets from here to " + s.endpoint + " would be dropped here as unicast that nobody has."}
	case flows.ToMany:
		return cause{"broadcast and multicast go to every member of a network.", "they would be dropped here as unicast that nobody has."}
	case flows.UnknownUnicast:
		return cause{"every endpoint of network " + s.network + " is known, so a MAC that no flow names is nobody's; nothing is flooded to find out.",
			"such packets would be dropped one flow later all the same, not counted as " + s.network + "'s."}
	case flows.NotForwarded:
		return cause{"a packet of no network here has no receiver.", "OVS would drop such packets all the same, and count them nowhere."}
	case flows.FloodFromHere:
		return cause{"network " + s.network + " has endpoints here: what one of them broadcasts goes to the others, and once to each other host with a member.",
			"broadcast and multicast from endpoints here would reach nobody."}
	case flows.FloodFromTunnel:
		return cause{"network " + s.network + " has endpoints here: what another host broadcasts goes to them, and never back into a tunnel.",
			"broadcast and multicast from other hosts would reach nobody here."}
	case flows.FloodPart:
		return cause{"the copies of network " + s.network + " do not fit into one flow.", "the members in this part would miss broadcast and multicast."}
	case flows.NotFlooded:
		return cause{"broadcast of no network here has no receiver.", "OVS would drop such packets all the same, and count them nowhere."}
	}
	return cause{fmt.Sprintf("this build knows no rule %d.", r), "nobody here can tell."}
}
