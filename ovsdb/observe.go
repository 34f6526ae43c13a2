package ovsdb

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Observation is what OVSDB says about one bridge and the switch it is on.
type Observation struct {
	// Version is OVS's version as its start script recorded it, or empty.
	Version string
	// DatapathTypes are those that this ovs-vswitchd can do, sorted.
	DatapathTypes []string
	// Answered is false while ovs-vswitchd has not taken over the last change:
	// for milliseconds, or for as long as it is away. What ports say of
	// themselves is then of an earlier time.
	Answered bool
	// Bridge is the bridge asked for.
	Bridge BridgeState
	// Ports are our ports on it and Foreign those of others, both by name and
	// without the bridge's own local port. Both are empty of a bridge that is
	// not ours.
	Ports, Foreign []PortState
	// FlowTunnels are the flow-based VXLAN ports on other bridges of this OVS.
	FlowTunnels []FlowTunnel
}

// BridgeState is what a bridge is.
type BridgeState struct {
	// Present says that OVSDB has a bridge of the name, Owned that it is ours.
	Present, Owned bool
	// Up says that ovs-vswitchd has made it; with an impossible datapath type
	// it never does.
	Up bool
	// Datapath is the datapath type that is set.
	Datapath string
	// ExternalIDs are all of the bridge's keys, ours and others'.
	ExternalIDs map[string]string
}

// PortState is what a port is.
type PortState struct {
	// Name and Type are as in Port.
	Name, Type string
	// Ofport is the OpenFlow port number, 1 to 65279; 0 where it has none (yet).
	Ofport uint32
	// Error is why it has none, in ovs-vswitchd's words, or empty.
	Error string
	// LinkUp says that the link has a carrier.
	LinkUp bool
	// ExternalIDs are all of the port's keys, ours and others'.
	ExternalIDs map[string]string
	// Statistics are the interface's counters since the port was made, by the
	// names of ovs-vswitchd.conf.db(5) (rx_packets, tx_bytes, …), some seconds old.
	Statistics map[string]int
}

// FlowTunnel is a VXLAN port that takes packets from any peer. Two of them on
// one UDP port cannot stand beside each other: the second gets no ofport.
type FlowTunnel struct {
	// Bridge and Port say where it is.
	Bridge, Port string
	// UDPPort is the UDP port that it takes packets on.
	UDPPort uint16
}

// String says what is in the way, for an error message.
func (t FlowTunnel) String() string {
	return fmt.Sprintf("port %q on bridge %q already takes VXLAN from any peer on UDP port %d", t.Port, t.Bridge, t.UDPPort)
}

// defaultUDPPort is what OVS takes for VXLAN where dst_port is not set (RFC
// 7348, IANA).
const defaultUDPPort = 4789

func udpPort(options map[string]string) uint16 {
	port, err := strconv.ParseUint(options["dst_port"], 10, 16)
	if err != nil {
		return defaultUDPPort
	}
	return uint16(port)
}

func flowTunnels(v view) []FlowTunnel {
	var found []FlowTunnel
	for _, b := range v.bridges {
		for _, id := range b.Ports {
			for _, id := range v.ports[id].Interfaces {
				if link := v.interfaces[id]; link.Type == "vxlan" && link.Options["remote_ip"] == "flow" {
					found = append(found, FlowTunnel{Bridge: b.Name, Port: link.Name, UDPPort: udpPort(link.Options)})
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b FlowTunnel) int { return cmp.Compare(a.Port, b.Port) })
	return found
}

// observe picks out of the view what concerns the bridge.
func observe(v view, bridge string) Observation {
	o := Observation{Answered: v.answered()}
	if v.root == nil {
		return o
	}
	o.Version = valueOf(v.root.Version)
	o.DatapathTypes = slices.Sorted(slices.Values(v.root.DatapathTypes))
	o.FlowTunnels = slices.DeleteFunc(flowTunnels(v), func(t FlowTunnel) bool { return t.Bridge == bridge })
	b := v.bridge(bridge)
	if b == nil {
		return o
	}
	o.Bridge = BridgeState{
		Present: true, Owned: ours(b.ExternalIDs), Up: b.DatapathID != nil,
		Datapath: b.DatapathType, ExternalIDs: maps.Clone(b.ExternalIDs),
	}
	if !o.Bridge.Owned {
		return o
	}
	for _, id := range b.Ports {
		switch port := v.ports[id]; {
		case port.Name == bridge:
		case ours(port.ExternalIDs):
			o.Ports = append(o.Ports, portState(v, port))
		default:
			o.Foreign = append(o.Foreign, portState(v, port))
		}
	}
	byName := func(a, b PortState) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(o.Ports, byName)
	slices.SortFunc(o.Foreign, byName)
	return o
}

func portState(v view, port *portRow) PortState {
	link := v.interfaces[port.Interfaces[0]]
	return PortState{
		Name: port.Name, Type: link.Type, Ofport: uint32(max(0, valueOf(link.Ofport))), Error: valueOf(link.Error),
		LinkUp: valueOf(link.LinkState) == "up", ExternalIDs: maps.Clone(port.ExternalIDs), Statistics: maps.Clone(link.Statistics),
	}
}

func valueOf[T any](optional *T) T {
	if optional == nil {
		var none T
		return none
	}
	return *optional
}
