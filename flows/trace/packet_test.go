package trace_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

func TestPacketString(t *testing.T) {
	a := trace.Station{MAC: overlay.MAC{2, 0x42, 10, 0, 0, 1}, Addr: netip.MustParseAddr("10.0.0.1")}
	b := trace.Station{MAC: overlay.MAC{2, 0x42, 10, 0, 0, 2}, Addr: netip.MustParseAddr("10.0.0.2")}
	a6 := trace.Station{MAC: a.MAC, Addr: netip.MustParseAddr("fd00::1")}
	b6 := trace.Station{MAC: b.MAC, Addr: netip.MustParseAddr("fd00::12:3456")}
	const (
		here  = ",dl_src=02:42:0a:00:00:01,dl_dst=02:42:0a:00:00:02"
		all   = ",dl_src=02:42:0a:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff"
		addrs = ",nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64"
		v6    = ",ipv6_src=fd00::1,ipv6_dst=fd00::12:3456,nw_ttl=64"
	)
	tests := []struct {
		packet trace.Packet
		want   string
	}{
		{trace.Packet{}, ""},
		{trace.Packet{}.FromPort(flows.PortLocal), "in_port=LOCAL"},
		{trace.TCP(a, b, 1024, 80).FromPort(11), "tcp,in_port=11" + here + addrs + ",tcp_src=1024,tcp_dst=80"},
		{trace.UDP(a, b, 0, 53), "udp" + here + addrs + ",udp_dst=53"},
		{trace.Echo(a, b), "icmp" + here + addrs + ",icmp_type=8"},
		{trace.TCP(a6, b6, 1024, 80), "tcp6" + here + v6 + ",tcp_src=1024,tcp_dst=80"},
		{trace.Echo(a6, b6), "icmp6" + here + v6 + ",icmpv6_type=128"},
		{trace.ARPRequest(a, b.Addr), "arp" + all + ",arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_op=1,arp_sha=02:42:0a:00:00:01"},
		{trace.GratuitousARP(a), "arp" + all + ",arp_spa=10.0.0.1,arp_tpa=10.0.0.1,arp_op=1,arp_sha=02:42:0a:00:00:01"},
		{trace.Probe(a.MAC, b.Addr), "arp" + all + ",arp_tpa=10.0.0.2,arp_op=1,arp_sha=02:42:0a:00:00:01"},
		{trace.ARPReply(a, b), "arp" + here + ",arp_spa=10.0.0.1,arp_tpa=10.0.0.2,arp_op=2,arp_sha=02:42:0a:00:00:01,arp_tha=02:42:0a:00:00:02"},
		{trace.NeighborSolicitation(a6, b6.Addr), "icmp6,dl_src=02:42:0a:00:00:01,dl_dst=33:33:ff:12:34:56,ipv6_src=fd00::1,ipv6_dst=ff02::1:ff12:3456,nw_ttl=255,icmpv6_type=135,nd_target=fd00::12:3456,nd_sll=02:42:0a:00:00:01"},
		{trace.UDP(a, b, 0, 53).FromTunnel(1, netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1"), 0x1000), "udp,tun_id=0x1000,tun_src=192.0.2.2,tun_dst=192.0.2.1,in_port=1" + here + addrs + ",udp_dst=53"},
		{trace.Echo(a, b).FromTunnel(1, netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::1"), 0x1000), "icmp,tun_id=0x1000,tun_ipv6_src=2001:db8::2,tun_ipv6_dst=2001:db8::1,in_port=1" + here + addrs + ",icmp_type=8"},
		{trace.UDP(a, b, 0, 53).With(flows.VlanVID, flows.Number(5)).With(flows.VlanPCP, flows.Number(1)), "udp,vlan_tci=0x3005" + here + addrs + ",udp_dst=53"},
		{trace.Packet{}.With(flows.EthType, flows.Number(0x88b5)).With(flows.IPSrc, flows.Number(1)), "dl_type=0x88b5"},
	}
	for _, tt := range tests {
		if got := tt.packet.String(); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
}

// tens is one network with that many endpoints elsewhere: two flows for each,
// as the compiler would make.
func tens(endpoints int) []flows.Flow {
	set := []flows.Flow{
		{Key: flows.Key{Priority: 200, Match: flows.NewMatch(flows.Exact(flows.InPort, flows.Number(11)))}, Actions: flows.NewActions(flows.Set(flows.Metadata, flows.Number(0x1000)), flows.Goto(flows.ArpResponder))},
		{Key: flows.Key{Table: flows.ArpResponder}, Actions: flows.NewActions(flows.Goto(flows.Forward))},
	}
	network := flows.Exact(flows.Metadata, flows.Number(0x1000))
	for i := range endpoints {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		mac := flows.MACValue(overlay.MACFromAddr(addr))
		set = append(set,
			flows.Flow{
				Key:     flows.Key{Table: flows.ArpResponder, Priority: 100, Match: flows.NewMatch(network, flows.Exact(flows.EthType, flows.Number(flows.EthTypeARP)), flows.Exact(flows.ArpTPA, flows.AddrValue(addr)))},
				Actions: flows.NewActions(flows.Move(flows.EthSrc, flows.EthDst), flows.Set(flows.EthSrc, mac), flows.Output(flows.PortInPort)),
			},
			flows.Flow{
				Key:     flows.Key{Table: flows.Forward, Priority: 100, Match: flows.NewMatch(network, flows.Exact(flows.EthDst, mac))},
				Actions: flows.NewActions(flows.Set(flows.TunID, flows.Number(0x1000)), flows.Set(flows.TunDst, flows.Number(0xc0000202)), flows.Output(tunnel)),
			})
	}
	return set
}

// A trace through 30,000 flows, index and all, takes a moment and no more.
func TestManyFlowsTakeLittleTime(t *testing.T) {
	set, begin := tens(15000), time.Now()
	if got := told(trace.Run(bridgePorts(), set, local())); got != "1→192.0.2.2/0x1000" {
		t.Errorf("goes to %s", got)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func BenchmarkIndex(b *testing.B) {
	set := tens(15000)
	b.ReportAllocs()
	for b.Loop() {
		trace.NewBridge(bridgePorts(), slices.Values(set))
	}
}

func BenchmarkRun(b *testing.B) {
	bridge, p := trace.NewBridge(bridgePorts(), slices.Values(tens(15000))), local()
	b.ReportAllocs()
	for b.Loop() {
		if r := bridge.Run(p); len(r.Sends) != 1 {
			b.Fatal(fmt.Sprint(r.Steps))
		}
	}
}
