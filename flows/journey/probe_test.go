package journey_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
)

// someToken is a probe's.
func someToken() [journey.TokenSize]byte { return [journey.TokenSize]byte{1, 2, 3, 4, 5, 6, 7, 8} }

// A probe is small, says what it is, ends with its token, and nothing of it is the asker's choice but ports.
func TestProbe(t *testing.T) {
	w := newWorld(t)
	from, to := w.endpoint("web-1"), w.endpoint("web-2")
	for _, c := range []struct {
		wish    journey.Wish
		text    string
		answers bool
	}{
		{journey.Wish{}, "ovsnet flows trace --live ", true},
		{journey.Wish{Proto: "icmp"}, "ovsnet flows trace --live ", true},
		{journey.Wish{DPort: 443}, "ovsnet flows trace --live ", false},
		{journey.Wish{Proto: "udp"}, "ovsnet flows trace --live ", false},
		{journey.Wish{Proto: "arp"}, "ovsnet flo", true},
	} {
		probe, err := journey.NewProbe(from, to, c.wish, someToken())
		if err != nil {
			t.Fatal(err)
		}
		s, err := probe.Sendable(w.snapshot)
		if err != nil {
			t.Fatal(err)
		}
		token := someToken()
		if !bytes.HasSuffix(s.Frame, append([]byte(c.text), token[:]...)) || len(s.Frame) > 100 || s.Answers != c.answers || s.Token != token || s.From.ID != "web-1" || s.To.ID != "web-2" {
			t.Errorf("%+v: %+v", c.wish, s)
		}
	}
}

// What a request may not say is refused, by who asks and by who is asked.
func TestProbesAreRefused(t *testing.T) {
	w := newWorld(t)
	from, to := w.endpoint("web-1"), w.endpoint("web-2")
	good, err := journey.NewProbe(from, to, journey.Wish{}, someToken())
	if err != nil {
		t.Fatal(err)
	}
	for said, try := range map[string]func() error{
		"another's name": func() error {
			_, err := journey.NewProbe(from, to, journey.Wish{SrcMAC: to.MAC}, someToken())
			return err
		},
		"no packet is sent in": func() error {
			_, err := journey.NewProbe(from, to, journey.Wish{SrcAddr: netip.MustParseAddr("10.10.0.99")}, someToken())
			return err
		},
		"to endpoints only": func() error {
			_, err := journey.NewProbe(from, to, journey.Wish{DstMAC: from.MAC}, someToken())
			return err
		},
		"in different networks": func() error {
			_, err := journey.NewProbe(from, w.endpoint("db-1"), journey.Wish{}, someToken())
			return err
		},
		"to himself":       func() error { _, err := journey.NewProbe(from, from, journey.Wish{}, someToken()); return err },
		"of its network":   func() error { p := good; p.To.Network = "db"; _, err := p.Sendable(w.snapshot); return err },
		"not know both":    func() error { p := good; p.To.Endpoint = "nobody"; _, err := p.Sendable(w.snapshot); return err },
		"8 bytes in hex":   func() error { p := good; p.Token = "0102"; _, err := p.Sendable(w.snapshot); return err },
		"unknown protocol": func() error { p := good; p.Proto = "sctp"; _, err := p.Sendable(w.snapshot); return err },
		"it has no IPv6":   func() error { p := good; p.IPv6 = true; _, err := p.Sendable(w.snapshot); return err },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), said) || !overlay.IsKind(err, overlay.Invalid) && !overlay.IsKind(err, overlay.Missing) {
			t.Errorf("%s: error %v", said, err)
		}
	}
}

// countedOn is a flow's counter on a host.
func countedOn(node string, table flows.TableID, before, after uint64, reason string, ends bool) journey.Moved {
	return journey.Moved{Node: node, Table: table, TableName: table.String(), Reason: reason, Before: before, After: after, Ends: ends}
}

