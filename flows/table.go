package flows

import (
	"strconv"
	"strings"
)

// TableID is the number of an OpenFlow table. Packets only go to higher numbers.
type TableID uint8

// The tables, in the order packets meet them. The gaps are for later ones.
const (
	// Classify finds out where a packet came from.
	Classify TableID = 0
	// TunnelIn gives a packet from a peer its network.
	TunnelIn TableID = 10
	// SpoofGuard lets pass what an endpoint may send.
	SpoofGuard TableID = 20
	// ArpResponder answers for every known address of the network.
	ArpResponder TableID = 40
	// Forward sends unicast to its one receiver.
	Forward TableID = 60
	// Flood copies broadcast and multicast to the network's members.
	Flood TableID = 70
)

// Tables returns every table that ovsnet uses, in the order packets meet them.
func Tables() []TableID {
	return []TableID{Classify, TunnelIn, SpoofGuard, ArpResponder, Forward, Flood}
}

// String returns the table's name, or its number where it is none of ovsnet's.
func (t TableID) String() string {
	switch t {
	case Classify:
		return "Classify"
	case TunnelIn:
		return "TunnelIn"
	case SpoofGuard:
		return "SpoofGuard"
	case ArpResponder:
		return "ArpResponder"
	case Forward:
		return "Forward"
	case Flood:
		return "Flood"
	}
	return strconv.Itoa(int(t))
}

// Meaning says in a few words, for an operator, what the table does.
func (t TableID) Meaning() string {
	switch t {
	case Classify:
		return "where a packet comes from"
	case TunnelIn:
		return "which network a packet out of the tunnel belongs to"
	case SpoofGuard:
		return "what an endpoint may send"
	case ArpResponder:
		return "ARP is answered here"
	case Forward:
		return "unicast goes to its one receiver"
	case Flood:
		return "broadcast and multicast go to every member"
	}
	return "no table of ovsnet's"
}

// ParseTable finds one of ovsnet's tables by its name, in any case, or its
// number.
func ParseTable(word string) (TableID, bool) {
	for _, t := range Tables() {
		if strings.EqualFold(t.String(), word) || strconv.Itoa(int(t)) == word {
			return t, true
		}
	}
	return 0, false
}
