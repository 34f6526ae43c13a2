package trace

import (
	"net/netip"

	"github.com/ovsnet/ovsnet/flows"
)

// Result is one packet's way through a bridge.
type Result struct {
	// Packet is what came in.
	Packet Packet
	// Steps are the look-ups, in the order in which they happened.
	Steps []Step
	// Sends are the packets that leave, in that order; none for a dropped packet.
	Sends []Send
	// Withheld are the outputs that sent nothing.
	Withheld []Withheld
	// Unknown is why the rest cannot be told from flows alone; empty where all
	// was evaluated.
	Unknown string
	// Aborted is why the bridge gives the packet up as a whole; it then sends
	// nothing, whatever it met before.
	Aborted string
}

// Step is one look-up.
type Step struct {
	Table flows.TableID
	// Depth is how many resubmits the look-up is inside of.
	Depth int
	// Flow is what matched; nil for a miss, which drops.
	Flow *flows.Flow
	// Rivals are the other flows of the same priority that match. With any, it is
	// undefined which one the switch takes (OpenFlow 1.5, 6.4).
	Rivals []*flows.Flow
	// Packet is the packet as it was looked up.
	Packet Packet
}

// Send is one packet that leaves.
type Send struct {
	// Step is the index in Result.Steps of the flow that sent it.
	Step int
	// Port is never a name for others: it is a number, PortLocal, or
	// PortController.
	Port flows.PortNo
	// Packet is the packet as it leaves.
	Packet Packet
	// Tunnel is where the tunnel takes it; nil for any other port.
	Tunnel *Tunnel
}

// Tunnel is what a flow tells the tunnel port.
type Tunnel struct {
	// Dst is the VTEP that it goes to, VNI the network's number on the wire.
	Dst netip.Addr
	VNI uint32
}

// Withheld is an output that sent nothing.
type Withheld struct {
	// Step is the index in Result.Steps.
	Step int
	Port flows.PortNo
	Why  Hindrance
}

// Hindrance is why an output sent nothing.
type Hindrance string

// The hindrances.
const (
	// IsInPort is an output to the port that the packet came in by.
	IsInPort Hindrance = "the packet came in by this port"
	// NoSuchPort is an output to a port that the bridge does not have.
	NoSuchPort Hindrance = "the bridge has no such port"
	// NoDestination is an output to the tunnel without another host's address.
	NoDestination Hindrance = "no flow said which host the tunnel leads to"
)

// Drop returns the step at which a packet of which nothing leaves ends: the
// last one. It is false where something leaves, or may.
func (r Result) Drop() (Step, bool) {
	if len(r.Sends) > 0 || r.Unknown != "" || len(r.Steps) == 0 {
		return Step{}, false
	}
	return r.Steps[len(r.Steps)-1], true
}

// Arrive returns the packet as the other host's bridge gets it: by that host's
// tunnel port, from this host's VTEP.
func (s Send) Arrive(tunnel flows.PortNo, from netip.Addr) Packet {
	if s.Tunnel == nil {
		return s.Packet.Frame()
	}
	return s.Packet.Frame().FromTunnel(tunnel, from, s.Tunnel.Dst, s.Tunnel.VNI)
}
