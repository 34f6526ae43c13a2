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
