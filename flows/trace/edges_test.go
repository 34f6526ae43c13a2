package trace_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// edge is a set of flows that does one thing that random ones seldom do.
type edge struct {
	name   string
	flows  string
	packet trace.Packet
	// want is where the packet goes: ports in order, with the fields that
	// changed; what was withheld; why all was given up.
	want string
}

func local() trace.Packet {
	from := trace.Station{MAC: overlay.MAC{2, 0x42, 10, 0, 0, 1}, Addr: netip.MustParseAddr("10.0.0.1")}
	to := trace.Station{MAC: overlay.MAC{2, 0x42, 10, 0, 0, 2}, Addr: netip.MustParseAddr("10.0.0.2")}
	return trace.TCP(from, to, 1, 80).FromPort(11)
}

func remote() trace.Packet {
	return local().FromTunnel(tunnel, vteps()[1], vteps()[0], 0x1000)
}

func edges() []edge {
	tagged := local().With(flows.VlanTCI, flows.Number(0x1064))
	long := func(calls, each int) string {
		return "actions=" + strings.TrimSuffix(strings.Repeat("resubmit(,10),", calls), ",") + ",output:12\n" +
			"table=10 actions=" + strings.TrimSuffix(strings.Repeat("resubmit(,20),", each), ",") + "\ntable=20 actions=drop"
	}
	return []edge{
		{"nothing matches", "table=10 actions=drop", local(), ""},
		{"metadata keeps what the mask leaves out", "actions=write_metadata:0xff,goto_table:10\ntable=10 actions=write_metadata:0x100/0xf0f,goto_table:20\ntable=20,metadata=0x1f0 actions=output:12", local(), "12"},
		{"4096 look-ups", long(64, 63), local(), "12"},
		{"4097 look-ups", long(64, 64), local(), "over 4096 look-ups"},
		{"an endless loop", "actions=output:12,resubmit(,0)", local(), "over 64 levels of resubmits to the same table or back"},
		{"IPv4 before IPv6", "actions=set_field:2001:db8::6->tun_ipv6_dst,set_field:192.0.2.2->tun_dst,output:1", local(), "1→192.0.2.2/0x0"},
		{"IPv6 where IPv4 is taken back", "actions=set_field:192.0.2.2->tun_dst,set_field:2001:db8::6->tun_ipv6_dst,set_field:0.0.0.0->tun_dst,output:1", local(), "1→2001:db8::6/0x0"},
		{"a wide tunnel ID", "actions=set_field:0x5001001000->tun_id,set_field:192.0.2.2->tun_dst,output:1", local(), "1→192.0.2.2/0x1000"},
		{"the tunnel without a destination", "actions=output:1,output:12", local(), "12 not 1 (no flow said which host the tunnel leads to)"},
		{"back into the tunnel", "actions=set_field:192.0.2.3->tun_dst,output:1,IN_PORT", remote(), "1→192.0.2.3/0x1000 not 1 (the packet came in by this port)"},
		{"back to this host", "actions=IN_PORT", remote(), " not 1 (no flow said which host the tunnel leads to)"},
		{"back to nowhere", "actions=set_field:0.0.0.0->tun_dst,IN_PORT", remote(), " not 1 (no flow said which host the tunnel leads to)"},
		{"a port of another network", "actions=output:99,output:12", local(), "12 not 99 (the bridge has no such port)"},
		{"in by a port that is not there", "actions=IN_PORT", local().FromPort(99), " not 99 (the bridge has no such port)"},
		{"the in-port for a look-up only", "actions=resubmit(12,10)\ntable=10,in_port=12 actions=output:11,output:12,resubmit(,20)\ntable=20,in_port=11 actions=IN_PORT", local(), "12,11 not 11 (the packet came in by this port)"},
		{"a change outlives its resubmit", "ip,actions=resubmit(,10),output:12\ntable=10,ip actions=set_field:10.0.0.9->ip_dst", local(), "12{nw_dst=10.0.0.9}"},
		{"a copy keeps what it was", "ip,actions=output:12,set_field:10.0.0.9->ip_dst,output:13,set_field:10.0.0.2->ip_dst,output:14", local(), "12,13{nw_dst=10.0.0.9},14"},
		{"part of an address", "ip,actions=set_field:0.0.0.9/0.0.0.255->ip_dst,set_field:00:00:00:00:07:00/00:00:00:00:ff:00->eth_dst,output:12", local(), "12{dl_dst=02:42:0a:00:07:02}{nw_dst=10.0.0.9}"},
		{"a new tag", "actions=set_field:0x1064->vlan_tci,output:12", local(), "12{vlan_tci=0x1064}"},
		{"a tag without its bit is none", "actions=set_field:0x0064->vlan_tci,output:12", local(), "12"},
		{"no more tag", "actions=set_field:0->vlan_tci,output:12", tagged, "12{vlan_tci=0x0000}"},
		{"another tag", "dl_vlan=100,actions=set_field:3->vlan_pcp,output:12", tagged, "12{vlan_tci=0x7064}"},
		{"part of a tag of one that has lost it", "dl_vlan=100,actions=resubmit(,10),set_field:3->vlan_pcp,output:12\ntable=10 actions=set_field:0->vlan_tci", tagged, "12{vlan_tci=0x0000}"},
		{"a VLAN that the packet is not in", "dl_vlan=101,actions=output:12\npriority=1,dl_vlan=100,dl_vlan_pcp=0,actions=output:13", tagged, "13"},
		{"a priority tag is no untagged frame", "priority=2,vlan_tci=0x0000,actions=output:12\npriority=1,vlan_tci=0x1000/0x1000,actions=output:13", local().With(flows.VlanTCI, flows.Number(0x1000)), "13"},
		{"type of service", "ip,nw_tos=32,nw_ecn=1,actions=set_field:2->nw_ecn,output:12", local().With(flows.IPTOS, flows.Number(32)).With(flows.IPECN, flows.Number(1)), "12{nw_ecn=2}"},
		{"time to live", "ip,nw_ttl=64,actions=set_field:3->nw_ttl,output:12", local(), "12{nw_ttl=3}"},
		{"every port", "actions=ALL", local(), "LOCAL,12,13,14,15,16,17,18 not 1 (no flow said which host the tunnel leads to)"},
		{"the controller", "ip,actions=set_field:10.0.0.9->ip_dst,CONTROLLER:100,LOCAL", local(), "CONTROLLER{nw_dst=10.0.0.9},LOCAL{nw_dst=10.0.0.9}"},
	}
}

