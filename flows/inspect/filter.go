package inspect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// Filter narrows a list of flows to those that meet all of it. Empty fields do
// not narrow.
type Filter struct {
	// Network is a network's name or the beginning of its ID.
	Network string `json:"network,omitempty"`
	// Endpoint is an endpoint's name, the beginning of its ID, its IP or its MAC
	// address.
	Endpoint string `json:"endpoint,omitempty"`
	// Table is a table's name or number.
	Table string `json:"table,omitempty"`
	// Rule is a rule's name, or "foreign".
	Rule string `json:"rule,omitempty"`
	// Active is within how many seconds a packet must have matched.
	Active int `json:"active,omitempty"`
	// Dropped asks for flows that dropped packets.
	Dropped bool `json:"dropped,omitempty"`
	// Brief leaves out, of flows that are as they should be, what a list for people
	// does not show (see Line), which is most of it. It does not narrow.
	Brief bool `json:"brief,omitempty"`
}

// narrow is a Filter whose names were looked up, for the flows of a host.
type narrow struct {
	Filter
	host     Bridge
	table    flows.TableID
	network  *overlay.Network
	endpoint *overlay.Endpoint
	// port is the endpoint's OpenFlow port, 0 where it is not plugged in here.
	port uint32
}

// foreignRule is how a filter names flows that are not ovsnet's.
const foreignRule = "foreign"

// resolve looks the filter's names up.
func (f Filter) resolve(b Bridge) (narrow, error) {
	n := narrow{Filter: f, host: b}
	var known bool
	if n.table, known = flows.ParseTable(f.Table); f.Table != "" && !known {
		var names []string
		for _, t := range flows.Tables() {
			names = append(names, t.String())
		}
		return n, missing("table", f.Table, "use one of "+strings.Join(names, ", "))
	}
	if f.Rule != "" && f.Rule != foreignRule {
		var names []string
		for _, r := range flows.Rules() {
			names = append(names, r.String())
		}
		if !slices.Contains(names, f.Rule) {
			return n, missing("rule", f.Rule, "use one of "+strings.Join(append(names, foreignRule), ", "))
		}
	}
	if f.Active < 0 {
		return n, overlay.Refuse(overlay.Invalid, fmt.Sprintf("%d seconds", f.Active), "use a number above 0", "the last packet cannot come in the future")
	}
	if f.Network != "" {
		network, err := FindNetwork(b.Snapshot, f.Network)
		if err != nil {
			return n, err
		}
		n.network = &network
	}
	if f.Endpoint != "" {
		endpoint, err := findEndpoint(b.Snapshot, f.Endpoint, f.Network, endpointList+"; a host knows the endpoints of the networks that it is in")
		if err != nil {
			return n, err
		}
		n.endpoint, n.port = &endpoint, b.Host.Ports[endpoint.ID].OFPort
	}
	return n, nil
}

func missing(what, word, remedy string) error {
	return overlay.Refuse(overlay.Missing, fmt.Sprintf("%s %q", what, word), remedy, "no such %s", what)
}

// leastID is how much of a network's ID stands for it.
const leastID = 4

