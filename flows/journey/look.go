package journey

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// Look is a question on its way through one host: first evaluated through the
// desired flows, then, by Passage, held against what Open vSwitch says.
type Look struct {
	bridge  Bridge
	packet  trace.Packet
	desired []flows.Flow
	own     trace.Result
	// whole says that desired are all flows of the host.
	whole bool
}

// Seen is what Open vSwitch says of a packet.
type Seen struct {
	// OFProto is its trace, Datapath the numbers of its ports.
	OFProto  trace.OFProto
	Datapath trace.Datapath
	// Flows are the installed flows that Look.Wanted asked for, and may be more.
	Flows []flows.Installed
}

// Wanted names flows by what Open vSwitch finds quickly.
type Wanted struct {
	Table  flows.TableID
	Cookie uint64
}

// NewLook evaluates the question's packet through the flows that the host should
// have, as far as they concern what the packet names. A question that cannot be
// meant is refused (overlay.Invalid), as is one about an endpoint or a tunnel
// that the host does not have (overlay.Missing).
func NewLook(b Bridge, q Question) (Look, error) {
	p, err := b.packet(q)
	if err != nil {
		return Look{}, err
	}
	return Look{bridge: b, packet: p}.through(flows.Concerning(b.Snapshot, b.Host, b.Route, concerns(p))), nil
}

// Whole is the look through all flows that the host should have. Where the
// engines agree there is no need for it; where they do not, nothing rests on
// which flows seemed to concern the packet.
func (l Look) Whole() Look {
	if l.whole {
		return l
	}
	l.whole = true
	return l.through(flows.Compile(l.bridge.Snapshot, l.bridge.Host, l.bridge.Route))
}

func (l Look) through(desired []flows.Flow) Look {
	l.desired = desired
	l.own = trace.NewBridge(trace.Ports{Tunnel: flows.PortNo(l.bridge.Host.Tunnel)}, slices.Values(desired)).Run(l.packet)
	return l
}

// concerns tells the endpoints that a packet names.
func concerns(p trace.Packet) func(overlay.Endpoint, uint32) bool {
	named := map[flows.Value]bool{}
	for _, f := range []flows.Field{flows.EthSrc, flows.EthDst, flows.ArpSHA, flows.ArpTHA, flows.IPSrc, flows.IPDst, flows.ArpSPA, flows.ArpTPA, flows.IPv6Src, flows.IPv6Dst, flows.NDTarget} {
		named[p.Get(f)] = true
	}
	in := p.Get(flows.InPort)
	return func(e overlay.Endpoint, port uint32) bool {
		if named[flows.MACValue(e.MAC)] || port != 0 && in == flows.Number(uint64(port)) {
			return true
		}
		return slices.ContainsFunc(e.Addrs(), func(a netip.Addr) bool { return named[flows.AddrValue(a)] })
	}
}

// Packet is the packet to ask Open vSwitch about.
func (l Look) Packet() trace.Packet { return l.packet }

// Wanted returns which installed flows Passage has to see: those that either
// engine met.
func (l Look) Wanted(ovs trace.OFProto) []Wanted {
	var list []Wanted
	for _, s := range ovs.Steps {
		if !s.Miss && s.Unread == nil {
			list = append(list, Wanted{s.Table, s.Cookie})
		}
	}
	for _, s := range l.own.Steps {
		if s.Flow != nil {
			list = append(list, Wanted{s.Table, s.Flow.Cookie})
		}
	}
	slices.SortFunc(list, func(a, b Wanted) int {
		if a.Table != b.Table {
			return int(a.Table) - int(b.Table)
		}
		return int(min(max(int64(a.Cookie-b.Cookie), -1), 1))
	})
	return slices.Compact(list)
}

// Unseen is the passage where Open vSwitch could not be asked, for that reason.
func (l Look) Unseen(source Source, reason string) Passage {
	p := l.Whole().passage(source)
	p.Unasked = reason
	return p
}

