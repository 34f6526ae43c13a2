package journey

import (
	"fmt"
	"net/netip"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// Question asks a host where a packet goes that comes in there, either by an
// endpoint's port or out of the tunnel. Nothing is sent for it.
type Question struct {
	// Frame is the packet's headers, in the words of ovs-ofctl(8) for a match.
	Frame string `json:"frame"`
	// Endpoint is whose port it comes in by.
	Endpoint *EndpointName `json:"endpoint,omitempty"`
	// Tunnel is how it was encapsulated.
	Tunnel *Outer `json:"tunnel,omitempty"`
}

// EndpointName names an endpoint by its network's ID and its own.
type EndpointName struct {
	Network  string `json:"network"`
	Endpoint string `json:"endpoint"`
}

// Outer is what a tunnel packet is around its frame.
type Outer struct {
	// Src and Dst are the VTEPs, VNI the network's number on the wire (RFC 7348).
	Src netip.Addr `json:"src"`
	Dst netip.Addr `json:"dst"`
	VNI uint32     `json:"vni"`
}

// Bridge is what decides about packets on one host: what its desired flows
// follow from.
type Bridge struct {
	Snapshot *overlay.Snapshot
	Host     flows.Host
	Route    flows.Route
	// TunnelError is why the host has no tunnel port, in Open vSwitch's words; empty
	// where it has one, or where nobody said why.
	TunnelError string
}

// packet is the question's packet as it comes in. What a question may say is
// checked here, because questions come from other hosts.
func (b Bridge) packet(q Question) (trace.Packet, error) {
	frame, err := trace.ParseFrame(q.Frame)
	if err != nil {
		return trace.Packet{}, invalid("%v", err)
	}
	switch {
	case (q.Endpoint == nil) == (q.Tunnel == nil):
		return trace.Packet{}, invalid("a packet comes in either by an endpoint's port or out of the tunnel")
	case q.Tunnel != nil:
		return b.fromTunnel(frame, *q.Tunnel)
	}
	port, plugged := b.Host.Ports[q.Endpoint.Endpoint]
	if !plugged || port.Network != q.Endpoint.Network || port.OFPort == 0 {
		return trace.Packet{}, overlay.Refuse(overlay.Missing, fmt.Sprintf("endpoint %s on %s", overlay.ShortID(q.Endpoint.Endpoint), b.Host.Node),
			"see ovsnet status on that host", "it has no port on the bridge there, so nothing it sends comes in")
	}
	return frame.FromPort(flows.PortNo(port.OFPort)), nil
}

func (b Bridge) fromTunnel(frame trace.Packet, o Outer) (trace.Packet, error) {
	switch {
	case !usable(o.Src) || !usable(o.Dst) || o.Src.Is4() != o.Dst.Is4():
		return trace.Packet{}, invalid("a tunnel leads from one unicast address to another of its family, not from %s to %s", o.Src, o.Dst)
	case o.VNI > overlay.MaxVNI:
		return trace.Packet{}, invalid("VNI %d is out of range", o.VNI)
	case b.Host.Tunnel == 0:
		return trace.Packet{}, overlay.Refuse(overlay.Missing, "tunnel port on "+b.Host.Node, "see ovsnet status on that host",
			"there is none, so nothing comes out of the tunnel%s", because(b.TunnelError))
	}
	return frame.FromTunnel(flows.PortNo(b.Host.Tunnel), o.Src, o.Dst, o.VNI), nil
}

func usable(a netip.Addr) bool {
	return a.IsValid() && a == a.Unmap() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast()
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

func invalid(cause string, args ...any) error {
	return overlay.Refuse(overlay.Invalid, "packet to trace", "run the same release of ovsnet on every host", cause, args...)
}
