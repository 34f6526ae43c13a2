package journey_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
)

// A question may come from any host: what it may not say is refused, whoever
// asks.
func TestQuestionsAreChecked(t *testing.T) {
	const frame = "udp,dl_src=02:42:0a:0a:00:02,dl_dst=02:42:0a:0a:00:03,nw_src=10.10.0.2,nw_dst=10.10.0.3"
	port := &journey.EndpointName{Network: "web", Endpoint: "web-1"}
	addr := netip.MustParseAddr
	tests := []struct {
		name string
		q    journey.Question
		kind overlay.Kind
		said string
	}{
		{"a packet from a port", journey.Question{Frame: frame, Endpoint: port}, 0, ""},
		{"a packet out of the tunnel", journey.Question{Frame: frame, Tunnel: &journey.Outer{Src: addr("192.0.2.2"), Dst: addr("192.0.2.1"), VNI: 4096}}, 0, ""},
		{"no place", journey.Question{Frame: frame}, overlay.Invalid, "either"},
		{"two places", journey.Question{Frame: frame, Endpoint: port, Tunnel: &journey.Outer{}}, overlay.Invalid, "either"},
		{"another host's endpoint", journey.Question{Frame: frame, Endpoint: &journey.EndpointName{Network: "web", Endpoint: "web-2"}}, overlay.Missing, "no port"},
		{"another network's endpoint", journey.Question{Frame: frame, Endpoint: &journey.EndpointName{Network: "db", Endpoint: "web-1"}}, overlay.Missing, "no port"},
		{"metadata", journey.Question{Frame: frame + ",metadata=0x1000", Endpoint: port}, overlay.Invalid, "headers"},
		{"a register", journey.Question{Frame: "ip,reg0=0x1", Endpoint: port}, overlay.Invalid, "headers"},
		{"a port as number", journey.Question{Frame: "ip,in_port=1", Endpoint: port}, overlay.Invalid, "headers"},
		{"a tunnel in the frame", journey.Question{Frame: "ip,tun_id=0x1000", Endpoint: port}, overlay.Invalid, "headers"},
		{"a mask", journey.Question{Frame: "ip,nw_src=10.0.0.0/8", Endpoint: port}, overlay.Invalid, "exact"},
		{"another table", journey.Question{Frame: "table=60,ip", Endpoint: port}, overlay.Invalid, "written"},
		{"actions", journey.Question{Frame: "ip actions=output:1", Endpoint: port}, overlay.Invalid, "frame"},
		{"an option", journey.Question{Frame: "ip -generate", Endpoint: port}, overlay.Invalid, "frame"},
		{"a second line", journey.Question{Frame: "ip\nudp", Endpoint: port}, overlay.Invalid, "frame"},
		{"too much", journey.Question{Frame: strings.Repeat("ip,", 2000), Endpoint: port}, overlay.Invalid, "at most"},
		{"no sender", journey.Question{Frame: frame, Tunnel: &journey.Outer{Dst: addr("192.0.2.1")}}, overlay.Invalid, "unicast"},
		{"a group as sender", journey.Question{Frame: frame, Tunnel: &journey.Outer{Src: addr("224.0.0.1"), Dst: addr("192.0.2.1")}}, overlay.Invalid, "unicast"},
		{"two families", journey.Question{Frame: frame, Tunnel: &journey.Outer{Src: addr("2001:db8::1"), Dst: addr("192.0.2.1")}}, overlay.Invalid, "family"},
		{"a VNI of 25 bits", journey.Question{Frame: frame, Tunnel: &journey.Outer{Src: addr("192.0.2.2"), Dst: addr("192.0.2.1"), VNI: 1 << 24}}, overlay.Invalid, "out of range"},
	}
	w := newWorld(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := journey.NewLook(w.hosts["h1"].bridge, tt.q)
			if tt.kind == 0 && err == nil {
				return
			}
			if !overlay.IsKind(err, tt.kind) || !strings.Contains(err.Error(), tt.said) {
				t.Errorf("error %v, want one of kind %d with %q", err, tt.kind, tt.said)
			}
		})
	}
}