// Passage is the passage with what Open vSwitch says.
func (l Look) Passage(source Source, seen Seen) Passage {
	p := l.passage(source)
	has := map[flows.Key]flows.Installed{}
	for _, f := range seen.Flows {
		if f.Unread == nil {
			has[f.Key] = f
		}
	}
	for i := range p.Desired.Steps {
		p.Desired.Steps[i].hold(l.own.Steps[i].Flow, has)
	}
	way := l.installed(seen, has)
	p.Installed = &way
	for _, d := range trace.Compare(l.own, seen.OFProto, seen.Datapath) {
		p.Disagreements = append(p.Disagreements, Disagreement{About: string(d.About), Step: d.Step + 1, Desired: d.Own, Installed: d.OVS})
	}
	p.Findings = append(p.Findings, l.findings(p, seen)...)
	return p
}

func (l Look) passage(source Source) Passage {
	p := Passage{
		Node: l.bridge.Host.Node, Source: source, Entry: l.entry(), Packet: l.packet.String(),
		Desired:       Way{Steps: []Step{}, Exits: []Exit{}, Warnings: []string{}},
		Disagreements: []Disagreement{}, Findings: []Finding{},
	}
	for _, s := range l.own.Steps {
		p.Desired.Steps = append(p.Desired.Steps, l.ownStep(s))
	}
	for _, s := range l.own.Sends {
		p.Desired.Exits = append(p.Desired.Exits, l.exit(s))
	}
	for _, w := range l.own.Withheld {
		if w.Why == trace.IsInPort && len(l.own.Sends) > 0 {
			continue // a copy to everybody but the sender
		}
		p.Desired.Warnings = append(p.Desired.Warnings, fmt.Sprintf("nothing leaves by %s: %s", l.portName(w.Port), w.Why))
	}
	for _, w := range []string{l.own.Unknown, l.own.Aborted} {
		if w != "" {
			p.Desired.Warnings = append(p.Desired.Warnings, w)
		}
	}
	if at, dropped := l.own.Drop(); dropped {
		p.Desired.Why = l.bridge.why(at, p.Desired.Steps[len(p.Desired.Steps)-1])
	}
	if l.bridge.Host.Tunnel == 0 {
		p.Findings = append(p.Findings, Finding{Text: "the host has no tunnel port" + because(l.bridge.TunnelError) + "; nothing passes between it and others"})
	}
	return p
}

// entry says where the packet comes in.
func (l Look) entry() string {
	in := flows.PortNo(l.packet.Get(flows.InPort).Lo)
	if uint32(in) != l.bridge.Host.Tunnel {
		return "from " + l.portName(in)
	}
	src := l.packet.Get(flows.TunSrc).IPv4()
	if src.IsUnspecified() {
		src = l.packet.Get(flows.TunIPv6Src).IPv6()
	}
	from := src.String()
	if node := l.bridge.nodeAt(src); node != "" {
		from = fmt.Sprintf("%s (%s)", node, src)
	}
	return fmt.Sprintf("out of the tunnel, from %s with VNI %d", from, l.packet.Get(flows.TunID).Lo)
}

