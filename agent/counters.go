package agent

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
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