// What cannot be sent is refused before any host is asked.
func TestWishesAreChecked(t *testing.T) {
	w := newWorld(t)
	from, to := w.endpoint("web-1"), w.endpoint("web-2")
	for said, wish := range map[string]journey.Wish{
		"unknown protocol": {Proto: "sctp"}, "it has no ports": {Proto: "icmp", DPort: 80}, "it is IPv4's": {Proto: "arp", IPv6: true},
		"endpoint web-1: it has no IPv6 address: ovsnet's networks carry IPv4 and ARP, and no IPv6; choose another": {IPv6: true}, "goes to everybody": {Proto: "arp", DstMAC: to.MAC}, "--from-ip": {Proto: "arp", SrcAddr: netip.MustParseAddr("2001:db8::9")},
	} {
		if _, err := journey.Packets(from, to, wish); !overlay.IsKind(err, overlay.Invalid) || !strings.Contains(err.Error(), said) {
			t.Errorf("%+v: error %v, want %q", wish, err, said)
		}
	}
	from.IPv6, to.IPv6 = netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::3")
	packets, err := journey.Packets(from, to, journey.Wish{IPv6: true, Proto: "udp", DPort: 53})
	if err != nil || len(packets) != 2 {
		t.Fatal(packets, err)
	}
	for i, want := range []string{"icmp6,dl_src=02:42:0a:0a:00:02,dl_dst=33:33:ff:00:00:03", "udp6,"} {
		if got := packets[i].Frame.Match().String(); !strings.HasPrefix(got, want) {
			t.Errorf("packet %d is %s", i, got)
		}
	}
}

// A container's packets to itself meet no flow.
func TestNobodyTracesToHimself(t *testing.T) {
	w := newWorld(t)
	_, err := w.walker().Trace(t.Context(), w.endpoint("web-1"), w.endpoint("web-1"), journey.Wish{})
	if want := "both are web-1 (10.10.0.2) in web, on h1, and what a container sends to itself does not leave it"; !overlay.IsKind(err, overlay.Invalid) || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// The few flows that concern a packet take it the same way as all of them do, also
// where it is forged.
func TestFewFlowsSuffice(t *testing.T) {
	w := newWorld(t)
	var all []overlay.Endpoint
	for network := range w.snapshot.MemberNetworks() {
		all = slices.AppendSeq(all, w.snapshot.Endpoints(network))
	}
	rapid.Check(t, func(t *rapid.T) {
		endpoint := func(what string) overlay.Endpoint { return rapid.SampledFrom(all).Draw(t, what) }
		wish := journey.Wish{Proto: rapid.SampledFrom([]string{"icmp", "tcp", "udp", "arp"}).Draw(t, "proto")}
		if rapid.Bool().Draw(t, "forged address") {
			wish.SrcAddr = endpoint("as").IPv4
		}
		if rapid.Bool().Draw(t, "forged MAC") {
			wish.SrcMAC = endpoint("with").MAC
		}
		packets, err := journey.Packets(endpoint("from"), endpoint("to"), wish)
		if err != nil {
			t.Fatal(err)
		}
		at := endpoint("at")
		h := w.hosts[at.Node]
		q := journey.Question{Frame: rapid.SampledFrom(packets).Draw(t, "packet").Frame.Match().String(), Endpoint: &journey.EndpointName{Network: at.Network, Endpoint: at.ID}}
		if rapid.Bool().Draw(t, "tunnel") {
			sender, _ := w.snapshot.Node(endpoint("sent by").Node)
			q.Endpoint, q.Tunnel = nil, &journey.Outer{Src: sender.VTEP(), Dst: netip.MustParseAddr("192.0.2.99"), VNI: uint32(rapid.IntRange(4095, 4098).Draw(t, "VNI"))}
		}
		l, err := journey.NewLook(h.bridge, q)
		if err != nil {
			t.Fatal(err)
		}
		if p := l.Passage(journey.ByAgent, h.see(l)); len(p.Disagreements) > 0 {
			t.Errorf("%+v: the few and all disagree: %+v", q, p.Disagreements)
		}
	})
}
