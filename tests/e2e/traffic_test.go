package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// printed is what a command prints while it runs.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write takes what is printed.
func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// background is a command that runs on a host until it is stopped, or the test ends.
type background struct {
	printed
	cmd    *exec.Cmd
	cancel context.CancelFunc
}

func inBackground(t *testing.T, h *lab.Host, argv ...string) *background {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	b := &background{cmd: h.Command(ctx, argv...), cancel: cancel}
	b.cmd.Stdout, b.cmd.Stderr = b, b
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.stop)
	return b
}

// stop ends the command and waits until all it printed is there. How it ended says nothing.
func (b *background) stop() {
	b.cancel()
	_ = b.cmd.Wait()
}

// traffic is a ping every 20 ms and a stream of TCP, both from one container to another.
type traffic struct {
	from, to     container
	ping, stream *background
}

// streamPiece is how long the stream must not stand still.
const streamPiece = slowness * time.Second

// streaming is a stream in small pieces: the sockets through which the userspace datapath takes packets from containers
// hold about ninety, and whatever stops ovs-vswitchd's thread for a moment, as other work of this machine may, would
// make larger bursts overflow them.
func streaming(to string) []string {
	return []string{"iperf3", "-c", to, "-t", "3600", "-b", "2M", "-l", "1K", "-i", fmt.Sprint(streamPiece.Seconds()), "-f", "k", "--forceflush"}
}

// startTraffic returns when both flow, so that nothing of the way is to be found out any more.
func startTraffic(t *testing.T, from, to container) *traffic {
	t.Helper()
	from.waitReaches(t, to.addr)
	to.run(t, "sh", "-c", "iperf3 -s -D")
	eventually(t, "iperf3 listens", func() (string, bool) {
		out, err := to.try(t, "sh", "-c", `cat /proc/net/tcp /proc/net/tcp6 | grep -i ":1451 0*:0000 0A"`)
		return out, err == nil
	})
	tr := &traffic{from: from, to: to}
	tr.stream = inBackground(t, from.host, append([]string{"docker", "exec", from.name}, streaming(to.addr)...)...)
	t.Cleanup(tr.stop)
	tr.ping = inBackground(t, from.host, "docker", "exec", from.name, "ping", "-i", "0.02", to.addr)
	tr.more(t)
	return tr
}

// more waits until more of both has passed.
func (tr *traffic) more(t *testing.T) {
	t.Helper()
	pings, pieces := len(tr.answers()), len(tr.pieces())
	eventually(t, "traffic passes", func() (string, bool) {
		return "ping: " + tail(tr.ping.String()) + "\nstream: " + tail(tr.stream.String()), len(tr.answers()) > pings+10 && len(tr.pieces()) > pieces+1
	})
}

func tail(text string) string { return text[max(0, len(text)-300):] }

// answers are the sequence numbers of the pings that were answered.
func (tr *traffic) answers() []int {
	var list []int
	for _, m := range regexp.MustCompile(`icmp_seq=(\d+) ttl`).FindAllStringSubmatch(tr.ping.String(), -1) {
		n, _ := strconv.Atoi(m[1])
		list = append(list, n)
	}
	return list
}

// pieces are what the stream carried in each streamPiece, in kbit/s.
func (tr *traffic) pieces() []float64 {
	var list []float64
	for line := range strings.Lines(tr.stream.String()) {
		if m := regexp.MustCompile(`sec .* ([0-9.]+) Kbits/sec`).FindStringSubmatch(line); m != nil {
			rate, _ := strconv.ParseFloat(m[1], 64)
			list = append(list, rate)
		}
	}
	return list
}

// stop ends all of it, in the containers too: docker passes no signal on to what it executes there.
func (tr *traffic) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	for _, c := range []container{tr.from, tr.to} {
		// What has ended by itself shows in what is missing.
		_, _ = c.host.Run(ctx, "docker", "exec", c.name, "killall", "-q", "ping", "iperf3")
	}
	tr.ping.stop()
	tr.stream.stop()
}

