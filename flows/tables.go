package flows

import (
	"slices"
	"strconv"
)

// TableID is an OpenFlow table number, 0 to 254.
type TableID uint8

// The tables, in the order packets meet them. The gaps are for tables to come.
const (
	// Classify tells tunnel from container and unknown.
	Classify TableID = 0
	// TunnelIn finds the network of a packet from a known host.
	TunnelIn TableID = 10
	// SpoofGuard lets a container send only as itself.
	SpoofGuard TableID = 20
	// ArpResponder answers ARP on the spot.
	ArpResponder TableID = 40
	// Forward sends unicast to its port or its host.
	Forward TableID = 60
	// Flood copies broadcast and multicast once to each port and host with a member.
	Flood TableID = 70
)

// table is what is known of a table.
type table struct {
	id   TableID
	name string
}

// pipeline lists the tables once, for names and numbers.
func pipeline() []table {
	return []table{
		{Classify, "Classify"}, {TunnelIn, "TunnelIn"}, {SpoofGuard, "SpoofGuard"},
		{ArpResponder, "ArpResponder"}, {Forward, "Forward"}, {Flood, "Flood"},
	}
}

// Tables returns all tables in the order packets meet them.
func Tables() []TableID {
	var ids []TableID
	for _, t := range pipeline() {
		ids = append(ids, t.id)
	}
	return ids
}

// String returns the table's name, or its number where it is none of ours.
func (t TableID) String() string {
	for _, known := range pipeline() {
		if known.id == t {
			return known.name
		}
	}
	return strconv.Itoa(int(t))
}

// ParseTable reads a table's name or number.
func ParseTable(word string) (TableID, bool) {
	for _, known := range pipeline() {
		if known.name == word || strconv.Itoa(int(known.id)) == word {
			return known.id, true
		}
	}
	return 0, false
}

// Rule is a kind of flow. Its number is part of the cookie and never changes.
type Rule uint8

// The rules.
const (
	KnownPeer Rule = iota + 1
	LocalPort
	UnknownSource
	MemberVNI
	UnknownVNI
	OwnIPv4
	OwnARP
	ARPProbe
	Spoofed
	SpoofMiss
	OwnAddress
	ARPAnswer
	ARPUnanswered
	NotARP
	ToLocal
	ToRemote
	ToFlood
	UnknownUnicast
	ForwardMiss
	FloodLocal
	FloodTunnel
	FloodMiss
)

// rule is what is known of a rule.
type rule struct {
	id   Rule
	name string
	// meaning is a sentence's beginning; the reason adds whom it is about.
	meaning string
	// drops says that packets end here.
	drops bool
}

func rules() []rule {
	return []rule{
		{KnownPeer, "known-peer", "tunnel packets from", false},
		{LocalPort, "local-port", "packets from", false},
		{UnknownSource, "unknown-source", "drop: neither a port of ours nor a known host's tunnel", true},
		{MemberVNI, "member-vni", "tunnel packets of", false},
		{UnknownVNI, "unknown-vni", "drop: tunnel packets of networks without a member here", true},
		{OwnIPv4, "own-ipv4", "IPv4 with its own addresses from", false},
		{OwnARP, "own-arp", "ARP with its own addresses from", false},
		{ARPProbe, "arp-probe", "ARP probes (sender 0.0.0.0) from", false},
		{Spoofed, "spoofed", "drop: forged source addresses from", true},
		{SpoofMiss, "spoof-miss", "drop: source that nothing allows", true},
		{OwnAddress, "own-address", "drop: gratuitous ARP and probes for its own address from", true},
		{ARPAnswer, "arp-answer", "ARP answer for", false},
		{ARPUnanswered, "arp-unanswered", "drop: ARP for addresses nobody has", true},
		{NotARP, "not-arp", "everything but ARP goes on", false},
		{ToLocal, "to-local", "unicast to", false},
		{ToRemote, "to-remote", "unicast through the tunnel to", false},
		{ToFlood, "to-flood", "broadcast and multicast go to Flood", false},
		{UnknownUnicast, "unknown-unicast", "drop: unicast to a MAC nobody has in", true},
		{ForwardMiss, "forward-miss", "drop: unicast without a network", true},
		{FloodLocal, "flood-local", "broadcast from a container to every member of", false},
		{FloodTunnel, "flood-tunnel", "broadcast from the tunnel to the members here of", false},
		{FloodMiss, "flood-miss", "drop: broadcast of networks without a member here", true},
	}
}

// known returns what is known of the rule.
func (r Rule) known() rule {
	all := rules()
	if i := slices.IndexFunc(all, func(k rule) bool { return k.id == r }); i >= 0 {
		return all[i]
	}
	return rule{id: r, name: "rule-" + strconv.Itoa(int(r)), meaning: "unknown rule"}
}

// String returns the rule's name.
func (r Rule) String() string { return r.known().name }

// Drops reports whether packets end at flows of this rule.
func (r Rule) Drops() bool { return r.known().drops }
