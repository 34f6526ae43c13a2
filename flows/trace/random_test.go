package trace_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// world is a random cluster, seen from its host h1.
type world struct {
	*rand.Rand
	snapshot  *overlay.Snapshot
	host      flows.Host
	endpoints []overlay.Endpoint
	vteps     []netip.Addr
}

// vteps are the addresses that hosts may have, of both families; the first is
// that of h1.
func vteps() []netip.Addr {
	var list []netip.Addr
	for i := range 5 {
		list = append(list, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}))
	}
	for i := range 2 {
		list = append(list, netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i+6)))
	}
	return list
}

// neighbours are the vteps as the underlay's table of neighbours wants them.
func neighbours() []string {
	list := []string{stranger().String()}
	for _, v := range vteps()[1:] {
		list = append(list, v.String())
	}
	return list
}

// stranger is a VTEP in the underlay that is no peer's.
func stranger() netip.Addr { return netip.MustParseAddr("192.0.2.77") }

// newWorld makes networks that share addresses, with endpoints on all hosts. A
// host has one or two VTEPs.
func newWorld(r *rand.Rand) *world {
	w := &world{Rand: r, vteps: vteps()[:2+r.IntN(6)], host: flows.Host{Node: "h1", Tunnel: uint32(tunnel), Ports: map[string]flows.Port{}}}
	edit := overlay.NewSnapshot().Edit()
	for i, v := range w.vteps {
		edit.SetNode(overlay.Node{Name: node(i), VTEPs: []netip.Addr{v}})
	}
	networks := 1 + r.IntN(3)
	for n := range networks {
		edit.SetNetwork(overlay.Network{ID: network(n), Name: network(n), VNI: uint32(0x1000 + n)})
	}
	taken := map[string]bool{}
	for i := range 2 + r.IntN(20) {
		addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(2 + r.IntN(12))})
		at := network(r.IntN(networks))
		if taken[at+addr.String()] {
			continue
		}
		taken[at+addr.String()] = true
		e := overlay.Endpoint{ID: fmt.Sprintf("e%d", i), Network: at, Node: node(r.IntN(len(w.vteps))), MAC: overlay.MACFromAddr(addr), IPv4: addr}
		if port := firstPort + len(w.host.Ports); e.Node == "h1" && port <= lastPort {
			w.host.Ports[e.ID] = flows.Port{Network: at, OFPort: uint32(port)}
		}
		edit.SetEndpoint(e)
		w.endpoints = append(w.endpoints, e)
	}
	w.snapshot = edit.Snapshot()
	return w
}

func node(i int) string    { return fmt.Sprintf("h%d", i+1) }
func network(i int) string { return fmt.Sprintf("n%d", i) }

func (w *world) flows() []flows.Flow {
	return flows.Compile(w.snapshot, w.host, func(n overlay.Node) (netip.Addr, bool) { return n.VTEP(), n.VTEP().IsValid() })
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// packet is one that a host of the world may see: mostly sound, sometimes
// forged in a field or two, with values that the flows speak of.
func (w *world) packet(v vocabulary) trace.Packet {
	from, to := pick(w.Rand, w.endpoints), pick(w.Rand, w.endpoints)
	p := w.arriving(w.headers(from, to), from)
	for w.IntN(4) == 0 {
		f := pick(w.Rand, forgeable())
		if p.Has(f) {
			p = p.With(f, v.value(w.Rand, f))
		}
	}
	return p
}

// headers are what one endpoint may send to another.
func (w *world) headers(from, to overlay.Endpoint) trace.Packet {
	a, b := trace.Station{MAC: from.MAC, Addr: from.IPv4}, trace.Station{MAC: to.MAC, Addr: to.IPv4}
	switch w.IntN(6) {
	case 0:
		b.MAC = trace.Broadcast()
	case 1:
		b.MAC = overlay.MAC{0x01, 0x00, 0x5e, 0, 0, byte(w.IntN(3))}
	}
	sport, dport := uint16(1+w.IntN(3)), uint16(80+w.IntN(3))
	a6 := trace.Station{MAC: a.MAC, Addr: netip.MustParseAddr("fd00::1")}
	b6 := trace.Station{MAC: b.MAC, Addr: netip.MustParseAddr("fd00::2")}
	kinds := []func() trace.Packet{
		func() trace.Packet { return trace.TCP(a, b, sport, dport) },
		func() trace.Packet { return trace.UDP(a, b, sport, dport) },
		func() trace.Packet { return trace.Echo(a, b) },
		func() trace.Packet { return trace.ARPRequest(a, b.Addr) },
		func() trace.Packet { return trace.ARPRequest(a, netip.MustParseAddr("10.0.0.250")) },
		func() trace.Packet { return trace.GratuitousARP(a) },
		func() trace.Packet { return trace.Probe(a.MAC, b.Addr) },
		func() trace.Packet { return trace.ARPReply(a, b) },
		func() trace.Packet { return trace.TCP(a6, b6, sport, dport) },
		func() trace.Packet { return trace.Echo(a6, b6) },
		func() trace.Packet { return trace.NeighborSolicitation(a6, b6.Addr) },
	}
	return pick(w.Rand, kinds)()
}

// arriving gives the packet the way that it came, which is mostly the sender's.
func (w *world) arriving(p trace.Packet, from overlay.Endpoint) trace.Packet {
	n, _ := w.snapshot.Network(from.Network)
	at, local := w.host.Ports[from.ID]
	if w.IntN(8) == 0 {
		return p.FromPort(pick(w.Rand, []flows.PortNo{flows.PortLocal, 99, firstPort, lastPort, tunnel}))
	}
	if local && w.IntN(8) > 0 {
		return p.FromPort(flows.PortNo(at.OFPort))
	}
	src, vni := pick(w.Rand, w.vteps), n.VNI
	if w.IntN(8) == 0 {
		src = stranger()
	}
	if w.IntN(8) == 0 {
		vni = uint32(0x1000 + w.IntN(4))
	}
	dst := netip.MustParseAddr("192.0.2.1")
	if !src.Is4() {
		dst = netip.MustParseAddr("2001:db8::1")
	}
	return p.FromTunnel(tunnel, src, dst, vni)
}

// forgeable are the fields that a random packet may have otherwise.
func forgeable() []flows.Field {
	return []flows.Field{
		flows.EthSrc, flows.EthDst, flows.IPSrc, flows.IPDst, flows.ArpSPA, flows.ArpTPA, flows.ArpSHA, flows.ArpTHA,
		flows.ArpOp, flows.IPTOS, flows.IPECN, flows.IPTTL, flows.TPSrc, flows.TPDst, flows.TunID, flows.Metadata,
		flows.Reg0, flows.Reg5, flows.VlanTCI, flows.ICMPType, flows.IPv6Src, flows.IPv6Dst, flows.NDTarget, flows.NDSLL,
	}
}
