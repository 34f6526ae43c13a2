package agent

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
	"github.com/ovsnet/ovsnet/tunnel"
)

func (d *told) Report(context.Context) (topology.Report, error) {
	return topology.Report{Ready: true, Paths: []topology.Path{{Peer: "h2", Sent: 5, Received: 5, Mean: 0.25}}}, d.err
}

func (d *told) Traffic(context.Context) (topology.Traffic, error) {
	return topology.Traffic{Node: "h1", Endpoints: []topology.EndpointTraffic{{Endpoint: "web-1", FromBytes: 7}}}, d.err
}

func TestReportsTravel(t *testing.T) {
	d := &told{}
	for name, i := range map[string]Inspector{"socket": serveControl(t, d).Inspector, "request": NewInspector(direct{d})} {
		if r, err := i.Report(t.Context()); err != nil || !r.Ready || r.Paths[0].Mean != 0.25 {
			t.Errorf("%s: report %+v, %v", name, r, err)
		}
		if r, err := i.Traffic(t.Context()); err != nil || r.Endpoints[0].FromBytes != 7 {
			t.Errorf("%s: traffic %+v, %v", name, r, err)
		}
	}
}

// hostsOfWeb are h1 to h3, of which the first two have endpoints of one network.
func hostsOfWeb() *overlay.Snapshot {
	edit := overlay.NewSnapshot().Edit()
	edit.SetNetwork(overlay.Network{ID: "web", Name: "web", VNI: 4096})
	for i, name := range []string{"h1", "h2", "h3"} {
		edit.SetNode(overlay.Node{Name: name, VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}})
		if i < 2 {
			edit.SetEndpoint(overlay.Endpoint{ID: name, Network: "web", Node: name})
		}
	}
	return edit.Snapshot()
}

// Who asks soon again is told the same, and a host without peers sends nothing.
func TestSurvey(t *testing.T) {
	asked := 0
	var failed error
	s := NewSurvey(func(_ context.Context, from netip.Addr, peers []netip.Addr) ([]tunnel.Echoes, error) {
		asked++
		if from != netip.MustParseAddr("192.0.2.1") || len(peers) != 1 || peers[0] != netip.MustParseAddr("192.0.2.2") {
			t.Errorf("from %s to %v", from, peers)
		}
		return []tunnel.Echoes{{Sent: 4, RTTs: []time.Duration{300 * time.Microsecond, 100 * time.Microsecond}, Err: errors.New("no buffer space")}}, failed
	})
	web := hostsOfWeb()
	self, _ := web.Node("h1")
	failed = errors.New("not permitted")
	for range 3 {
		if _, _, err := s.Paths(t.Context(), self, web); !errors.Is(err, failed) || asked != 1 {
			t.Errorf("asked %d times, error %v", asked, err)
		}
	}
	failed = nil
	s.at = s.at.Add(-surveyFresh)
	for range 3 {
		paths, others, err := s.Paths(t.Context(), self, web)
		want := []topology.Path{{Peer: "h2", Address: netip.MustParseAddr("192.0.2.2"), Sent: 4, Received: 2, Mean: 0.2, Min: 0.1, Max: 0.3, Problem: "no buffer space"}}
		if diff := cmp.Diff(want, paths, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); err != nil || others != 0 || diff != "" {
			t.Errorf("%d others, %v: %s", others, err, diff)
		}
	}
	if asked != 2 {
		t.Errorf("measured %d times, of which one failed", asked)
	}
	lonely, _ := web.Node("h3")
	if paths, _, err := NewSurvey(nil).Paths(t.Context(), lonely, web); err != nil || len(paths) != 0 {
		t.Errorf("%v, %v", paths, err)
	}
}

func TestSpoofedByEndpoint(t *testing.T) {
	ports := map[string]flows.Port{"web-1": {Network: "web", OFPort: 2}, "web-2": {Network: "web", OFPort: 3}}
	var installed []flows.Installed
	for _, line := range []string{
		"cookie=0x0, table=20, n_packets=100, n_bytes=1, priority=10,in_port=2 actions=drop",
		"cookie=%s, table=20, n_packets=5, n_bytes=1, priority=10,in_port=2 actions=drop",
		"cookie=%s, table=20, n_packets=6, n_bytes=1, priority=10,in_port=9 actions=drop",
		"cookie=%s, table=60, n_packets=7, n_bytes=1, priority=10,in_port=3 actions=drop",
	} {
		f, err := flows.ParseLine(line)
		if err != nil {
			f, err = flows.ParseLine("cookie=0x0" + line[len("cookie=%s"):])
			f.Cookie = flows.Why{Rule: flows.Spoofed, Network: "web", Endpoint: "web-1", Node: "h1"}.Cookie()
		}
		if err != nil {
			t.Fatal(err)
		}
		installed = append(installed, f)
	}
	if diff := cmp.Diff(map[string]uint64{"web-1": 5}, SpoofedByEndpoint(ports, installed)); diff != "" {
		t.Error(diff)
	}
}
