package inspect

import (
	"cmp"
	"slices"
	"time"

	"github.com/ovsnet/ovsnet/flows"
)

// Top is which flows, networks and drops were busiest between two looks.
type Top struct {
	At time.Time `json:"at"`
	// Seconds lie between the looks.
	Seconds float64 `json:"seconds"`
	// Flows forward, Drops end packets; both begin with the busiest.
	Flows []FlowRate `json:"flows"`
	Drops []FlowRate `json:"drops"`
	// Networks have what entered them on this host.
	Networks []NetworkRate `json:"networks"`
}

// FlowRate is the traffic that one flow matched, per second.
type FlowRate struct {
	Table   string  `json:"table"`
	Match   string  `json:"match"`
	Reason  string  `json:"reason"`
	Packets float64 `json:"packets"`
	Bytes   float64 `json:"bytes"`
}

// NetworkRate is the traffic that entered a network on this host, per second:
// from its endpoints here, and through the tunnel.
type NetworkRate struct {
	Network       string  `json:"network"`
	LocalPackets  float64 `json:"local_packets"`
	LocalBytes    float64 `json:"local_bytes"`
	TunnelPackets float64 `json:"tunnel_packets"`
	TunnelBytes   float64 `json:"tunnel_bytes"`
}

// NewTop compares two lists of installed flows, that many seconds apart, and
// returns the first n of each kind. Flows that matched nothing are left out; one
// that was made anew counts from nought.
func NewTop(before, after []Line, at time.Time, seconds float64, n int) Top {
	type key struct {
		table    flows.TableID
		priority uint16
		match    string
	}
	last := make(map[key]Line, len(before))
	for _, l := range before {
		last[key{l.Table, l.Priority, l.Match}] = l
	}
	top := Top{At: at, Seconds: seconds, Flows: []FlowRate{}, Drops: []FlowRate{}, Networks: []NetworkRate{}}
	networks := map[string]*NetworkRate{}
	for _, l := range after {
		was := last[key{l.Table, l.Priority, l.Match}]
		rate := FlowRate{Table: l.TableName, Match: l.Match, Reason: l.Reason,
			Packets: perSecond(was.Packets, l.Packets, seconds), Bytes: perSecond(was.Bytes, l.Bytes, seconds)}
		if rate.Packets == 0 {
			continue
		}
		if l.Drops {
			top.Drops = append(top.Drops, rate)
		} else {
			top.Flows = append(top.Flows, rate)
		}
		count(networks, l, rate)
	}
	for _, rate := range networks {
		top.Networks = append(top.Networks, *rate)
	}
	busiest := func(a, b FlowRate) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Match, b.Match))
	}
	slices.SortFunc(top.Flows, busiest)
	slices.SortFunc(top.Drops, busiest)
	slices.SortFunc(top.Networks, func(a, b NetworkRate) int {
		return cmp.Or(cmp.Compare(b.LocalPackets+b.TunnelPackets, a.LocalPackets+a.TunnelPackets), cmp.Compare(a.Network, b.Network))
	})
	top.Flows, top.Drops, top.Networks = first(top.Flows, n), first(top.Drops, n), first(top.Networks, n)
	return top
}

// count adds what a flow let into its network.
func count(networks map[string]*NetworkRate, l Line, rate FlowRate) {
	local, tunnel := l.Rule == flows.FromEndpoint.String(), l.Rule == flows.KnownVNI.String()
	if !local && !tunnel {
		return
	}
	n, known := networks[l.Network]
	if !known {
		n = &NetworkRate{Network: l.NetworkName}
		networks[l.Network] = n
	}
	if local {
		n.LocalPackets, n.LocalBytes = n.LocalPackets+rate.Packets, n.LocalBytes+rate.Bytes
	} else {
		n.TunnelPackets, n.TunnelBytes = n.TunnelPackets+rate.Packets, n.TunnelBytes+rate.Bytes
	}
}

func perSecond(before, after uint64, seconds float64) float64 {
	if after < before {
		before = 0
	}
	return float64(after-before) / seconds
}

func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }
