package ofctl_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/ofctl"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// What OVS does with each kind of packet, asked of OVS itself.
func TestPackets(t *testing.T) {
	s := newSwitch(t)
	s.addPorts(3)
	for _, vtep := range []string{"192.0.2.2", "192.0.2.3"} {
		s.appctl("tnl/neigh/set", "br-phy", vtep, "02:00:00:00:00:99")
	}
	s.apply(world())
	const (
		web1  = "in_port=11,dl_src=02:42:0a:00:00:01"
		ip    = ",ip,nw_src=10.0.0.1,nw_ttl=64"
		arp   = ",arp,arp_sha=02:42:0a:00:00:01,arp_op=1"
		all   = ",dl_dst=ff:ff:ff:ff:ff:ff"
		other = ",dl_dst=02:42:0a:00:00:02"
		inner = ",dl_src=02:42:0a:00:00:03"
	)
	tests := []struct {
		name, packet string
		to           []string
	}{
		{"unicast here", web1 + other + ip + ",nw_dst=10.0.0.2", []string{"p12"}},
		{"unicast to another host", web1 + ",dl_dst=02:42:0a:00:00:03" + ip, []string{"192.0.2.2/0x1000"}},
		{"the same addresses in the other network", "in_port=13,dl_src=02:42:0a:00:00:01,dl_dst=02:42:0a:00:00:03" + ip, []string{"192.0.2.2/0x1001"}},
		{"unicast to the other network", "in_port=13,dl_src=02:42:0a:00:00:01" + other + ip, nil},
		{"unicast to nobody", web1 + ",dl_dst=02:42:0a:00:00:77" + ip, nil},
		{"unicast to itself", web1 + ",dl_dst=02:42:0a:00:00:01" + ip, nil},
		{"broadcast", web1 + all + ip, []string{"192.0.2.2/0x1000", "192.0.2.3/0x1000", "p12"}},
		{"multicast", web1 + ",dl_dst=01:00:5e:00:00:fb" + ip, []string{"192.0.2.2/0x1000", "192.0.2.3/0x1000", "p12"}},
		{"ARP for a neighbour here", web1 + all + arp + ",arp_spa=10.0.0.1,arp_tpa=10.0.0.2", []string{"p11"}},
		{"ARP for a neighbour elsewhere", web1 + all + arp + ",arp_spa=10.0.0.1,arp_tpa=10.0.0.4", []string{"p11"}},
		{"ARP for nobody", web1 + all + arp + ",arp_spa=10.0.0.1,arp_tpa=10.0.0.77", nil},
		{"ARP for its own address", web1 + all + arp + ",arp_spa=10.0.0.1,arp_tpa=10.0.0.1", nil},
		{"probe for its own address", web1 + all + arp + ",arp_spa=0.0.0.0,arp_tpa=10.0.0.1", nil},
		{"probe for a taken address", web1 + all + arp + ",arp_spa=0.0.0.0,arp_tpa=10.0.0.3", []string{"p11"}},
		{"probe for a free address", web1 + all + arp + ",arp_spa=0.0.0.0,arp_tpa=10.0.0.9", nil},
		{"ARP reply", web1 + other + ",arp,arp_sha=02:42:0a:00:00:01,arp_op=2,arp_spa=10.0.0.1,arp_tpa=10.0.0.2", nil},
		{"forged IP", web1 + other + ",ip,nw_src=10.0.0.9", nil},
		{"forged MAC", "in_port=11,dl_src=02:42:0a:00:00:02" + other + ip, nil},
		{"forged ARP sender", web1 + all + arp + ",arp_spa=10.0.0.2,arp_tpa=10.0.0.3", nil},
		{"forged ARP hardware address", web1 + all + ",arp,arp_op=1,arp_sha=02:42:0a:00:00:02,arp_spa=10.0.0.1,arp_tpa=10.0.0.3", nil},
		{"probe with a forged MAC", "in_port=11,dl_src=02:42:0a:00:00:02" + all + ",arp,arp_op=1,arp_sha=02:42:0a:00:00:02,arp_spa=0.0.0.0,arp_tpa=10.0.0.3", nil},
		{"IPv6", web1 + other + ",ipv6", nil},
		{"the bridge's own port", "in_port=LOCAL" + inner + other + ip, nil},
		{"from a tunnel", "in_port=1,tun_src=192.0.2.2,tun_id=0x1000" + inner + other + ",ip", []string{"p12"}},
		{"from a tunnel into the other network", "in_port=1,tun_src=192.0.2.2,tun_id=0x1001" + inner + other + ",ip", nil},
		{"from an unknown VTEP", "in_port=1,tun_src=192.0.2.77,tun_id=0x1000" + inner + other + ",ip", nil},
		{"from its own VTEP", "in_port=1,tun_src=192.0.2.1,tun_id=0x1000" + inner + other + ",ip", nil},
		{"from a tunnel with an unknown VNI", "in_port=1,tun_src=192.0.2.2,tun_id=0x1002" + inner + other + ",ip", nil},
		{"from a tunnel back into one", "in_port=1,tun_src=192.0.2.2,tun_id=0x1000" + inner + ",dl_dst=02:42:0a:00:00:04,ip", nil},
		{"broadcast from a tunnel", "in_port=1,tun_src=192.0.2.2,tun_id=0x1000" + inner + all + ",ip", []string{"p11", "p12"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.trace(tt.packet); !slices.Equal(got, tt.to) {
				t.Errorf("goes to %v, want %v\n%s", got, tt.to, s.appctl("ofproto/trace", bridge, tt.packet))
			}
		})
	}
}

// A packet that is sent goes through the tables as if it came from a port, and is
// counted.
func TestSend(t *testing.T) {
	s := newSwitch(t)
	s.addPorts(3)
	snapshot, host := world()
	s.apply(snapshot, host)
	from, _ := snapshot.Endpoint("web", "web-1")
	to, _ := snapshot.Endpoint("web", "web-2")
	packet, err := trace.Echo(trace.Station{MAC: from.MAC, Addr: from.IPv4}, trace.Station{MAC: to.MAC, Addr: to.IPv4}).Bytes([]byte("payload!"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.Send(call(t), host.Ports["web-1"].OFPort, packet); err != nil {
		t.Fatal(err)
	}
	var hit []string
	for _, f := range s.dump() {
		if f.Packets == 1 {
			hit = append(hit, f.Table.String()+" "+flows.RuleOf(f.Cookie).String())
		}
	}
	slices.Sort(hit)
	if want := []string{"ArpResponder not-arp", "Classify from-endpoint", "Forward to-local", "SpoofGuard own-ipv4"}; !slices.Equal(hit, want) {
		t.Errorf("these flows counted it: %q, want %q", hit, want)
	}
	if err := ofctl.New(ofctl.Config{Bridge: "nix", RunDir: s.dir}).Send(call(t), 1, packet); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("a bridge that is not there: %v", err)
	}
}

// A container's probe finds a taken address, passes a free one, and its own.
// (Real packets through the datapath; RFC 5227.)
func TestArpingProbes(t *testing.T) {
	s := newSwitch(t)
	s.addPorts(3)
	s.apply(world())
	s.inside("ip", "link", "set", "p11", "address", "02:42:0a:00:00:01", "up")
	tests := []struct {
		addr  string
		taken bool
	}{{"10.0.0.2", true}, {"10.0.0.3", true}, {"10.0.0.1", false}, {"10.0.0.99", false}}
	for _, tt := range tests {
		out, err := s.try("nsenter", "--net="+s.namespace(), "arping", "-D", "-c", "2", "-w", "3", "-I", "p11", tt.addr)
		if taken := err != nil && strings.Contains(out, "Unicast reply"); taken != tt.taken {
			t.Errorf("%s found taken: %v, want %v (%v)\n%s", tt.addr, taken, tt.taken, err, out)
		}
	}
	counted := s.matchOf(flows.OwnAddress, "web-1")
	for _, f := range s.dump() {
		if f.Match == counted && f.Packets == 0 {
			t.Errorf("the probe for its own address was not counted: %+v", f)
		}
	}
}

// matchOf finds a flow's match in the world by its reason.
func (s *realSwitch) matchOf(rule flows.Rule, endpoint string) flows.Match {
	s.t.Helper()
	snapshot, host := world()
	for _, f := range flows.Compile(snapshot, host, route) {
		if f.Why.Rule == rule && f.Why.Endpoint == endpoint {
			return f.Match
		}
	}
	s.t.Fatalf("no flow of rule %s for %s", rule, endpoint)
	return flows.Match{}
}
