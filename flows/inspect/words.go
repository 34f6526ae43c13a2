package inspect

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// words turns matches and actions into sentences, with the names that a bridge
// knows.
type words struct {
	Bridge
	// network is that of the flow, as far as its match tells; endpoints of other
	// networks may have the same addresses.
	network overlay.Network
}

func (b Bridge) wordsFor(f flows.Flow) words {
	w := words{Bridge: b}
	for c := range f.Match.Fields() {
		if c.Field == flows.Metadata || c.Field == flows.TunID {
			w.network, _ = w.networkOf(c.Value)
		}
		if c.Field == flows.InPort && w.network.ID == "" {
			if e, ok := w.pluggedInto(c.Value); ok {
				w.network, _ = b.Snapshot.Network(e.Network)
			}
		}
	}
	return w
}

// networkOf finds the network of a VNI.
func (w words) networkOf(vni flows.Value) (overlay.Network, bool) {
	for n := range w.Snapshot.Networks() {
		if uint64(n.VNI) == vni.Lo&overlay.MaxVNI {
			return n, true
		}
	}
	return overlay.Network{}, false
}

// pluggedInto finds the endpoint of an OpenFlow port.
func (w words) pluggedInto(port flows.Value) (overlay.Endpoint, bool) {
	e, known := w.names().ports[port.Lo]
	return e, known
}

// owner names the endpoint of the flow's network that has something, in
// parentheses; empty where nobody has it.
func (w words) owner(what owned) string {
	what.network = w.network.ID
	if label, known := w.names().owners[what]; known {
		return " (" + label + ")"
	}
	return ""
}

func (w words) mac(v flows.Value) string {
	return v.MAC().String() + w.owner(owned{mac: v.MAC()})
}

func (w words) addr(v flows.Value) string {
	return v.IPv4().String() + w.owner(owned{addr: v.IPv4()})
}

// host names the host that has a VTEP address.
func (w words) host(a netip.Addr) string {
	for n := range w.Snapshot.Nodes() {
		for _, vtep := range n.VTEPs {
			if vtep == a {
				return fmt.Sprintf("host %s (%s)", n.Name, a)
			}
		}
	}
	return fmt.Sprintf("%s, which is no host of the cluster", a)
}

func (w words) port(p flows.PortNo) string {
	if p == flows.PortNo(w.Host.Tunnel) && p != 0 {
		return fmt.Sprintf("port %s (the tunnel)", p)
	}
	if e, ok := w.pluggedInto(flows.Number(uint64(p))); ok {
		return fmt.Sprintf("port %s (%s)", p, e.Label())
	}
	return "port " + p.String()
}

// packets says which packets a flow takes.
func (w words) packets(m flows.Match) string {
	what := "packets"
	if kind := kindOf(m); kind != "" {
		what = kind
	}
	var list []string
	for c := range m.Fields() {
		if clause := w.condition(c); clause != "" {
			list = append(list, clause)
		}
	}
	if len(list) == 0 && what == "packets" {
		return "All packets that no other flow of the table takes"
	}
	if len(list) == 0 {
		return "All " + what
	}
	return strings.ToUpper(what[:1]) + what[1:] + " that " + join(list)
}

// kindOf is the protocol that a match names.
func kindOf(m flows.Match) string {
	word, _, _ := strings.Cut(m.String(), ",")
	switch word {
	case "ip":
		return "IPv4 packets"
	case "arp":
		if op, ok := m.Get(flows.ArpOp); ok && op.Value == flows.Number(1) {
			return "ARP requests"
		}
		return "ARP packets"
	case "ipv6":
		return "IPv6 packets"
	case "tcp", "udp", "icmp", "sctp":
		return strings.ToUpper(word) + " packets over IPv4"
	case "tcp6", "udp6", "icmp6", "sctp6":
		return strings.ToUpper(strings.TrimSuffix(word, "6")) + " packets over IPv6"
	}
	return ""
}

// condition says one condition; empty for what kindOf said.
func (w words) condition(c flows.FieldMatch) string {
	whole := c.Mask == c.Field.Full()
	switch {
	case c.Field == flows.EthType && whole, c.Field == flows.IPProto && whole, c.Field == flows.ArpOp && whole && c.Value.Lo == 1:
		return ""
	case c.Field == flows.InPort:
		return "come in by " + w.port(flows.PortNo(c.Value.Lo))
	case c.Field == flows.Metadata:
		return w.membership(c)
	case c.Field == flows.TunID && whole:
		return "carry " + w.vni(c.Value)
	case c.Field == flows.TunSrc && whole:
		return "come from " + w.host(c.Value.IPv4())
	case c.Field == flows.TunIPv6Src && whole:
		return "come from " + w.host(c.Value.IPv6())
	case c.Field == flows.EthDst && c.Value == c.Mask && c.Mask == flows.Number(groupBit):
		return "go to a broadcast or multicast address"
	case whole:
		return w.field(c)
	}
	return "have " + c.String()
}

