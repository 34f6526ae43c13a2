package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// Issue 4: what one host's agent knows is asked for on any host, through etcd.
func TestInspect(t *testing.T) {
	l := up(t, lab.Options{})
	h1, h2 := l.Host(1), l.Host(2)
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.80.0.0/24")
	one, near := runContainer(t, h1, "web", "one", "--cap-add", "NET_ADMIN"), runContainer(t, h1, "web", "near")
	two := runContainer(t, h2, "web", "two")
	one.waitReaches(t, two.addr)
	near.waitReaches(t, two.addr)
	leavesNothing(t, l, openCluster(t, l), func() {
		t.Run("the page", func(t *testing.T) { testPipelinePage(t, h1, one, near, two) })
		t.Run("flows ls", func(t *testing.T) { testFilters(t, one, two) })
		t.Run("flows explain", func(t *testing.T) { testExplain(t, h1, two) })
		t.Run("flows diff", func(t *testing.T) { testDiff(t, l, two) })
		t.Run("--node", func(t *testing.T) { testOtherNode(t, h1, h2) })
	})
}

// flowLine is what the tests read of a listed flow.
type flowLine struct {
	Table     int
	TableName string `json:"table_name"`
	Priority  int
	Match     string
	Actions   string
	Packets   uint64
	Rule      string
	Network   string
	Endpoint  string
	Node      string
	Reason    string
	State     string
}

func (f flowLine) key() string { return f.TableName + " " + f.Match + " " + f.Actions }

// testFilters: a list can be narrowed to what an operator asks for, and colours are for terminals.
func testFilters(t *testing.T, one, two container) {
	h := one.host
	one.run(t, "ping", "-q", "-c", "3", "-i", "0.02", two.addr)
	for line, holds := range map[string]func(flowLine) bool{
		"--network web":                       func(f flowLine) bool { return f.Network != "" },
		"--table Forward":                     func(f flowLine) bool { return f.TableName == "Forward" },
		"--rule arp-answer":                   func(f flowLine) bool { return f.Rule == "arp-answer" },
		"--active 30":                         func(f flowLine) bool { return f.Packets > 0 },
		"--endpoint " + two.addr:              func(f flowLine) bool { return f.Node == "h2" && strings.Contains(f.Reason, two.addr) },
		"--endpoint " + macOf(t, two):         func(f flowLine) bool { return f.Node == "h2" && strings.Contains(f.Reason, two.addr) },
		"--endpoint " + one.addr + " -o wide": nil,
	} {
		args := append([]string{"flows", "ls"}, strings.Fields(line)...)
		if holds == nil {
			if text := run(t, h, append([]string{"ovsnet"}, args...)...); !strings.Contains(text, "goto_table") || strings.Contains(text, "\x1b[") {
				t.Errorf("flows ls %s prints %s", line, text)
			}
			continue
		}
		list := query[[]flowLine](t, h, args...)
		if len(list) == 0 {
			t.Errorf("flows ls %s lists nothing", line)
		}
		for _, f := range list {
			if !holds(f) {
				t.Errorf("flows ls %s lists %+v", line, f)
			}
		}
	}
	// What nobody may send is dropped, and listed as that.
	one.run(t, "ip", "addr", "add", "10.80.0.99/32", "dev", "eth0")
	if out, err := one.try(t, "ping", "-q", "-c", "2", "-W", "1", "-I", "10.80.0.99", two.addr); err == nil {
		t.Errorf("a forged source is answered: %s", out)
	}
	one.run(t, "ip", "addr", "del", "10.80.0.99/32", "dev", "eth0")
	eventually(t, "dropped packets are listed", func() (string, bool) {
		list := query[[]flowLine](t, h, "flows", "ls", "--dropped")
		for _, f := range list {
			if f.Rule == "spoofed" && f.Packets > 0 {
				return "", f.Actions == "drop"
			}
		}
		return fmt.Sprint(list), false
	})
}

