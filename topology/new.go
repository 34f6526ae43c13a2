package topology

import (
	"cmp"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// Facts are what a Map is made of.
type Facts struct {
	// Snapshot are the cluster's records.
	Snapshot *overlay.Snapshot
	// Alive are the hosts whose agents show a sign of life.
	Alive map[string]bool
	// Answers are those of the hosts that were asked.
	Answers map[string]Answer
	At      time.Time
}

// Answer is a host's report, or why there is none.
type Answer struct {
	Report Report
	Err    error
}

// New makes the Map. What a report says of hosts that do not exist, or cannot be,
// is left out.
func New(f Facts) Map {
	s := f.Snapshot
	m := Map{At: f.At, Revision: s.Revision(), Hosts: []Host{}, Networks: []Network{}, Endpoints: []Endpoint{}}
	counts := map[string]int{}
	for id := range s.MemberNetworks() {
		for e := range s.Endpoints(id) {
			counts[e.Node]++
			m.Endpoints = append(m.Endpoints, Endpoint{
				ID: e.ID, Name: plain(e.Label()), Network: id, Node: e.Node, IPv4: e.IPv4, IPv6: e.IPv6, MAC: e.MAC.String(),
			})
		}
	}
	for n := range s.Nodes() {
		h := Host{Name: n.Name, VTEPs: n.VTEPs, Region: plain(n.Region), Datapath: plain(n.Datapath), MTU: n.MTU, Version: plain(n.Version), Endpoints: counts[n.Name]}
		h.State, h.Reasons = f.stateOf(n.Name)
		m.Hosts = append(m.Hosts, h)
	}
	m.Networks = networks(s)
	m.Tunnels, m.TunnelCount = tunnels(s, f.paths())
	slices.SortFunc(m.Hosts, func(a, b Host) int { return natural(a.Name, b.Name) })
	slices.SortFunc(m.Networks, func(a, b Network) int { return cmp.Or(natural(a.Name, b.Name), strings.Compare(a.ID, b.ID)) })
	slices.SortFunc(m.Endpoints, func(a, b Endpoint) int {
		return cmp.Or(natural(a.Name, b.Name), a.IPv4.Compare(b.IPv4), strings.Compare(a.ID, b.ID))
	})
	return m
}

// mostReasons is how many reasons of a host are shown.
const mostReasons = 8

func (f Facts) stateOf(node string) (State, []string) {
	answer, asked := f.Answers[node]
	switch {
	case asked && answer.Err == nil:
		reasons := plains(answer.Report.Reasons[:min(len(answer.Report.Reasons), mostReasons)])
		if why := answer.Report.Unmeasured; why != "" {
			reasons = append(reasons, "its tunnels are not measured: "+plain(why))
		}
		if answer.Report.Ready {
			return Ready, reasons
		}
		return NotReady, reasons
	case !f.Alive[node]:
		return Away, []string{}
	case asked:
		return Silent, plains([]string{answer.Err.Error()})
	}
	return Alive, []string{}
}

func networks(s *overlay.Snapshot) []Network {
	list := []Network{}
	for n := range s.Networks() {
		row := Network{ID: n.ID, Name: plain(n.Name), VNI: n.VNI, MTU: n.MTU, Internal: n.Internal, Hosts: []string{}, Endpoints: s.EndpointCount(n.ID)}
		for _, subnet := range n.Subnets {
			row.Subnets = append(row.Subnets, subnet.Prefix)
		}
		for host := range s.MemberHosts(n.ID) {
			row.Hosts = append(row.Hosts, host)
		}
		slices.SortFunc(row.Hosts, natural)
		list = append(list, row)
	}
	return list
}

// direction is from one host to another.
type direction struct{ from, to string }

// paths are what was measured.
func (f Facts) paths() map[direction]*Path {
	measured := map[direction]*Path{}
	for node, answer := range f.Answers {
		if answer.Err != nil {
			continue
		}
		for _, p := range answer.Report.Paths {
			if _, known := f.Snapshot.Node(p.Peer); known && p.possible() {
				p.Problem = plain(p.Problem)
				measured[direction{node, p.Peer}] = &p
			}
		}
	}
	return measured
}

// possible reports whether the numbers of a path can be true, and its address is
// one of the underlay: an address's zone could be any text.
func (p Path) possible() bool {
	if p.Address.Zone() != "" {
		return false
	}
	for _, ms := range []float64{p.Mean, p.Min, p.Max} {
		if ms < 0 || ms > float64(time.Hour/time.Millisecond) || math.IsNaN(ms) {
			return false
		}
	}
	return p.Sent >= 0 && p.Received >= 0 && p.Received <= p.Sent
}

// tunnels returns the pairs of hosts that share a network, beyond MaxTunnels only
// those that somebody measured, and how many there are.
func tunnels(s *overlay.Snapshot, measured map[direction]*Path) ([]Tunnel, int) {
	all := memberships(s)
	list, total := []Tunnel{}, 0
	for i, a := range all {
		for _, b := range all[i+1:] {
			if !a.meets(b) {
				continue
			}
			t := Tunnel{A: a.host, B: b.host, Forth: measured[direction{a.host, b.host}], Back: measured[direction{b.host, a.host}]}
			if total++; total <= MaxTunnels || t.Forth != nil || t.Back != nil {
				t.Networks = a.shared(b)
				list = append(list, t)
			}
		}
	}
	if total > MaxTunnels {
		list = slices.DeleteFunc(list, func(t Tunnel) bool { return t.Forth == nil && t.Back == nil })
	}
	return list, total
}

// membership is which networks a host has endpoints of: a bit for each of names.
type membership struct {
	host  string
	bits  []uint64
	names []string
}

// memberships are those of all hosts, sorted by name. They are bits because of two
// hosts in a cluster there are very many.
func memberships(s *overlay.Snapshot) []*membership {
	var ids []string
	for id := range s.MemberNetworks() {
		ids = append(ids, id)
	}
	names := make([]string, len(ids))
	byHost := map[string]*membership{}
	for i, id := range ids {
		names[i] = overlay.ShortID(id)
		if n, ok := s.Network(id); ok {
			names[i] = plain(n.Name)
		}
		for host := range s.MemberHosts(id) {
			if _, known := s.Node(host); !known {
				continue
			}
			if byHost[host] == nil {
				byHost[host] = &membership{host: host, names: names, bits: make([]uint64, len(ids)/64+1)}
			}
			byHost[host].bits[i/64] |= 1 << (i % 64)
		}
	}
	return slices.SortedFunc(maps.Values(byHost), func(a, b *membership) int { return natural(a.host, b.host) })
}

// meets reports whether the hosts share a network.
func (m *membership) meets(o *membership) bool {
	for i, bits := range m.bits {
		if bits&o.bits[i] != 0 {
			return true
		}
	}
	return false
}

// shared are the names of the networks that the hosts share, sorted.
func (m *membership) shared(o *membership) []string {
	var names []string
	for i, name := range m.names {
		if m.bits[i/64]&o.bits[i/64]&(1<<(i%64)) != 0 {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, natural)
	return names
}

// Peers returns the hosts that the host has tunnels to and where it sends to
// them, by route: at most most of them, beginning behind the host's own name so
// that a cluster's hosts divide what is too much for one, and how many more there
// are.
func Peers(s *overlay.Snapshot, self string, route func(overlay.Node) (netip.Addr, bool), most int) ([]Path, int) {
	var names []string
	for id := range s.MemberNetworks() {
		if !s.HasMember(id, self) {
			continue
		}
		for host := range s.MemberHosts(id) {
			if host != self {
				names = append(names, host)
			}
		}
	}
	slices.SortFunc(names, natural)
	names = slices.Compact(names)
	behind, _ := slices.BinarySearchFunc(names, self, natural)
	var list []Path
	for _, name := range slices.Concat(names[behind:], names[:behind]) {
		if peer, known := s.Node(name); known {
			if address, ok := route(peer); ok {
				list = append(list, Path{Peer: name, Address: address})
			}
		}
	}
	return list[:min(len(list), most)], max(len(list)-most, 0)
}

// Own returns of a host's traffic what it may speak of: its own endpoints, each
// once.
func (m Map) Own(host string, t Traffic) Traffic {
	type name struct{ network, endpoint string }
	own := map[name]bool{}
	for _, e := range m.Endpoints {
		if e.Node == host {
			own[name{e.Network, e.ID}] = true
		}
	}
	mine := Traffic{Node: host, At: t.At, Endpoints: []EndpointTraffic{}}
	for _, e := range t.Endpoints {
		if k := (name{e.Network, e.Endpoint}); own[k] {
			delete(own, k)
			mine.Endpoints = append(mine.Endpoints, e)
		}
	}
	return mine
}