// bridgePorts are those of newOpenVSwitch.
func bridgePorts() trace.Ports {
	p := trace.Ports{Tunnel: tunnel, All: []flows.PortNo{flows.PortLocal, tunnel}}
	for n := flows.PortNo(firstPort); n <= lastPort; n++ {
		p.All = append(p.All, n)
	}
	return p
}

func parse(t *testing.T, text string) []flows.Flow {
	t.Helper()
	var set []flows.Flow
	for line := range strings.SplitSeq(text, "\n") {
		read, err := flows.ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, read.Flow)
	}
	return set
}

func TestEdges(t *testing.T) {
	for _, e := range edges() {
		t.Run(e.name, func(t *testing.T) {
			if got := told(trace.Run(bridgePorts(), parse(t, e.flows), e.packet)); got != e.want {
				t.Errorf("goes to %q, want %q", got, e.want)
			}
		})
	}
}

func TestEnginesAgreeAtTheEdges(t *testing.T) {
	s := newOpenVSwitch(t, neighbours()...)
	ports, datapath := s.ports()
	if want := bridgePorts(); ports.Tunnel != want.Tunnel || !slices.Equal(slices.Sorted(slices.Values(ports.All)), slices.Sorted(slices.Values(want.All))) {
		t.Errorf("the bridge has ports %v, want %v", ports, want)
	}
	for _, e := range edges() {
		t.Run(e.name, func(t *testing.T) {
			s.t = t
			set := s.install(parse(t, e.flows))
			ovs, text := s.trace(e.packet)
			if differ := trace.Compare(trace.Run(ports, set, e.packet), ovs, datapath); len(differ) > 0 {
				t.Errorf("%s\n%s", lines(differ), text[max(0, len(text)-2000):])
			}
		})
	}
}

// told says where a packet goes, as edge.want does.
func told(r trace.Result) string {
	if r.Unknown != "" || r.Aborted != "" {
		return r.Unknown + r.Aborted
	}
	var words []string
	for _, s := range r.Sends {
		word := s.Port.String()
		if s.Tunnel != nil {
			word += fmt.Sprintf("→%s/0x%x", s.Tunnel.Dst, s.Tunnel.VNI)
		}
		for f := flows.VlanTCI; int(f) < flows.FieldCount; f++ {
			if v := s.Packet.Frame().Get(f); v != r.Packet.Frame().Get(f) && f != flows.VlanVID && f != flows.VlanPCP {
				word += "{" + flows.Exact(f, v).String() + "}"
			}
		}
		words = append(words, word)
	}
	text := strings.Join(words, ",")
	for _, h := range r.Withheld {
		text += fmt.Sprintf(" not %s (%s)", h.Port, h.Why)
	}
	return text
}
