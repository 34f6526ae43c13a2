package agent

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
)

func (d *told) Expect(context.Context, journey.Probe) error { return d.err }

func (d *told) Arrival(_ context.Context, p journey.Probe) (journey.Arrival, error) {
	return journey.Arrival{At: time.Unix(int64(len(p.Token)), 0)}, d.err
}

func (d *told) Send(_ context.Context, p journey.Probe) (journey.Sending, error) {
	return journey.Sending{Sent: time.Unix(int64(p.DPort), 0)}, d.err
}

func (d *told) Passage(_ context.Context, q journey.Question) (journey.Passage, error) {
	d.passages++
	return journey.Passage{Node: "h1", Source: journey.ByAgent, Packet: q.Frame}, d.err
}

// someBridge has one endpoint, at port 2, in a network without others.
func someBridge() journey.Bridge {
	addr := netip.MustParseAddr("10.0.0.2")
	edit := overlay.NewSnapshot().Edit()
	edit.SetNode(overlay.Node{Name: "h1", VTEPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	edit.SetNetwork(overlay.Network{ID: "web", Name: "web", VNI: 4096})
	edit.SetEndpoint(overlay.Endpoint{ID: "web-1", Network: "web", Node: "h1", MAC: overlay.MACFromAddr(addr), IPv4: addr})
	return Observation{Tunnel: 1, Ports: []Port{{Endpoint: "web-1", Network: "web", OFPort: 2}, {Endpoint: "later", Network: "web"}}}.
		Bridge(edit.Snapshot(), "h1", func(overlay.Node) (netip.Addr, bool) { return netip.Addr{}, false })
}

func someQuestion() journey.Question {
	return journey.Question{
		Frame:    "icmp,dl_src=02:42:0a:00:00:02,dl_dst=02:42:0a:00:00:03,nw_src=10.0.0.2,nw_dst=10.0.0.3,icmp_type=8",
		Endpoint: &journey.EndpointName{Network: "web", Endpoint: "web-1"},
	}
}

// dumbSwitch is a Tracer that has no flows.
type dumbSwitch struct {
	trace string
	err   error
	asked []string
}

func (d *dumbSwitch) Ports(context.Context) (string, error) {
	return "netdev@ovs-netdev: hit:0 missed:0\n  br-ovsnet:\n    br-ovsnet 65534/1: (tap)\n    ovsn1 2/3: (system)\n", d.err
}

func (d *dumbSwitch) Trace(_ context.Context, packet string) (string, error) {
	d.asked = append(d.asked, packet)
	return d.trace, d.err
}

func (d *dumbSwitch) Find(context.Context, flows.TableID, uint64) ([]flows.Installed, error) {
	return nil, d.err
}

const noFlows = "Flow: icmp,in_port=2\n\nbridge(\"br-ovsnet\")\n-------------------\n 0. No match.\n    drop\n\nFinal flow: unchanged\nMegaflow: recirc_id=0\nDatapath actions: drop\n"

func TestPassage(t *testing.T) {
	sw := &dumbSwitch{trace: noFlows}
	p, err := Passage(t.Context(), "br-ovsnet", sw, someBridge(), journey.ByAgent, someQuestion())
	if err != nil || p.Installed == nil || len(p.Disagreements) == 0 || !strings.Contains(p.Findings[0].Text, "flow missing") {
		t.Errorf("passage %+v, error %v", p, err)
	}
	// The second question is that with all flows in view, as the engines disagree.
	if len(sw.asked) != 2 || sw.asked[0] != sw.asked[1] || !strings.HasPrefix(sw.asked[0], "icmp,in_port=2,dl_src=02:42:0a:00:00:02") {
		t.Errorf("Open vSwitch was asked %q", sw.asked)
	}
	for said, sw := range map[string]*dumbSwitch{"does not answer": {err: errors.New("does not answer")}, "trace by Open vSwitch, line 1": {trace: "what?"}} {
		p, err := Passage(t.Context(), "br-ovsnet", sw, someBridge(), journey.ByAgent, someQuestion())
		if err != nil || p.Installed != nil || !strings.Contains(p.Unasked, said) || len(p.Desired.Steps) != 4 {
			t.Errorf("%s: passage %+v, error %v", said, p, err)
		}
	}
	if p, err = Passage(t.Context(), "br-other", sw, someBridge(), journey.ByAgent, someQuestion()); err != nil || !strings.Contains(p.Unasked, "br-other") {
		t.Errorf("another bridge: passage %+v, error %v", p, err)
	}
	if _, err := Passage(t.Context(), "br-ovsnet", sw, someBridge(), journey.ByAgent, journey.Question{}); !overlay.IsKind(err, overlay.Invalid) {
		t.Errorf("an empty question: error %v", err)
	}
	if _, err := NewLoop(Config{Node: "h1"}, Parts{}).Passage(t.Context(), "br-ovsnet", sw, someQuestion()); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("before any flows: error %v", err)
	}
}

func TestPassageTravelsTheSame(t *testing.T) {
	d := &told{}
	for name, i := range map[string]Inspector{"socket": serveControl(t, d).Inspector, "request": NewInspector(direct{d})} {
		if p, err := i.Passage(t.Context(), someQuestion()); err != nil || p.Packet != someQuestion().Frame {
			t.Errorf("%s: passage %+v, error %v", name, p, err)
		}
	}
}

// Whom a command asks: this host's agent, or the host itself where that is away,
// and of other hosts the agents, each only once where it is silent.
func TestHostsAreAsked(t *testing.T) {
	away := overlay.Refuse(overlay.Unavailable, "agent", "", "does not answer")
	local, other := &told{}, &told{}
	reads := 0
	h := &Hosts{
		Here: "the kernel's name", Agent: NewInspector(direct{local}), Remote: func(string) Inspector { return NewInspector(direct{other}) }, Patience: time.Minute,
		Read:   func(context.Context) (journey.Bridge, error) { reads++; return someBridge(), nil },
		Bridge: "br-ovsnet", Tracer: &dumbSwitch{trace: noFlows},
	}
	if h.Settle(t.Context()); h.Here != "h1" {
		t.Errorf("this host is %s", h.Here)
	}
	ask := func(node string) (journey.Passage, error) { return h.Pass(t.Context(), node, someQuestion()) }
	if p, err := ask("h1"); err != nil || p.Source != journey.ByAgent || reads != 0 {
		t.Errorf("this host: passage %+v, error %v, read %d times", p, err, reads)
	}
	local.err = overlay.Refuse(overlay.Missing, "endpoint", "", "no port")
	if _, err := ask("h1"); !overlay.IsKind(err, overlay.Missing) || reads != 0 {
		t.Errorf("what the agent refuses: error %v, read %d times", err, reads)
	}
	local.err, local.passages = away, 0
	for range 2 {
		if p, err := ask("h1"); err != nil || p.Source != journey.ByHost || p.Installed == nil {
			t.Errorf("without its agent: passage %+v, error %v", p, err)
		}
	}
	other.err = away
	for range 2 {
		if _, err := ask("h2"); !overlay.IsKind(err, overlay.Unavailable) {
			t.Errorf("another host: error %v", err)
		}
	}
	if reads != 2 || local.passages != 1 || other.passages != 1 {
		t.Errorf("read %d times, asked here %d times and there %d times", reads, local.passages, other.passages)
	}
}

// An agent that holds its socket open and says nothing is waited for once.
func TestAMuteAgentIsWaitedForOnce(t *testing.T) {
	mute := &told{}
	h := &Hosts{
		Here: "h1", Agent: NewInspector(muteCarrier{mute}), Read: func(context.Context) (journey.Bridge, error) { return someBridge(), nil },
		Bridge: "br-ovsnet", Tracer: &dumbSwitch{trace: noFlows},
	}
	h.Settle(t.Context())
	for range 2 {
		if p, err := h.Pass(t.Context(), "h1", someQuestion()); err != nil || p.Source != journey.ByHost {
			t.Errorf("passage %+v, error %v", p, err)
		}
	}
	if mute.passages != 1 || h.Here != "h1" {
		t.Errorf("%s was asked %d times", h.Here, mute.passages)
	}
}

// muteCarrier says nothing until the asker gives up.
type muteCarrier struct{ *told }

func (m muteCarrier) Carry(ctx context.Context, _ string, _ []byte) (io.ReadCloser, error) {
	m.passages++
	<-ctx.Done()
	return nil, ctx.Err()
}
