package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// gonePatience is for what an agent ends because nobody asks for it any more, which it notices after 15 seconds.
const gonePatience = statePatience + slowness*15*time.Second

// followed are a host that asks and one that is asked; one is a container there, and two on a third host.
type followed struct {
	traced
	etcd, asked, asks *lab.Host
}

// What happens on a host is seen from another: through etcd, as long as somebody looks, and as it is there.
func TestFollow(t *testing.T) {
	l := up(t, lab.Options{Hosts: 3})
	createNetwork(t, l.Hosts()[:2], "web", "--subnet", "10.10.0.0/24")
	// etcd is in the agent of h1.
	f := followed{etcd: l.Host(1), asked: l.Host(2), asks: l.Host(3)}
	f.one, f.two = runContainer(t, f.asked, "web", "one"), runContainer(t, l.Host(1), "web", "two")
	f.one.waitReaches(t, f.two.addr)
	waitNamed(t, f.asked, "two")
	before := packetSockets(t, f.asked)
	t.Run("changes of the flows", f.testChanges)
	t.Run("packets at an endpoint", f.testEndpoint)
	t.Run("packets in the tunnel", f.testTunnel)
	t.Run("packets as a file", f.testFile)
	t.Run("what may not be", f.testForbidden)
	t.Run("etcd away", f.testEtcdAway)
	t.Run("killed askers", f.testKilled)
	t.Run("the agent starts anew", f.testNewAgent)
	f.nobodyFollows(t)
	if after := packetSockets(t, f.asked); after != before {
		t.Errorf("%s has %d packet sockets, before %d", f.asked.Name, after, before)
	}
}

// packetSockets is how many sockets for packets are open on the host.
func packetSockets(t *testing.T, h *lab.Host) int {
	t.Helper()
	return strings.Count(run(t, h, "cat", "/proc/net/packet"), "\n")
}

// nobodyFollows waits until the agent keeps nothing for others.
func (f followed) nobodyFollows(t *testing.T) {
	t.Helper()
	within(t, gonePatience, "nobody follows anything there", func() (string, bool) {
		text := run(t, f.asked, "ovsnet", "metrics")
		return text, strings.Contains(text, "\novsnet_followings 0\n")
	})
}

// capturing is a capture on the other host, once it captures.
func (f followed) capturing(t *testing.T, args ...string) *background {
	t.Helper()
	return capturing(t, f.asks, append([]string{"--node", f.asked.Name}, args...)...)
}

// interrupted ends the command as ctrl-C does, and returns its exit status.
func interrupted(t *testing.T, b *background) int {
	t.Helper()
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	return (&flowWatch{background: b}).ends(t)
}

// watching is a watch of the flows, once it has told of a change on the host.
func (f followed) watching(t *testing.T, by *lab.Host, args ...string) *background {
	t.Helper()
	b := inBackground(t, by, append([]string{"ovsnet", "flows", "watch"}, args...)...)
	eventually(t, "the watch tells of a change", func() (string, bool) {
		run(t, f.asked, "ovs-ofctl", "add-flow", bridge, "table=250,"+testOwn+",actions=drop")
		run(t, f.asked, "ovs-ofctl", "--strict", "del-flows", bridge, "table=250,"+testOwn)
		return b.String(), strings.Contains(b.String(), testOwn)
	})
	return b
}

// told is what a watch told but for what showed that it had begun.
func told(b *background) string {
	var text strings.Builder
	for line := range strings.Lines(b.String()) {
		if !strings.Contains(line, testOwn) {
			text.WriteString(line)
		}
	}
	return text.String()
}

