package flows

import (
	"hash/fnv"
	"io"
)

// Rule is the kind of a flow: what it is for. Its number is part of the cookie
// and never changes its meaning.
type Rule uint8

// The rules by table. Zero is no rule.
const (
	// FromEndpoint takes in what a local endpoint sends.
	FromEndpoint Rule = 1
	// FromPeer takes in tunnel packets of a known host.
	FromPeer Rule = 2
	// UnknownPeer drops tunnel packets of any other sender.
	UnknownPeer Rule = 3
	// UnknownPort drops what came in anywhere else.
	UnknownPort Rule = 4

	// KnownVNI takes in tunnel packets of a network with an endpoint here.
	KnownVNI Rule = 10
	// UnknownVNI drops tunnel packets of other networks.
	UnknownVNI Rule = 11

	// OwnIPv4 passes IPv4 from an endpoint's own MAC and address.
	OwnIPv4 Rule = 20
	// OwnARP passes ARP that speaks for the endpoint itself.
	OwnARP Rule = 21
	// OwnProbe passes ARP probes (RFC 5227) from the endpoint's own MAC.
	OwnProbe Rule = 22
	// Spoofed drops and counts whatever else an endpoint sends.
	Spoofed Rule = 23
	// NotGuarded drops what no endpoint's flows spoke about.
	NotGuarded Rule = 24

	// OwnAddress drops ARP of an endpoint for its own address.
	OwnAddress Rule = 30
	// ARPAnswer answers ARP for an endpoint's address.
	ARPAnswer Rule = 31
	// ARPUnanswered drops the other ARP of a network.
	ARPUnanswered Rule = 32
	// NotARP passes on what is not ARP.
	NotARP Rule = 33

	// ToLocal delivers to an endpoint here.
	ToLocal Rule = 40
	// ToRemote sends to the host of an endpoint elsewhere.
	ToRemote Rule = 41
	// ToMany passes broadcast and multicast on to Flood.
	ToMany Rule = 42
	// UnknownUnicast drops unicast that no endpoint of the network has.
	UnknownUnicast Rule = 43
	// NotForwarded drops what belongs to no network here.
	NotForwarded Rule = 44

	// FloodFromHere copies to the local members and to every member host.
	FloodFromHere Rule = 50
	// FloodFromTunnel copies to the local members only.
	FloodFromTunnel Rule = 51
	// FloodPart makes a part of the copies where they are too many for one flow.
	FloodPart Rule = 52
	// NotFlooded drops what belongs to no network here.
	NotFlooded Rule = 53
)

// Rules returns every rule, in the order of tables.
func Rules() []Rule {
	return []Rule{
		FromEndpoint, FromPeer, UnknownPeer, UnknownPort, KnownVNI, UnknownVNI, OwnIPv4, OwnARP, OwnProbe, Spoofed, NotGuarded,
		OwnAddress, ARPAnswer, ARPUnanswered, NotARP, ToLocal, ToRemote, ToMany, UnknownUnicast, NotForwarded,
		FloodFromHere, FloodFromTunnel, FloodPart, NotFlooded,
	}
}

// ruleRow is a rule's name, the beginning of its flows' reasons, which go on
// with whom they are about, and its meaning to an operator.
type ruleRow struct{ name, reason, meaning string }

func (r Rule) row() ruleRow {
	switch r {
	case FromEndpoint:
		return ruleRow{"from-endpoint", "packets from", "what an endpoint here sends enters its network"}
	case FromPeer:
		return ruleRow{"from-peer", "tunnel packets from", "tunnel packets from a known host come in"}
	case UnknownPeer:
		return ruleRow{"unknown-peer", "drop: tunnel packets from an address that is no host of the cluster", "drops tunnel packets from an address that is no host of the cluster"}
	case UnknownPort:
		return ruleRow{"unknown-port", "drop: packets from a port that is no endpoint's", "drops what comes from a port that is no endpoint's"}
	case KnownVNI:
		return ruleRow{"known-vni", "tunnel packets of", "tunnel packets of a network with an endpoint here enter it"}
	case UnknownVNI:
		return ruleRow{"unknown-vni", "drop: tunnel packets of networks without an endpoint here", "drops tunnel packets of networks without an endpoint here"}
	case OwnIPv4:
		return ruleRow{"own-ipv4", "IPv4 with its own addresses from", "IPv4 from the endpoint's own MAC and address passes"}
	case OwnARP:
		return ruleRow{"own-arp", "ARP with its own addresses from", "ARP with the endpoint's own MAC and address passes"}
	case OwnProbe:
		return ruleRow{"own-probe", "ARP probes from", "ARP probes from the endpoint's own MAC pass"}
	case Spoofed:
		return ruleRow{"spoofed", "drop: forged or unknown packets from", "drops what an endpoint sends under another MAC or address, or of another protocol"}
	}
	return r.laterRow()
}