// What became of a probe is told by who heard it, by how long that took in whose clock, and by what counted it.
func TestJudge(t *testing.T) {
	w := newWorld(t)
	across, err := w.walker().Trace(t.Context(), w.endpoint("web-1"), w.endpoint("web-2"), journey.Wish{})
	if err != nil {
		t.Fatal(err)
	}
	within, err := w.walker().Trace(t.Context(), w.endpoint("web-1"), w.endpoint("web-4"), journey.Wish{})
	if err != nil {
		t.Fatal(err)
	}
	sent := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	at := func(us int) time.Time { return sent.Add(time.Duration(us) * time.Microsecond) }
	first, second := countedOn("h1", flows.Classify, 3, 4, "packets from web-1", false), countedOn("h1", flows.Forward, 7, 8, "through the tunnel to web-2", false)
	third := countedOn("h2", flows.Classify, 1, 1, "tunnel packets from h1", false)
	dropped := countedOn("h2", flows.TunnelIn, 1, 2, "drop: tunnel packets of networks without an endpoint here", true)
	arp := journey.Probe{Proto: "arp"}
	for _, c := range []struct {
		name  string
		trace journey.Trace
		live  journey.Live
		good  bool
		text  string
		times string
	}{
		{"answered", across, journey.Live{Sending: journey.Sending{Sent: sent, Answered: at(900)}, Arrival: journey.Arrival{At: at(400)}}, true,
			"delivered to web-2 (10.10.0.3) in web, on h2",
			"0.40 ms from the sender's switch port to the receiver's, by two clocks, as far as those of h1 and h2 agree; 0.90 ms there and back, with the receiver's answer, by h1's clock"},
		{"within a host", within, journey.Live{Sending: journey.Sending{Sent: sent}, Arrival: journey.Arrival{At: at(400)}}, true,
			"delivered to web-4 (10.10.0.5) in web, on h1", "0.40 ms from the sender's switch port to the receiver's, by h1's clock"},
		{"ARP", across, journey.Live{Probe: arp, Sending: journey.Sending{Sent: sent, Answered: at(100)}}, true,
			"answered: the sender was told the address of web-2 (10.10.0.3) in web, on h2", "0.10 ms until the answer, by h1's clock"},
		{"ARP, unanswered", across, journey.Live{Probe: arp, Sending: journey.Sending{Sent: sent}}, false,
			"not answered: the sender was not told the address of web-2 (10.10.0.3) in web, on h2; which flows counted it is not known", ""},
		{"counted by nobody", across, journey.Live{Sending: journey.Sending{Sent: sent}, Moved: []journey.Moved{third}}, false,
			"not delivered to web-2 (10.10.0.3) in web, on h2; no flow counted it", ""},
		{"dropped", across, journey.Live{Sending: journey.Sending{Sent: sent}, Moved: []journey.Moved{first, second, dropped}}, false,
			"not delivered to web-2 (10.10.0.3) in web, on h2: dropped on h2 in TunnelIn; the flow that counted it: tunnel packets of networks without an endpoint here", ""},
		{"lost between hosts", across, journey.Live{Sending: journey.Sending{Sent: sent}, Moved: []journey.Moved{first, second, third}}, false,
			"not delivered to web-2 (10.10.0.3) in web, on h2: the last flow that counted it is on h1 in Forward, through the tunnel to web-2; it was lost between h1 and h2: see the path between the hosts, its MTU, firewalls, and ovsnet status on h2", ""},
		{"lost in a host", across, journey.Live{Sending: journey.Sending{Sent: sent}, Moved: []journey.Moved{first, second}}, false,
			"not delivered to web-2 (10.10.0.3) in web, on h2: the last flow that counted it is on h1 in Forward, through the tunnel to web-2, which sent it on; it did not come out of the switch there", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.live.Judge(c.trace)
			if c.live.Delivered != c.good || c.live.Text != c.text || strings.Join(c.live.Times, "; ") != c.times {
				t.Errorf("delivered %v\n%s\n%s", c.live.Delivered, c.live.Text, strings.Join(c.live.Times, "; "))
			}
		})
	}
}

// Counters are told of the flows that the packet meets, in their order, and are settled when each has moved.
func TestCounters(t *testing.T) {
	step := func(table flows.TableID, match string, packets uint64) journey.Step {
		return journey.Step{Table: table, TableName: table.String(), Match: match, Packets: packets, Reason: "for " + match}
	}
	walk := func(first, second uint64) journey.Walk {
		return journey.Walk{Passages: []journey.Passage{
			{Node: "h1", Installed: &journey.Way{Steps: []journey.Step{step(flows.Classify, "in_port=2", first)}, Exits: []journey.Exit{{Port: 1}}}},
			{Node: "h2", Installed: &journey.Way{Steps: []journey.Step{step(flows.Classify, "in_port=1", second)}}},
			{Node: "h3"},
		}}
	}
	moved := journey.Counters(walk(3, 5), walk(4, 5))
	if len(moved) != 2 || moved[0].By() != 1 || moved[1].By() != 0 || moved[0].Ends || !moved[1].Ends || journey.Settled(moved) {
		t.Errorf("%+v", moved)
	}
	if moved = journey.Counters(walk(3, 5), walk(4, 7)); !journey.Settled(moved) {
		t.Errorf("%+v", moved)
	}
	// What nobody looked at before has no counter that moved: the host did not tell, or the packet met another flow.
	untold := walk(3, 5)
	untold.Passages[1].Installed = nil
	if moved = journey.Counters(untold, walk(4, 7)); len(moved) != 1 || moved[0].Node != "h1" {
		t.Errorf("%+v", moved)
	}
	// Somebody put a flow anew, and its counter began again.
	if moved = journey.Counters(walk(3, 5), walk(1, 7)); moved[0].By() != 0 {
		t.Errorf("%+v", moved)
	}
}