// testChanges: ovsnet's changes and others' are told in the same words as on the host itself.
func (f followed) testChanges(t *testing.T) {
	for _, format := range []string{"text", "wide", "json"} {
		here := f.watching(t, f.asked, "-o", format)
		there := f.watching(t, f.asks, "--node", f.asked.Name, "-o", format)
		run(t, f.asked, "ovs-ofctl", "add-flow", bridge, "cookie=7,table=60,priority=999,dl_vlan=8,actions=drop")
		run(t, f.asked, "ovs-ofctl", "--strict", "del-flows", bridge, "table=60,priority=999,dl_vlan=8")
		run(t, f.asked, "ovs-ofctl", "del-flows", bridge, "table=60,dl_dst="+macOf(t, f.two))
		eventually(t, "both tell of all changes", func() (string, bool) {
			text, other := told(here), told(there)
			return "here:\n" + text + "there:\n" + other, strings.Count(text, "\n") == 4 && strings.Count(other, "\n") == 4
		})
		text := told(there)
		for _, word := range map[string][]string{
			"text": {"other   added", "not ovsnet's", "ovsnet  added", "through the tunnel to two"}, "wide": {"[cookie=0x7 actions=drop]"}, "json": {`"by":"ovsnet"`, `"cookie":"0x7"`},
		}[format] {
			if !strings.Contains(text, word) {
				t.Errorf("%s: %q is not told:\n%s", format, word, text)
			}
		}
		if got := interrupted(t, there); got != 0 {
			t.Errorf("ended by ctrl-C its exit status is %d", got)
		}
		if diff := cmp.Diff(told(here), text); diff != "" {
			t.Errorf("%s: it is told otherwise (-here +there):\n%s", format, diff)
		}
		here.stop()
	}
	f.nobodyFollows(t)
}

func (f followed) testEndpoint(t *testing.T) {
	ping := []string{"one (" + f.one.addr + ") > two (" + f.two.addr + ")  icmp echo request", "two (" + f.two.addr + ") > one (" + f.one.addr + ")  icmp echo reply"}
	b := f.capturing(t, "one", "--count", "2", "icmp and host "+f.two.addr)
	f.waitPrinted(t, b, append(ping, "capturing one in web on h2, at link ovsn", "2 packets captured, 0 lost")...)
	f.nobodyFollows(t)
	b = f.capturing(t, "one", "-o", "json")
	f.waitPrinted(t, b, `"direction":"from","whom":"one","network":"web"`, `"what":"icmp echo reply`, `"length":98`)
	if got := interrupted(t, b); got != 0 || !strings.Contains(b.String(), " packets captured, 0 lost") {
		t.Errorf("ended by ctrl-C its exit status is %d, it says\n%s", got, b)
	}
	f.nobodyFollows(t)
	// A container that ends is told of, and nothing of it stays open.
	short := runContainer(t, f.asked, "web", "short")
	b = f.capturing(t, short.addr)
	short.remove(t)
	if got := (&flowWatch{background: b}).ends(t); got != 3 || !strings.Contains(b.String(), "it went down, as when its container stops") {
		t.Errorf("exit status %d: %s", got, b)
	}
	f.nobodyFollows(t)
	// The host itself is asked over its agent's socket.
	b = capturing(t, f.asked, "--node", f.asked.Name, "one", "icmp")
	f.waitPrinted(t, b, ping...)
	b.stop()
}

func (f followed) testTunnel(t *testing.T) {
	b := f.capturing(t, "tunnel", "--network", "web", "--vxlan-port", "4790", "icmp[icmptype] == icmp-echo")
	f.waitPrinted(t, b, "capturing network web in the tunnel on h2, UDP port 4789", "web  to   h1  one ("+f.one.addr+") > two ("+f.two.addr+")  icmp echo request")
	b.stop()
	if text := b.String(); strings.Contains(text, "reply") || strings.Contains(text, "arp") {
		t.Errorf("what the filter does not take is there:\n%s", text)
	}
}

// testFile: a file has the headers of packets, and more only where the host shows more.
func (f followed) testFile(t *testing.T) {
	b := inBackground(t, f.asks, "sh", "-c", "ovsnet capture --node h2 one -w - --count 2 icmp | tcpdump -nr -")
	f.waitPrinted(t, b, "IP "+f.one.addr+" > "+f.two.addr+": ICMP echo request", "length 64")
	const file, packet = 24, 16
	for snap, size := range map[string]int{"": 42, "--snap 20": 20, "--snap 128": 42} {
		b := inBackground(t, f.asks, "sh", "-c", "ovsnet capture --node h2 one -w - --count 1 "+snap+" icmp | wc -c")
		f.waitPrinted(t, b, fmt.Sprintf("\n%d\n", file+packet+size))
	}
	refused(t, f.asks, []string{"headers to other hosts and no contents", "--snap 128"}, "ovsnet", "capture", "--node", "h2", "one", "--snap", "200")
	restartAgent(t, f.asked, lab.AgentOptions{Env: []string{"OVSNET_REMOTE_CAPTURE=contents"}}, true)
	b = inBackground(t, f.asks, "sh", "-c", "ovsnet capture --node h2 tunnel -w - --count 1 --snap 90 icmp | wc -c")
	f.waitPrinted(t, b, fmt.Sprintf("\n%d\n", file+packet+90))
	restartAgent(t, f.asked, lab.AgentOptions{Args: []string{"--remote-capture", "off"}}, true)
	refused(t, f.asks, []string{"packets on h2", "--remote-capture off", "run ovsnet capture on that host"}, "ovsnet", "capture", "--node", "h2", "tunnel")
	restartAgent(t, f.asked, lab.AgentOptions{}, true)
}

