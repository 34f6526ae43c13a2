package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/tests/lab"
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
		w.waitLive(t, w.h3, 0, func(sent *journey.Live) bool {
			times := strings.Join(sent.Times, "\n")
			return sent.Delivered && movedOn(sent.Moved) == c.hosts &&
				!slices.ContainsFunc(c.times, func(word string) bool { return !strings.Contains(times, word) })
		}, append([]string{w.one.addr, c.to.addr}, c.args...)...)
	}
	t.Run("troubles nobody", w.testHarmless)
	t.Run("is dropped", w.testLiveDropped)
	refused(t, w.h2, []string{"no packet is sent in another's name"}, "ovsnet", "flows", "trace", "--network", "web", w.one.addr, w.two.addr, "--live", "--from-ip", "10.80.0.99")
	refused(t, w.h2, []string{"in different networks"}, "ovsnet", "flows", "trace", w.one.addr, w.other.addr, "--live")
}

// waitLive sends probes until one ends as it should: a packet is awaited for half a second, which a busy machine may take.
func (w traced) waitLive(t *testing.T, asks *lab.Host, want int, ok func(*journey.Live) bool, args ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("a probe %v ends as it should", args), func() (string, bool) {
		told, status := w.trace(t, asks, append(args, "--live")...)
		return fmt.Sprintf("exit status %d, %+v", status, told.Live), status == want && told.Live != nil && ok(told.Live)
	})
}

func delivered(sent *journey.Live) bool { return sent.Delivered }

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
	w.waitLive(t, w.h2, 0, delivered, w.one.addr, w.two.addr, "--proto", "udp", "--dport", "5300")
	// What came is there by now: the kernel queues it, or throws it away, as it comes.
	if err := server.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := server.ReadFrom(make([]byte, 2048)); err == nil {
		t.Errorf("a program got %d bytes of a probe", n)
	}
	established := w.two.run(t, "cat", "/proc/net/snmp")
	w.waitLive(t, w.h2, 0, delivered, w.one.addr, w.two.addr, "--proto", "tcp", "--dport", "5300")
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
	w.waitLive(t, w.h2, 1, func(sent *journey.Live) bool {
		return strings.Contains(sent.Text, "dropped on h3 in "+flows.Forward.String())
	}, w.one.addr, w.two.addr, "--proto", "udp")
}