// laterRow goes on with the tables behind SpoofGuard.
func (r Rule) laterRow() ruleRow {
	switch r {
	case NotGuarded:
		return ruleRow{"not-guarded", "drop: packets that no endpoint here may send", "drops what no endpoint here may send"}
	case OwnAddress:
		return ruleRow{"own-address", "drop: announcements and probes for its own address from", "drops an endpoint's ARP for its own address: announcements and probes need no answer"}
	case ARPAnswer:
		return ruleRow{"arp-answer", "ARP answer for", "answers ARP for an endpoint's address on the spot"}
	case ARPUnanswered:
		return ruleRow{"arp-unanswered", "drop: ARP for addresses that nobody has in", "drops ARP for addresses that nobody has in the network"}
	case NotARP:
		return ruleRow{"not-arp", "everything but ARP goes on", "everything but ARP goes on"}
	case ToLocal:
		return ruleRow{"to-local", "delivery to", "delivers to an endpoint here"}
	case ToRemote:
		return ruleRow{"to-remote", "through the tunnel to", "sends to an endpoint's host through the tunnel"}
	case ToMany:
		return ruleRow{"to-many", "broadcast and multicast go to Flood", "broadcast and multicast go to Flood"}
	case UnknownUnicast:
		return ruleRow{"unknown-unicast", "drop: unicast to MACs that nobody has in", "drops unicast to a MAC that nobody has in the network"}
	case NotForwarded:
		return ruleRow{"not-forwarded", "drop: packets of no network here", "drops what belongs to no network here"}
	case FloodFromHere:
		return ruleRow{"flood-from-here", "copies of what endpoints here broadcast in", "copies to the network's endpoints here and once to each other member host"}
	case FloodFromTunnel:
		return ruleRow{"flood-from-tunnel", "copies to endpoints here of what other hosts broadcast in", "copies to the network's endpoints here, never back into a tunnel"}
	case FloodPart:
		return ruleRow{"flood-part", "a part of the copies in", "makes a part of the copies"}
	case NotFlooded:
		return ruleRow{"not-flooded", "drop: broadcast of no network here", "drops broadcast of no network here"}
	}
	return ruleRow{"foreign", "not a flow of ovsnet", "not a flow of ovsnet"}
}

// String returns the rule's name, in lower case with hyphens.
func (r Rule) String() string { return r.row().name }

// Meaning says in one line, for an operator, what flows of the rule do.
func (r Rule) Meaning() string { return r.row().meaning }

// Drops reports whether flows of the rule end packets.
func (r Rule) Drops() bool {
	switch r {
	case UnknownPeer, UnknownPort, UnknownVNI, Spoofed, NotGuarded, OwnAddress, ARPUnanswered, UnknownUnicast, NotForwarded, NotFlooded:
		return true
	}
	return false
}

// Why says what a flow exists for. The IDs that do not apply are empty.
type Why struct {
	Rule Rule
	// Network and Endpoint are IDs, Node is a host's name.
	Network, Endpoint, Node string
}

const (
	// cookieMagic marks the cookies of ovsnet: "ov" in ASCII.
	cookieMagic = 0x6f76
	hashBits    = 40
)

// Cookie is what the flow carries in OVS: 16 bits that mark ovsnet, 8 bits of
// rule and 40 bits of hash over the rest. It leads a dumped line to the
// intent; it identifies nothing, because hashes collide.
func (w Why) Cookie() uint64 {
	h := fnv.New64a()
	for _, part := range []string{w.Network, w.Endpoint, w.Node} {
		_, _ = io.WriteString(h, part)
		_, _ = h.Write([]byte{0})
	}
	sum := h.Sum64()
	return uint64(cookieMagic)<<48 | uint64(w.Rule)<<hashBits | (sum^sum>>hashBits)&(1<<hashBits-1)
}

// Ours reports whether a cookie is marked as one of ovsnet's.
func Ours(cookie uint64) bool { return cookie>>48 == cookieMagic }

// RuleOf returns the rule that a cookie of ovsnet names.
func RuleOf(cookie uint64) Rule { return Rule(cookie >> hashBits & 0xff) }
