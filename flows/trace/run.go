package trace

import (
	"fmt"
	"net/netip"

	"github.com/ovsnet/ovsnet/flows"
)

// The bounds of Open vSwitch's translation (ovs-actions(7), resubmit).
const (
	// maxDepth is how often a packet may go to the same table or back, inside of
	// one another.
	maxDepth = 64
	// maxLookups is how many look-ups a packet may cause beside the first.
	maxLookups = 4096
	// vniMask are the bits of tun_id that VXLAN carries (RFC 7348, 5).
	vniMask = 1<<24 - 1
)

// walk is one packet on its way.
type walk struct {
	bridge *Bridge
	packet Packet
	result Result
	// back counts the look-ups that went to the same table or back and are not
	// over, lookups all but the first.
	back, lookups int
}

// Run evaluates one packet from table 0 on.
func (b *Bridge) Run(p Packet) Result {
	w := &walk{bridge: b, packet: p, result: Result{Packet: p}}
	w.enter(0, flows.PortInPort, 0)
	if w.result.Aborted != "" {
		w.result.Sends = nil
	}
	return w.result
}

func (w *walk) over() bool { return w.result.Aborted != "" || w.result.Unknown != "" }

// enter looks the packet up in a table, as if it came from that port, and does
// what the flow says.
func (w *walk) enter(t flows.TableID, from flows.PortNo, depth int) {
	asked := w.packet
	if from != flows.PortInPort {
		asked = asked.FromPort(from)
	}
	found := w.bridge.lookup(t, &asked)
	step := Step{Table: t, Depth: depth, Packet: asked}
	if len(found) > 0 {
		step.Flow, step.Rivals = found[0], found[1:]
	}
	w.result.Steps = append(w.result.Steps, step)
	if step.Flow == nil {
		return
	}
	at := len(w.result.Steps) - 1
	for a := range step.Flow.Actions.All() {
		if w.over() {
			return
		}
		w.do(at, a)
	}
}

// do takes one action of a step.
func (w *walk) do(step int, a flows.Action) {
	from := w.result.Steps[step]
	switch a.Op {
	case flows.OpOutput:
		w.output(step, a.Port)
	case flows.OpController:
		w.send(step, flows.PortController)
	case flows.OpSetField:
		if w.packet.Has(a.Field) {
			w.packet.set(a.Field, a.Value, a.Mask)
		}
	case flows.OpMove:
		if w.packet.Has(a.From) && w.packet.Has(a.Field) {
			w.packet.set(a.Field, w.packet.Get(a.From), a.Field.Full())
		}
	case flows.OpWriteMetadata:
		w.packet.set(flows.Metadata, a.Value, a.Mask)
	case flows.OpResubmit:
		w.call(from.Table, a.Table, a.Port, from.Depth+1)
	case flows.OpGoto:
		w.call(from.Table, a.Table, flows.PortInPort, from.Depth)
	default:
		w.result.Unknown = fmt.Sprintf("what %s does is not known from flows", a)
	}
}

// call goes to another table unless the bounds are reached.
func (w *walk) call(from, to flows.TableID, in flows.PortNo, depth int) {
	if w.back >= maxDepth {
		w.result.Aborted = fmt.Sprintf("over %d levels of resubmits to the same table or back", maxDepth)
		return
	}
	if w.lookups >= maxLookups {
		w.result.Aborted = fmt.Sprintf("over %d look-ups", maxLookups)
		return
	}
	w.lookups++
	if to <= from {
		w.back++
		defer func() { w.back-- }()
	}
	w.enter(to, in, depth)
}

// output sends the packet to a port, or to those that a reserved one stands for.
func (w *walk) output(step int, port flows.PortNo) {
	in := flows.PortNo(w.packet.Get(flows.InPort).Lo)
	switch port {
	case flows.PortInPort:
		w.send(step, in)
	case flows.PortController:
		w.send(step, port)
	case flows.PortAll, flows.PortFlood:
		if len(w.bridge.ports.All) == 0 {
			w.result.Unknown = fmt.Sprintf("%s sends to ports that are not known here", port)
		}
		for _, p := range w.bridge.ports.All {
			if p != in {
				w.send(step, p)
			}
		}
	case flows.PortNormal:
		w.result.Unknown = "NORMAL sends where the bridge has learned, which is not known from flows"
	case in:
		w.withhold(step, port, IsInPort)
	default:
		w.send(step, port)
	}
}

// send lets the packet leave by a port.
func (w *walk) send(step int, port flows.PortNo) {
	out := Send{Step: step, Port: port, Packet: w.packet}
	switch {
	case port == flows.PortController:
	case len(w.bridge.exists) > 0 && !w.bridge.exists[port]:
		w.withhold(step, port, NoSuchPort)
		return
	case port == w.bridge.ports.Tunnel:
		dst := w.packet.tunnelTo()
		// A packet that came out of a tunnel still has this host as destination.
		if dst.IsUnspecified() || dst == w.result.Packet.tunnelTo() {
			w.withhold(step, port, NoDestination)
			return
		}
		out.Tunnel = &Tunnel{Dst: dst, VNI: uint32(w.packet.Get(flows.TunID).Lo & vniMask)}
	}
	w.result.Sends = append(w.result.Sends, out)
}

func (w *walk) withhold(step int, port flows.PortNo, why Hindrance) {
	w.result.Withheld = append(w.result.Withheld, Withheld{Step: step, Port: port, Why: why})
}

// tunnelTo is where the tunnel would take the packet; IPv4 goes before IPv6, as
// in Open vSwitch.
func (p Packet) tunnelTo() netip.Addr {
	if v4 := p.Get(flows.TunDst); !v4.IsZero() {
		return v4.IPv4()
	}
	return p.Get(flows.TunIPv6Dst).IPv6()
}