// testExplain: whatever an operator has of a flow is told in sentences, with containers' names.
func testExplain(t *testing.T, h *lab.Host, two container) {
	says := func(text string, words ...string) {
		t.Helper()
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("it does not say %q:\n%s", word, text)
			}
		}
	}
	waitNamed(t, h, "two")
	remote := "two (" + two.addr + ") of network web lives on h2"
	for _, pipe := range []string{"ovs-ofctl dump-flows br-ovsnet", "ovs-ofctl -O OpenFlow15 --names dump-flows br-ovsnet"} {
		text := run(t, h, "sh", "-c", pipe+" | ovsnet flows explain")
		says(text, remote, "are addressed to host h2 (192.0.2.2)", "as it should be", "Packets that come in by port 1 (the tunnel) end here")
		for _, word := range []string{"altered", "foreign", "no longer wanted"} {
			if strings.Contains(text, word) {
				t.Errorf("%s: a flow is told to be %s:\n%s", pipe, word, text)
			}
		}
	}
	line := run(t, h, "sh", "-c", "ovs-ofctl -O OpenFlow15 dump-flows br-ovsnet table=60 | grep set_field")
	says(run(t, h, "ovsnet", "flows", "explain", line), remote)
	cookie, _, _ := strings.Cut(strings.TrimPrefix(line, "cookie="), ",")
	says(run(t, h, "ovsnet", "flows", "explain", cookie), remote)
	says(run(t, h, "ovsnet", "flows", "explain", "one", "two"), "== the ARP request of one", "== a packet from one", "on h1", "out of the tunnel", "delivery to two")
	says(run(t, h, "ovsnet", "flows", "explain", "--node", "h2", "cookie=0x7, table=60,priority=1 actions=drop"), "foreign")
	refused(t, h, []string{"line 1, column 47", "bogus"}, "ovsnet", "flows", "explain", "cookie=0x6f76010000000000, table=0, in_port=1,bogus=3 actions=drop")
	refused(t, h, []string{"no such endpoint"}, "ovsnet", "flows", "explain", "one", "nobody")
	if got := exitCode(t, h, "ovsnet", "flows", "explain", "0x77"); got != 3 {
		t.Errorf("an unknown cookie ends with %d", got)
	}
}

// testDiff: flows that were tampered with while nobody heals them show as a diff with reasons, from any host, and are
// repaired on the spot.
func testDiff(t *testing.T, l *lab.Lab, two container) {
	h1, h2 := l.Host(1), l.Host(2)
	for _, args := range [][]string{nil, {"--node", "h2"}, {"--all"}} {
		if text := run(t, h1, append([]string{"ovsnet", "flows", "diff"}, args...)...); text != "" {
			t.Errorf("flows diff %v of hosts that agree prints\n%s", args, text)
		}
	}
	stopAgent(t, h2)
	text, err := try(t, h1, "ovsnet", "flows", "explain", "one", "two")
	for _, word := range []string{"on h1", "as it should be", "on h2, out of the tunnel", `records alone, numbers of ports made up: node "h2"`, "nobody looked"} {
		if !strings.Contains(text, word) || exitOf(t, err) != 4 {
			t.Errorf("of a way to a host whose agent is away: %v, without %q:\n%s", err, word, text)
		}
	}
	remote := "table=60,priority=110,metadata=0x1000/0xffffff,dl_dst=" + macOf(t, two)
	run(t, h2, "ovs-ofctl", "-O", "OpenFlow15", "--strict", "del-flows", "br-ovsnet", remote)
	startProcess(t, h2, lab.Agent, true)
	eventually(t, "a restarted agent has mended what was missing", func() (string, bool) {
		text, err := try(t, h1, "ovsnet", "flows", "diff", "--all")
		return text, err == nil && text == ""
	})
	run(t, h1, "ovs-ofctl", "-O", "OpenFlow15", "add-flow", "br-ovsnet", "cookie=0x77,table=60,priority=999,dl_dst="+macOf(t, two)+",actions=drop")
	text = differing(t, h1)
	for _, word := range []string{"--- installed on h1", "+++ desired on h1", "# not ovsnet's; it takes packets from: through the tunnel to", two.addr, "-cookie=0x77, table=60,priority=999"} {
		if !strings.Contains(text, word) {
			t.Errorf("the diff does not say %q:\n%s", word, text)
		}
	}
	if wide := differing(t, h1, "-o", "wide"); !strings.Contains(wide, "#   flow     cookie 0x77, rule foreign") {
		t.Errorf("the wide diff is\n%s", wide)
	}
	if there := differing(t, h2, "--node", "h1"); there != text {
		t.Errorf("asked from h2 the diff is\n%s\nand on h1\n%s", there, text)
	}
	if all := differing(t, h2, "--all"); all != text {
		t.Errorf("the diff of all hosts is\n%s\nand of h1\n%s", all, text)
	}
	refused(t, h2, []string{"run it on that host"}, "ovsnet", "flows", "diff", "--node", "h1", "--repair")
	run(t, h1, "ovsnet", "flows", "diff", "--repair")
	if text := run(t, h1, "ovsnet", "flows", "diff"); text != "" {
		t.Errorf("after the repair differs\n%s", text)
	}
}