// installed is Open vSwitch's account.
func (l Look) installed(seen Seen, has map[flows.Key]flows.Installed) Way {
	way := Way{Steps: []Step{}, Exits: []Exit{}, Warnings: append([]string{}, seen.OFProto.Warnings...)}
	for _, s := range seen.OFProto.Steps {
		way.Steps = append(way.Steps, l.ovsStep(s, has))
	}
	for _, s := range seen.OFProto.Sends {
		if leaving, known := s.Leaving(l.packet, seen.Datapath); known {
			way.Exits = append(way.Exits, l.exit(leaving))
		} else {
			way.Exits = append(way.Exits, Exit{Name: fmt.Sprintf("the datapath's port %d, which is none of the bridge", s.Port), Frame: leaving.Packet.Frame().Match().String()})
		}
	}
	for _, w := range []string{seen.OFProto.Failure, seen.OFProto.Unread} {
		if w != "" {
			way.Warnings = append(way.Warnings, w)
		}
	}
	if len(way.Exits) > 0 && slices.ContainsFunc(l.own.Withheld, func(w trace.Withheld) bool { return w.Why == trace.IsInPort }) {
		way.Warnings = slices.DeleteFunc(way.Warnings, func(w string) bool { return w == trace.SkippedInPort })
	}
	if len(way.Exits) == 0 && len(way.Steps) > 0 && seen.OFProto.Unread == "" {
		way.Why = l.ovsWhy(way, seen.OFProto)
	}
	return way
}

// ovsWhy says why Open vSwitch lets nothing leave.
func (l Look) ovsWhy(way Way, ovs trace.OFProto) string {
	last := way.Steps[len(way.Steps)-1]
	if n := len(ovs.Steps); len(l.own.Steps) == n && l.own.Steps[n-1].Flow != nil && l.own.Steps[n-1].Flow.Key == ovs.Steps[n-1].Key && len(l.own.Sends) == 0 {
		return l.bridge.why(l.own.Steps[n-1], last)
	}
	if len(way.Warnings) > 0 {
		return "Open vSwitch could not send it: " + way.Warnings[0]
	}
	return l.bridge.why(trace.Step{Packet: l.packet}, last)
}

// exit says where a packet leaves to.
func (l Look) exit(s trace.Send) Exit {
	e := Exit{Port: uint32(s.Port), Frame: s.Packet.Frame().Match().String(), Name: l.portName(s.Port), Back: s.Port == flows.PortNo(l.packet.Get(flows.InPort).Lo)}
	if s.Tunnel != nil {
		self, _ := l.bridge.Snapshot.Node(l.bridge.Host.Node)
		e.Tunnel = &Outer{Src: self.VTEP().Unmap(), Dst: s.Tunnel.Dst, VNI: s.Tunnel.VNI}
		e.Host = l.bridge.nodeAt(s.Tunnel.Dst)
		return e
	}
	for id, port := range l.bridge.Host.Ports {
		if flows.PortNo(port.OFPort) == s.Port {
			e.Endpoint = &EndpointName{Network: port.Network, Endpoint: id}
		}
	}
	return e
}

// portName says in words which port that is.
func (l Look) portName(p flows.PortNo) string {
	switch {
	case p == flows.PortNo(l.bridge.Host.Tunnel) && p != 0:
		return "the tunnel"
	case p == flows.PortController:
		return "the controller"
	}
	for id, port := range l.bridge.Host.Ports {
		if flows.PortNo(port.OFPort) != p {
			continue
		}
		if e, known := l.bridge.Snapshot.Endpoint(port.Network, id); known {
			return fmt.Sprintf("port %d: %s", port.OFPort, l.bridge.endpoint(e))
		}
		return fmt.Sprintf("port %d: endpoint %s", port.OFPort, overlay.ShortID(id))
	}
	return fmt.Sprintf("port %s, which is no endpoint's", p)
}

// endpoint names an endpoint of the snapshot.
func (b Bridge) endpoint(e overlay.Endpoint) string { return NameOf(b.Snapshot, e) }

// NameOf names an endpoint for people, as flows.Reason does: by its name, IPv4
// address, network and host.
func NameOf(s *overlay.Snapshot, e overlay.Endpoint) string {
	text := e.Label()
	if addrs := e.Addrs(); len(addrs) > 0 {
		text += " (" + addrs[0].String() + ")"
	}
	return text + " in " + networkName(s, e.Network) + ", on " + e.Node
}

func networkName(s *overlay.Snapshot, id string) string {
	if n, known := s.Network(id); known {
		return n.Name
	}
	return overlay.ShortID(id)
}