// groupBit is set in every broadcast and multicast address (IEEE 802).
const groupBit = 1 << 40

// field says a condition on a whole field.
func (w words) field(c flows.FieldMatch) string {
	switch c.Field {
	case flows.EthSrc:
		return "have source MAC " + w.mac(c.Value)
	case flows.EthDst:
		return "go to MAC " + w.mac(c.Value)
	case flows.IPSrc:
		return "have source address " + w.addr(c.Value)
	case flows.IPDst:
		return "go to address " + w.addr(c.Value)
	case flows.ArpTPA:
		return "ask for " + w.addr(c.Value)
	case flows.ArpSPA:
		if c.Value.IsZero() {
			return "name no sender address, as probes do"
		}
		return "name " + w.addr(c.Value) + " as sender"
	case flows.ArpSHA:
		return "name " + w.mac(c.Value) + " as sender"
	case flows.Reg0:
		if c.Value.IsZero() {
			return "are not yet in a part of the copying"
		}
		return fmt.Sprintf("are in part %d of the copying", c.Value.Lo)
	}
	return "have " + c.String()
}

// fromTunnel is the bit of the metadata that says that a packet came from
// another host.
const fromTunnel = overlay.MaxVNI + 1

// membership says what the metadata says of the network.
func (w words) membership(c flows.FieldMatch) string {
	name := fmt.Sprintf("VNI %d, which is no network here", c.Value.Lo&overlay.MaxVNI)
	if n, ok := w.networkOf(c.Value); ok {
		name = "network " + n.Name
	}
	switch {
	case c.Mask.Lo&overlay.MaxVNI != overlay.MaxVNI:
		return "have " + c.String()
	case c.Mask.Lo&fromTunnel == 0:
		return "belong to " + name
	case c.Value.Lo&fromTunnel != 0:
		return "belong to " + name + " and came from another host"
	}
	return "belong to " + name + " and came from an endpoint here"
}

func (w words) vni(v flows.Value) string {
	text := fmt.Sprintf("VNI %d", v.Lo)
	if n, ok := w.networkOf(v); ok && v.Lo <= overlay.MaxVNI {
		text += " (network " + n.Name + ")"
	}
	return text
}

// does says what becomes of the packets.
func (w words) does(a flows.Actions) string {
	if a.Drop() {
		return "end here: they are dropped and counted"
	}
	var list []string
	for step := range a.All() {
		list = append(list, w.step(step))
	}
	return join(list)
}

func (w words) step(a flows.Action) string {
	switch a.Op {
	case flows.OpOutput:
		return w.leave(a.Port)
	case flows.OpGoto:
		return "go on to table " + a.Table.String()
	case flows.OpResubmit:
		return "pass table " + a.Table.String() + " and come back"
	case flows.OpMove:
		return fmt.Sprintf("get what is in %s into %s", a.From, a.Field)
	case flows.OpSetField, flows.OpWriteMetadata:
		return w.sets(a)
	case flows.OpController:
		return "are sent to a controller, which ovsnet does not have"
	case flows.OpGroup:
		return fmt.Sprintf("go through group %d, which is none of ovsnet's", a.Port)
	}
	return a.String()
}

// leave says where an output goes.
func (w words) leave(p flows.PortNo) string {
	switch p {
	case flows.PortInPort:
		return "go back out of the port that they came in by"
	case flows.PortNormal:
		return "go where an ordinary switch would send them, by what it has learned"
	case flows.PortFlood, flows.PortAll:
		return "leave by every other port"
	case flows.PortLocal:
		return "go to the host itself"
	case flows.PortController:
		return "are sent to a controller, which ovsnet does not have"
	}
	return "leave by " + w.port(p)
}

func (w words) sets(a flows.Action) string {
	f := a.Field
	if a.Op == flows.OpWriteMetadata {
		f = flows.Metadata
	}
	switch {
	case a.Mask != f.Full():
		return "get " + a.String()
	case f == flows.Metadata:
		return "are marked: they " + w.membership(flows.Exact(f, a.Value))
	case f == flows.TunID:
		return "get " + w.vni(a.Value)
	case f == flows.TunDst && !a.Value.IsZero():
		return "are addressed to " + w.host(a.Value.IPv4())
	case f == flows.TunIPv6Dst:
		return "are addressed to " + w.host(a.Value.IPv6())
	case f == flows.EthSrc:
		return "get source MAC " + w.mac(a.Value)
	case f == flows.EthDst:
		return "get destination MAC " + w.mac(a.Value)
	case f == flows.ArpOp && a.Value.Lo == 2:
		return "become an ARP reply"
	case f == flows.ArpSHA:
		return "name " + w.mac(a.Value) + " as sender"
	case f == flows.ArpSPA:
		return "name " + w.addr(a.Value) + " as sender"
	}
	return "get " + a.String()
}

// join makes one clause of several.
func join(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// sentence says what a flow does.
func (b Bridge) sentence(f flows.Flow) string {
	w := b.wordsFor(f)
	return w.packets(f.Match) + " " + w.does(f.Actions) + "."
}