// answered ends the traffic and fails unless every ping was answered, the last of them counting that was.
func (tr *traffic) answered(t *testing.T) {
	t.Helper()
	tr.more(t)
	tr.stop()
	answered := map[int]bool{}
	last := 0
	for _, n := range tr.answers() {
		answered[n], last = true, max(last, n)
	}
	var lost []int
	for n := 1; n <= last; n++ {
		if !answered[n] {
			lost = append(lost, n)
		}
	}
	if len(lost) > 0 {
		t.Errorf("%d of %d pings were lost: %v", len(lost), last, lost)
	} else {
		t.Logf("all of %d pings were answered", last)
	}
}

// unharmed is answered, and fails also if the stream stood still.
func (tr *traffic) unharmed(t *testing.T) {
	t.Helper()
	tr.more(t)
	pieces := tr.pieces()
	tr.answered(t)
	if slices.Contains(pieces, 0) {
		t.Errorf("the stream stood still: in each %s it carried %v kbit/s", streamPiece, pieces)
	} else {
		t.Logf("the stream passed %s without standing still, at %.0f to %.0f kbit/s in each %s", time.Duration(len(pieces))*streamPiece, slices.Min(pieces), slices.Max(pieces), streamPiece)
	}
}

// flowEvents follows what happens to the flows on a host from now on.
func flowEvents(t *testing.T, h *lab.Host) *background {
	t.Helper()
	b := inBackground(t, h, "ovs-ofctl", "-vofctl:console:dbg", "-O", "OpenFlow14", "monitor", bridge, "watch:!initial")
	eventually(t, "the flow monitor begins", func() (string, bool) { return b.String(), strings.Contains(b.String(), " packet in format ") })
	// A flow of the test's own shows that the monitor sees, and marks where it begins.
	run(t, h, "ovs-ofctl", "-O", "OpenFlow14", "add-flow", bridge, "table=250,actions=drop")
	eventually(t, "the flow monitor sees a flow come", func() (string, bool) { return b.String(), strings.Contains(b.String(), "event=ADDED") })
	run(t, h, "ovs-ofctl", "-O", "OpenFlow14", "--strict", "del-flows", bridge, "table=250")
	eventually(t, "the flow monitor sees a flow go", func() (string, bool) { return b.String(), strings.Contains(b.String(), "event=DELETED") })
	return b
}

// events are what a monitor has seen besides the test's own flow.
func events(b *background) []string {
	var list []string
	lines := bufio.NewScanner(strings.NewReader(b.String()))
	for lines.Scan() {
		if line := lines.Text(); strings.Contains(line, "event=") && !strings.Contains(line, "table=250") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// undisturbed fails unless every flow of before is still the same: none removed, added again or counted from zero.
func undisturbed(t *testing.T, h *lab.Host, before flowAges, monitor *background) {
	t.Helper()
	after := agesOf(t, h)
	if list := events(monitor); len(list) > 0 {
		t.Errorf("flows changed on %s:\n%s", h.Name, strings.Join(list, "\n"))
	}
	if len(after.flows) != len(before.flows) {
		t.Errorf("%d flows on %s, there were %d", len(after.flows), h.Name, len(before.flows))
	}
	// At least this long; Open vSwitch rounds what it tells of ages.
	passed := after.after.Sub(before.before)
	for i, was := range before.flows {
		if i >= len(after.flows) {
			break
		}
		is := after.flows[i]
		older := is.Duration - was.Duration
		if is.Flow.String() != was.Flow.String() || is.Packets < was.Packets || older < passed-time.Second {
			t.Errorf("on %s in %s\n  %s, %d packets, age %s, became\n  %s, %d packets, age %s", h.Name, passed, was.Flow, was.Packets, was.Duration, is.Flow, is.Packets, is.Duration)
		}
	}
	t.Logf("%d flows on %s grew %s older with their cookies and counters", len(after.flows), h.Name, passed.Round(time.Millisecond))
}
