package agent

import (
	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

// Counters is the traffic of one endpoint since its link was made.
type Counters struct {
	// FromPackets and FromBytes came from the container, ToPackets and ToBytes
	// went to it, as its link counts them.
	FromPackets uint64 `json:"from_packets"`
	FromBytes   uint64 `json:"from_bytes"`
	ToPackets   uint64 `json:"to_packets"`
	ToBytes     uint64 `json:"to_bytes"`
	// LinkDrops are packets that the link itself dropped.
	LinkDrops uint64 `json:"link_drops"`
	// Spoofed are packets from the container that SpoofGuard dropped, because
	// source addresses were not its own.
	Spoofed uint64 `json:"spoofed"`
}

// Spoofed counts the packets from an endpoint that SpoofGuard dropped.
func Spoofed(b inspect.Bridge, e overlay.Endpoint) uint64 {
	drops := map[flows.Key]bool{}
	for _, f := range flows.OfNetwork(b.Snapshot, b.Host, b.Route, e.Network, e.ID) {
		if f.Why.Rule == flows.Spoofed {
			drops[f.Key] = true
		}
	}
	var sum uint64
	for _, f := range b.Installed {
		if drops[f.Key] {
			sum += f.Packets
		}
	}
	return sum
}

// SpoofedByEndpoint counts, for each endpoint with a port here by its ID, the
// packets that SpoofGuard dropped. It reads the installed flows alone, so that it
// can be asked for often.
func SpoofedByEndpoint(ports map[string]flows.Port, installed []flows.Installed) map[string]uint64 {
	owners := map[uint64]string{}
	for id, p := range ports {
		owners[uint64(p.OFPort)] = id
	}
	sums := map[string]uint64{}
	for _, f := range installed {
		if f.Table != flows.SpoofGuard || flows.RuleOf(f.Cookie) != flows.Spoofed {
			continue
		}
		if in, ok := f.Match.Get(flows.InPort); ok {
			if id, known := owners[in.Value.Lo]; known {
				sums[id] += f.Packets
			}
		}
	}
	return sums
}