// FindNetwork returns the network of that name, or whose ID begins so.
func FindNetwork(s *overlay.Snapshot, word string) (overlay.Network, error) {
	if n, ok := s.NetworkNamed(word); ok {
		return n, nil
	}
	var found []overlay.Network
	for n := range s.Networks() {
		if len(word) >= leastID && strings.HasPrefix(n.ID, word) || n.ID == word {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return overlay.Network{}, missing("network", word, "see ovsnet network ls")
	case 1:
		return found[0], nil
	}
	return overlay.Network{}, overlay.Refuse(overlay.Invalid, fmt.Sprintf("network %q", word), "give more of the ID", "%d networks have an ID that begins so", len(found))
}

// mostListed is how many endpoints that one word could mean are told.
const mostListed = 10

// endpointList is where all endpoints are listed.
const endpointList = "see ovsnet endpoint ls"

// FindEndpoint returns the endpoint that the word names, in that network where it
// is not "". Where it could be several, the refusal lists them.
func FindEndpoint(s *overlay.Snapshot, word, network string) (overlay.Endpoint, error) {
	return findEndpoint(s, word, network, endpointList)
}

// findEndpoint is FindEndpoint; remedy says what to do where nobody is called so.
func findEndpoint(s *overlay.Snapshot, word, network, remedy string) (overlay.Endpoint, error) {
	if network != "" {
		n, err := FindNetwork(s, network)
		if err != nil {
			return overlay.Endpoint{}, err
		}
		network = n.ID
	}
	found := s.FindEndpoints(word, network)
	switch len(found) {
	case 0:
		if elsewhere := s.FindEndpoints(word, ""); len(elsewhere) > 0 {
			return overlay.Endpoint{}, overlay.Refuse(overlay.Missing, fmt.Sprintf("endpoint %q", word), "name another --network, or none",
				"network %s has no such endpoint; it could be %s", networkName(s, network), which(s, elsewhere))
		}
		return overlay.Endpoint{}, missing("endpoint", word, remedy)
	case 1:
		return found[0], nil
	}
	return overlay.Endpoint{}, overlay.Refuse(overlay.Invalid, fmt.Sprintf("endpoint %q", word), "name one by its ID, or add --network", "it could be %s", which(s, found))
}

// which lists endpoints that one word means.
func which(s *overlay.Snapshot, found []overlay.Endpoint) string {
	var list []string
	for _, e := range found[:min(len(found), mostListed)] {
		list = append(list, fmt.Sprintf("%s (%s) in %s on %s", overlay.ShortID(e.ID), strings.Join(addresses(e), ", "), networkName(s, e.Network), e.Node))
	}
	if more := len(found) - len(list); more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, "; ")
}

func addresses(e overlay.Endpoint) []string {
	var list []string
	for _, a := range e.Addrs() {
		list = append(list, a.String())
	}
	return list
}

func networkName(s *overlay.Snapshot, id string) string {
	if n, ok := s.Network(id); ok {
		return n.Name
	}
	return overlay.ShortID(id)
}

// takes reports whether the filter lets the flow pass.
func (n narrow) takes(p pair) bool {
	f, why := p.flow(), n.host.why(p)
	switch {
	case n.Table != "" && f.Table != n.table:
		return false
	case n.Rule != "" && n.Rule != why.Rule.String():
		return false
	case n.Active > 0 && (p.has == nil || p.has.Packets == 0 || p.has.Idle > time.Duration(n.Active)*time.Second):
		return false
	case n.Dropped && (p.has == nil || p.has.Packets == 0 || p.has.Unread != nil || !f.Actions.Drop()):
		return false
	case n.network != nil && why.Network != n.network.ID && (p.want != nil || !inNetwork(f.Match, *n.network)):
		return false
	case n.endpoint != nil && why.Endpoint != n.endpoint.ID && (p.want != nil || !n.mentions(f.Match)):
		return false
	}
	return true
}

// inNetwork reports whether a flow of which no more is known matches a network's
// packets.
func inNetwork(m flows.Match, n overlay.Network) bool {
	vni := flows.Number(overlay.MaxVNI)
	for _, field := range []flows.Field{flows.Metadata, flows.TunID} {
		c, there := m.Get(field)
		if there && c.Mask.And(vni) == vni && c.Value.And(vni) == flows.Number(uint64(n.VNI)) {
			return true
		}
	}
	return false
}

// mentions reports whether a flow of which no more is known matches the
// endpoint's port or addresses.
func (n narrow) mentions(m flows.Match) bool {
	for c := range m.Fields() {
		if c.Mask != c.Field.Full() {
			continue
		}
		switch c.Field {
		case flows.InPort:
			if n.port != 0 && c.Value == flows.Number(uint64(n.port)) {
				return true
			}
		case flows.EthSrc, flows.EthDst, flows.ArpSHA, flows.ArpTHA:
			if c.Value == flows.MACValue(n.endpoint.MAC) {
				return true
			}
		case flows.IPSrc, flows.IPDst, flows.ArpSPA, flows.ArpTPA:
			if n.endpoint.IPv4.IsValid() && c.Value == flows.AddrValue(n.endpoint.IPv4) {
				return true
			}
		case flows.IPv6Src, flows.IPv6Dst, flows.NDTarget:
			if n.endpoint.IPv6.IsValid() && c.Value == flows.AddrValue(n.endpoint.IPv6) {
				return true
			}
		}
	}
	return false
}
