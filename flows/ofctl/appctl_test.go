package ofctl_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
)

// ovs-vswitchd is asked where ovs-appctl looks for it, and whether it is away is
// told apart from what it refuses.
func TestQuestions(t *testing.T) {
	s := newSwitch(t)
	s.answering()
	set := []flows.Flow{
		{Key: flows.Key{Table: flows.Classify, Priority: 7}, Cookie: 0x1234, Actions: flows.NewActions(flows.Goto(flows.Forward))},
		{Key: flows.Key{Table: flows.Forward, Priority: 7}, Cookie: 0x1234}, {Key: flows.Key{Table: flows.Forward, Priority: 8}, Cookie: 0x1235},
	}
	if err := s.client.Apply(t.Context(), flows.Delta{Add: set}); err != nil {
		t.Fatal(err)
	}
	if text, err := s.client.Ports(t.Context()); err != nil || !strings.Contains(text, "vx 1/") {
		t.Errorf("ports %q, error %v", text, err)
	}
	if text, err := s.client.Trace(t.Context(), "in_port=1,ip"); err != nil || !strings.Contains(text, "60. priority 8, cookie 0x1235") {
		t.Errorf("trace %q, error %v", text, err)
	}
	if found, err := s.client.Find(t.Context(), flows.Forward, 0x1234); err != nil || len(found) != 1 || found[0].Key != set[1].Key {
		t.Errorf("found %v, error %v", found, err)
	}
	if _, err := s.client.Trace(t.Context(), "in_port=1,nonsense"); err == nil || overlay.IsKind(err, overlay.Unavailable) || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a packet that is none: error %v", err)
	}
	s.vswitchd.end()
	if _, err := s.client.Trace(t.Context(), "in_port=1,ip"); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("with ovs-vswitchd away: error %v", err)
	}
}

// answering puts the control socket where ovs-appctl looks for it.
func (s *realSwitch) answering() {
	s.t.Helper()
	if err := os.Symlink(s.path("vswitchd.ctl"), s.path(fmt.Sprintf("ovs-vswitchd.%d.ctl", s.vswitchd.process.Pid))); err != nil {
		s.t.Fatal(err)
	}
}

// One host's part of a trace, with that many endpoints on it: evaluated, traced by
// Open vSwitch, and the flows that were met looked up.
func BenchmarkPassage(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			s := newSwitch(b)
			s.answering()
			s.appctl("tnl/neigh/set", "br-phy", "192.0.2.2", "02:00:00:00:00:99")
			edit := overlay.NewSnapshot().Edit()
			edit.SetNetwork(overlay.Network{ID: "net", Name: "net", VNI: 0x1000})
			edit.SetNode(overlay.Node{Name: "h1", VTEPs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}})
			host := flows.Host{Node: "h0", Tunnel: 1, Ports: map[string]flows.Port{}}
			for i := range n + 1 {
				addr := netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(1 + i%250)})
				e := overlay.Endpoint{ID: fmt.Sprintf("e%d", i), Network: "net", Node: "h0", MAC: overlay.MACFromAddr(addr), IPv4: addr}
				if i < n {
					host.Ports[e.ID] = flows.Port{Network: "net", OFPort: uint32(11 + i)}
				} else {
					e.Node = "h1"
				}
				edit.SetEndpoint(e)
			}
			at := journey.Bridge{Snapshot: edit.Snapshot(), Host: host, Route: route}
			desired := flows.Compile(at.Snapshot, host, route)
			s.do(flows.Delta{Add: desired})
			from, _ := at.Snapshot.Endpoint("net", "e7")
			to, _ := at.Snapshot.Endpoint("net", fmt.Sprintf("e%d", n))
			packets, err := journey.Packets(from, to, journey.Wish{})
			if err != nil {
				b.Fatal(err)
			}
			question := journey.Question{Frame: packets[1].Frame.Match().String(), Endpoint: &journey.EndpointName{Network: "net", Endpoint: "e7"}}
			passes := func(b *testing.B, disagreements int) {
				for b.Loop() {
					p, err := agent.Passage(b.Context(), bridge, s.client, at, journey.ByAgent, question)
					if err != nil || p.Installed == nil || len(p.Installed.Steps) != 4 || len(p.Disagreements) != disagreements {
						b.Fatalf("passage %+v, error %v", p, err)
					}
				}
				b.ReportMetric(float64(len(desired)), "flows")
			}
			b.Run("agreed", func(b *testing.B) { passes(b, 0) })
			b.Run("disagreed", func(b *testing.B) {
				s.appctl("tnl/neigh/flush")
				passes(b, 1)
			})
		})
	}
}