func (f followed) testForbidden(t *testing.T) {
	for line, words := range map[string][]string{
		"one":                    {"it is on h2", "use --node h2"},
		"one --node h3":          {"it is on h2, and not on h3", "use --node h2"},
		"tunnel --node nix":      {`node "nix"`, "no such node"},
		"one --node h2 --snap 0": {"use 1 to 1500"},
		"one --node h2 inbound":  {"cannot be run for another host"},
	} {
		refused(t, f.asks, words, append([]string{"ovsnet", "capture"}, strings.Fields(line)...)...)
	}
	var all []*background
	for range 4 {
		all = append(all, f.capturing(t, "tunnel"))
	}
	refused(t, f.asks, []string{"following h2", "4 others follow something there"}, "ovsnet", "capture", "--node", "h2", "tunnel")
	for _, b := range all {
		if got := interrupted(t, b); got != 0 {
			t.Errorf("exit status %d: %s", got, b)
		}
	}
	f.nobodyFollows(t)
}

// testEtcdAway: what happens while etcd is away is told when it is back.
func (f followed) testEtcdAway(t *testing.T) {
	b := f.capturing(t, "one", "icmp")
	etcd, err := f.etcd.Process(lab.Agent)
	if err != nil {
		t.Fatal(err)
	}
	if err := etcd.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ended := time.After(5 * time.Second)
	f.one.waitReaches(t, f.two.addr)
	<-ended
	if strings.Contains(b.String(), "icmp") {
		t.Errorf("without etcd it shows\n%s", b)
	}
	if err := etcd.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	within(t, gonePatience, "what happened meanwhile is told", func() (string, bool) {
		return b.String(), strings.Contains(b.String(), "icmp echo reply")
	})
	if got := interrupted(t, b); got != 0 || !strings.Contains(b.String(), " 0 lost") {
		t.Errorf("exit status %d: %s", got, b)
	}
	f.nobodyFollows(t)
}

// testKilled: whoever is killed leaves nothing behind.
func (f followed) testKilled(t *testing.T) {
	before := packetSockets(t, f.asked)
	captures := []*background{f.capturing(t, "one"), f.capturing(t, "tunnel")}
	watch := f.watching(t, f.asks, "--node", f.asked.Name)
	if n := packetSockets(t, f.asked); n != before+2 {
		t.Errorf("with two captures there are %d packet sockets, before %d", n, before)
	}
	if text, _ := try(t, f.asked, "ovsnet", "status"); !strings.Contains(text, "by 3 from elsewhere") {
		t.Errorf("the status does not say who follows:\n%s", text)
	}
	for _, b := range append(captures, watch) {
		b.stop() // by SIGKILL
	}
	f.nobodyFollows(t)
	if n := packetSockets(t, f.asked); n != before {
		t.Errorf("there are %d packet sockets, before %d", n, before)
	}
}

// testNewAgent: an agent that was killed and started anew knows of nobody, and who follows is told.
func (f followed) testNewAgent(t *testing.T) {
	b, w := f.capturing(t, "one"), f.watching(t, f.asks, "--node", f.asked.Name)
	killProcess(t, f.asked, lab.Agent)
	startProcess(t, f.asked, lab.Agent, true)
	for _, b := range []*background{b, w} {
		if got := (&flowWatch{background: b}).ends(t); got != 4 || !strings.Contains(b.String(), `node "h2": its agent has ended this`) {
			t.Errorf("exit status %d, it says\n%s", got, b)
		}
	}
	stopAgent(t, f.asked)
	within(t, gonePatience, "who would follow an agent that is away is told", func() (string, bool) {
		_, err := try(t, f.asks, "ovsnet", "flows", "watch", "--node", f.asked.Name)
		return fmt.Sprint(err), err != nil && strings.Contains(err.Error(), "no sign of life")
	})
	startProcess(t, f.asked, lab.Agent, true)
}
