package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/journey"
)

// testLive: what the trace says of a packet, a packet does, and every flow on its way counts it.
func (w traced) testLive(t *testing.T) {
	for _, c := range []struct {
		to    container
		args  []string
		hosts string
		times []string
	}{
		{w.two, nil, "h2 h3", []string{"there and back", "by two clocks"}},
		{w.near, nil, "h2", []string{"there and back", "by h2's clock"}},
		{w.two, []string{"--proto", "tcp", "--dport", "81"}, "h2 h3", []string{"by two clocks"}},
		{w.two, []string{"--proto", "udp"}, "h2 h3", []string{"by two clocks"}},
		{w.two, []string{"--proto", "arp"}, "h2", []string{"until the answer, by h2's clock"}},
	} {
		// From whatever host it is asked.
		told, status := w.trace(t, w.h3, append([]string{w.one.addr, c.to.addr, "--live"}, c.args...)...)
		sent := told.Live
		if sent == nil || !sent.Delivered || status != 0 {
			t.Errorf("to %s, %v: exit status %d, %+v", c.to.name, c.args, status, sent)
			continue
		}
		if got := movedOn(sent.Moved); got != c.hosts {
			t.Errorf("to %s, %v: flows on %q counted it, want %q: %+v", c.to.name, c.args, got, c.hosts, sent.Moved)
		}
		for _, word := range c.times {
			if !strings.Contains(strings.Join(sent.Times, "\n"), word) {
				t.Errorf("to %s, %v: the times do not say %q: %v", c.to.name, c.args, word, sent.Times)
			}
		}
	}
	t.Run("troubles nobody", w.testHarmless)
	t.Run("is dropped", w.testLiveDropped)
	refused(t, w.h2, []string{"no packet is sent in another's name"}, "ovsnet", "flows", "trace", "--network", "web", w.one.addr, w.two.addr, "--live", "--from-ip", "10.80.0.99")
	refused(t, w.h2, []string{"in different networks"}, "ovsnet", "flows", "trace", w.one.addr, w.other.addr, "--live")
}

// movedOn are the hosts on which all flows that a packet met have counted.
func movedOn(list []journey.Moved) string {
	var moved []string
	for _, m := range list {
		if m.By() == 0 {
			return "only some: " + strings.Join(moved, " ")
		}
		if len(moved) == 0 || moved[len(moved)-1] != m.Node {
			moved = append(moved, m.Node)
		}
	}
	return strings.Join(moved, " ")
}

// testHarmless: probes of UDP and TCP come to no program, even where one listens on their port.
func (w traced) testHarmless(t *testing.T) {
	server := w.two.listen(t, w.two.addr+":5300")
	if told, status := w.trace(t, w.h2, w.one.addr, w.two.addr, "--live", "--proto", "udp", "--dport", "5300"); status != 0 {
		t.Errorf("exit status %d, %+v", status, told.Live)
	}
	// What came is there by now: the kernel queues it, or throws it away, as it comes.
	if err := server.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := server.ReadFrom(make([]byte, 2048)); err == nil {
		t.Errorf("a program got %d bytes of a probe", n)
	}
	established := w.two.run(t, "cat", "/proc/net/snmp")
	if told, status := w.trace(t, w.h2, w.one.addr, w.two.addr, "--live", "--proto", "tcp", "--dport", "5300"); status != 0 {
		t.Errorf("exit status %d, %+v", status, told.Live)
	}
	if sent := func(text string) string { return snmp(text, "Tcp", "OutRsts") }; sent(established) != sent(w.two.run(t, "cat", "/proc/net/snmp")) {
		t.Error("a probe of TCP was answered with a reset")
	}
}

// snmp is one of the counters of /proc/net/snmp.
func snmp(text, proto, name string) string {
	var names []string
	for line := range strings.SplitSeq(text, "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] != proto+":":
		case names == nil:
			names = words
		default:
			return words[slices.Index(names, name)]
		}
	}
	return "nothing"
}

// testLiveDropped: where a packet ends, and which flow counted it there. No agent on the way is held still, since it has
// to answer; the flow that spoils the way is somebody else's, which agents leave.
func (w traced) testLiveDropped(t *testing.T) {
	spoil := foreignDrop("table=60,priority=999,udp")(t, nil)
	has := installed(t, w.h3)
	change(t, w.h3, spoil)
	defer change(t, w.h3, undo(has, spoil))
	told, status := w.trace(t, w.h2, w.one.addr, w.two.addr, "--live", "--proto", "udp")
	if status != 1 || told.Live == nil || !strings.Contains(told.Live.Text, "dropped on h3 in "+flows.Forward.String()) {
		t.Errorf("exit status %d, %+v", status, told.Live)
	}
}