// differing is what flows diff prints, which exits as it does for differences.
func differing(t *testing.T, h *lab.Host, args ...string) string {
	t.Helper()
	argv := append([]string{"ovsnet", "flows", "diff"}, args...)
	text, err := try(t, h, argv...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 5 {
		t.Errorf("flows diff %v ends with %v, want exit status 5", args, err)
	}
	return text
}

// testOtherNode: an agent is asked through etcd as it is over its socket, listens nowhere, and one that does not answer
// is named.
func testOtherNode(t *testing.T, h1, h2 *lab.Host) {
	var here, there []string
	for _, f := range query[[]flowLine](t, h2, "flows", "ls") {
		here = append(here, f.key())
	}
	for _, f := range query[[]flowLine](t, h1, "flows", "ls", "--node", "h2") {
		there = append(there, f.key())
	}
	if len(here) == 0 || strings.Join(here, "\n") != strings.Join(there, "\n") {
		t.Errorf("h2 lists\n%s\nand h1 of it\n%s", strings.Join(here, "\n"), strings.Join(there, "\n"))
	}
	if text := run(t, h1, "ovsnet", "status", "--node", "h2"); !strings.Contains(text, "h2") {
		t.Errorf("status of h2: %s", text)
	}
	if text := run(t, h1, "sh", "-c", "ovsnet flows watch --counters --node h2 --every 200ms -o json | head -n 1"); !strings.Contains(text, `"drops":[`) {
		t.Errorf("a look at the counters of h2: %s", text)
	}
	if text := run(t, h2, "ss", "-Hltunp"); strings.Contains(text, "ovsnet") {
		t.Errorf("the agent listens: %s", text)
	}
	for line, want := range map[string]int{"flows ls --node nobody": 3, "flows ls --node h2 --network nobody": 3, "flows ls --node -h2-": 2} {
		if got := exitCode(t, h1, append([]string{"ovsnet"}, strings.Fields(line)...)...); got != want {
			t.Errorf("ovsnet %s: exit status %d, want %d", line, got, want)
		}
	}
	agent, err := h2.Process(lab.Agent)
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// It is asked as long as its last sign of life counts.
	out, err := try(t, h1, "ovsnet", "flows", "ls", "--node", "h2")
	if said := fmt.Sprint(err); err == nil || !strings.Contains(said, `node "h2"`) ||
		!(strings.Contains(said, "did not answer within") && strings.Contains(said, "last sign of life")) && !strings.Contains(said, "no sign of life") {
		t.Errorf("of a host whose agent stands still: %s, %v", out, err)
	}
	if err := agent.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "h2 answers again", func() (string, bool) {
		text, err := try(t, h1, "ovsnet", "flows", "ls", "--node", "h2")
		return text, err == nil
	})
}
