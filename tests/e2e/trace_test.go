package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/flows/ofctl"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// Issue 4: why does a packet not arrive? ovsnet flows trace names what is wrong, on whatever host.
func TestTrace(t *testing.T) {
	l := up(t, lab.Options{Hosts: 3})
	// etcd is in the agent of h1, which therefore stays up.
	h1, h2, h3 := l.Host(1), l.Host(2), l.Host(3)
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.80.0.0/24")
	createNetwork(t, []*lab.Host{h2}, "db", "--subnet", "10.80.0.0/24")
	w := traced{h1: h1, h2: h2, h3: h3}
	w.one, w.near = runContainer(t, h2, "web", "one"), runContainer(t, h2, "web", "near")
	w.two, w.three = runContainer(t, h3, "web", "two"), runContainer(t, h1, "web", "three")
	w.other = runContainer(t, h2, "db", "other", "--ip", "10.80.0.77")
	w.same = runContainer(t, h2, "db", "two", "--ip", w.two.addr)
	for _, addr := range []string{w.near.addr, w.two.addr, w.three.addr} {
		w.one.waitReaches(t, addr)
	}
	leavesNothing(t, l, openCluster(t, l), func() {
		t.Run("healthy", w.testHealthy)
		t.Run("bad input", w.testBadInput)
		t.Run("capture", w.testCapture)
		t.Run("what may not be", w.testForbidden)
		t.Run("faults on the sender's host", func(t *testing.T) { w.testFaults(t, h2, w.senderFaults()) })
		t.Run("faults on the receiver's host", func(t *testing.T) { w.testFaults(t, h3, w.receiverFaults()) })
		t.Run("no tunnel port", w.testNoTunnelPort)
		t.Run("a stopped agent", w.testStoppedAgent)
		t.Run("Open vSwitch away", w.testNoVSwitchd)
	})
}

// traced are three hosts and containers: all in web but other and same, which are in db; same has the name and the
// address that two has in web.
type traced struct {
	h1, h2, h3                         *lab.Host
	one, near, two, three, other, same container
}

// trace runs `ovsnet flows trace ARGS --network web` on the host, and gives what it says and its exit status.
func (w traced) trace(t *testing.T, h *lab.Host, args ...string) (journey.Trace, int) {
	t.Helper()
	argv := append([]string{"ovsnet", "flows", "trace", "-o", "json", "--network", "web", "--timeout", "10s"}, args...)
	text, failed := try(t, h, argv...)
	var told journey.Trace
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		t.Fatalf("%s on %s prints no trace: %v\n%s\n%v", strings.Join(argv, " "), h.Name, err, text, failed)
	}
	return told, exitOf(t, failed)
}

// exitOf is the exit status of a command that was tried.
func exitOf(t *testing.T, failed error) int {
	t.Helper()
	var exit *exec.ExitError
	if failed != nil && !errors.As(failed, &exit) {
		t.Fatal(failed)
	}
	if exit == nil {
		return 0
	}
	return exit.ExitCode()
}

// expect traces and holds the verdict against what it should be: the outcome with its exit status, and every one of the
// words in its text or causes.
func (w traced) expect(t *testing.T, h *lab.Host, outcome journey.Outcome, status int, words []string, args ...string) journey.Trace {
	t.Helper()
	told, got := w.trace(t, h, args...)
	said := told.Verdict.Text + "\n" + strings.Join(told.Verdict.Causes, "\n")
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("the trace does not say %q but\n%s", word, said)
		}
	}
	if told.Verdict.Outcome != outcome || got != status {
		text, _ := try(t, h, append([]string{"ovsnet", "flows", "trace", "-o", "wide", "--network", "web"}, args...)...)
		t.Errorf("%s with exit status %d, want %s with %d:\n%s", told.Verdict.Outcome, got, outcome, status, text)
	}
	return told
}

// hosts are the hosts that the packet passed, each with who told of it.
func hosts(told journey.Trace) string {
	var list []string
	for _, p := range told.Walks[len(told.Walks)-1].Passages {
		list = append(list, p.Node+" by "+string(p.Source))
	}
	return strings.Join(list, ", ")
}

func (w traced) testHealthy(t *testing.T) {
	for _, h := range []*lab.Host{w.h1, w.h2, w.h3} {
		for _, args := range [][]string{nil, {"--dport", "443"}, {"--proto", "udp", "--dport", "53"}} {
			told := w.expect(t, h, journey.Delivered, 0, []string{"delivered to ", w.two.addr}, append([]string{w.one.addr, w.two.addr}, args...)...)
			if got := hosts(told); got != "h2 by agent, h3 by agent" {
				t.Errorf("on %s: %s", h.Name, got)
			}
		}
		told := w.expect(t, h, journey.Delivered, 0, []string{"delivered to ", w.near.addr}, w.one.addr, w.near.addr)
		if got := hosts(told); got != "h2 by agent" {
			t.Errorf("on %s: %s", h.Name, got)
		}
		w.expect(t, h, journey.Answered, 0, []string{"answered on h2", w.two.addr}, w.one.addr, w.two.addr, "--proto", "arp")
	}
	text := run(t, w.h1, "ovsnet", "flows", "trace", "--network", "web", w.one.addr, w.two.addr)
	for _, word := range []string{"60 Forward", "→ tunnel to h3 (192.0.2.3)", "10 TunnelIn", "verdict: delivered to", "agree on h2, h3"} {
		if !strings.Contains(text, word) {
			t.Errorf("the text does not say %q:\n%s", word, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Errorf("colours without a terminal: %q", text)
	}
}

func (w traced) testBadInput(t *testing.T) {
	refused(t, w.h2, []string{`endpoint "nobody"`, "no such endpoint"}, "ovsnet", "flows", "trace", "nobody", w.two.addr)
	which := []string{"it could be", "in web on h3", "in db on h2", "--network"}
	refused(t, w.h2, append(which, w.two.addr), "ovsnet", "flows", "trace", w.one.addr, w.two.addr)
	eventually(t, "both containers have their name", func() (string, bool) {
		text := run(t, w.h2, "ovsnet", "endpoint", "ls")
		return text, strings.Count(text, " two ") == 2
	})
	refused(t, w.h2, append(which, `endpoint "two"`), "ovsnet", "flows", "trace", "one", "two")
	w.expect(t, w.h3, journey.Delivered, 0, []string{"delivered to two (" + w.two.addr + ") in web, on h3"}, "one", "two")
	for line, want := range map[string]int{"nobody nobody": 3, w.one.addr + " " + w.two.addr: 2, w.one.addr + " " + w.near.addr + " --proto nd": 2} {
		if got := exitCode(t, w.h2, append([]string{"ovsnet", "flows", "trace"}, strings.Fields(line)...)...); got != want {
			t.Errorf("ovsnet flows trace %s: exit status %d, want %d", line, got, want)
		}
	}
}

// testForbidden: what ends by intent is told as such, and the engines agree.
func (w traced) testForbidden(t *testing.T) {
	told := w.expect(t, w.h3, journey.Dropped, 1, []string{"SpoofGuard", "10.80.0.99 is not the endpoint's"}, w.one.addr, w.two.addr, "--from-ip", "10.80.0.99")
	if !told.Verdict.Agreed || !told.Verdict.Checked {
		t.Errorf("verdict %+v", told.Verdict)
	}
	w.expect(t, w.h3, journey.Dropped, 1, []string{"SpoofGuard", "02:00:00:00:00:09"}, w.one.addr, w.two.addr, "--from-mac", "02:00:00:00:00:09", "--proto", "udp")
	text, err := try(t, w.h3, "ovsnet", "flows", "trace", w.one.addr, w.other.addr)
	for _, word := range []string{"40 ArpResponder", "networks are separate", "in network web", "in db"} {
		if !strings.Contains(text, word) || exitOf(t, err) != 1 {
			t.Errorf("from network to network: %v, without %q:\n%s", err, word, text)
		}
	}
}

// fault is what somebody does to a host's flows, and what a trace from one to two then says.
type fault struct {
	name  string
	spoil func(t *testing.T, has []flows.Installed) flows.Delta
	words []string
	args  []string
}

func (w traced) senderFaults() []fault {
	toTwo := func(instead string) func(*testing.T, []flows.Installed) flows.Delta {
		return func(t *testing.T, has []flows.Installed) flows.Delta {
			return altered(t, flowOf(t, has, flows.ToRemote, "192.0.2.3"), instead)
		}
	}
	return []fault{
		{"deleted unicast flow", func(t *testing.T, has []flows.Installed) flows.Delta {
			return flows.Delta{Delete: []flows.Key{flowOf(t, has, flows.ToRemote, "192.0.2.3").Key}}
		}, []string{"on h2 in Forward: flow missing", "through the tunnel to", w.two.addr, "dropped on h2 in Forward"}, nil},
		{"deleted ARP answer", func(t *testing.T, has []flows.Installed) flows.Delta {
			return flows.Delta{Delete: []flows.Key{flowOf(t, has, flows.ARPAnswer, "arp_tpa="+w.two.addr).Key}}
		}, []string{"on h2 in ArpResponder: flow missing", "ARP answer for", w.two.addr, "gets no answer"}, nil},
		{"wrong tun_dst", toTwo("set_field:192.0.2.1->tun_dst"),
			[]string{"on h2 in Forward: flow altered", "192.0.2.1->tun_dst", "it should do", "192.0.2.3->tun_dst", "dropped on h1 in Forward"}, nil},
		{"tun_dst of nobody", toTwo("set_field:192.0.2.99->tun_dst"), []string{"on h2 in Forward: flow altered", "192.0.2.99->tun_dst"}, nil},
		{"wrong VNI", toTwo("set_field:0x1777->tun_id"), []string{"on h2 in Forward: flow altered", "0x1777->tun_id", "dropped on h3 in TunnelIn", "VNI 6007 is no network"}, nil},
		{"foreign high-priority drop", foreignDrop("table=60,priority=999,ip"), []string{"on h2 in Forward: foreign flow", "priority 999"}, nil},
	}
}

func (w traced) receiverFaults() []fault {
	return []fault{
		{"peer missing in Classify", func(t *testing.T, has []flows.Installed) flows.Delta {
			return flows.Delta{Delete: []flows.Key{flowOf(t, has, flows.FromPeer, "tun_src=192.0.2.2").Key}}
		}, []string{"on h3 in Classify: flow missing", "tunnel packets from h2", "dropped on h3 in Classify"}, nil},
		{"foreign high-priority drop", foreignDrop("table=0,priority=65000"), []string{"on h3 in Classify: foreign flow", "priority 65000", "dropped on h3 in Classify"}, []string{"--proto", "udp"}},
		{"foreign flow that ovsnet cannot read", foreignDrop("table=60,priority=500,dl_vlan=0xfff"), nil, nil},
	}
}

// flowOf is the one flow of a rule that says the word.
func flowOf(t *testing.T, has []flows.Installed, rule flows.Rule, word string) flows.Flow {
	t.Helper()
	i := slices.IndexFunc(has, func(f flows.Installed) bool {
		return flows.RuleOf(f.Cookie) == rule && strings.Contains(f.String()+",", word)
	})
	if i < 0 {
		t.Fatalf("no flow of rule %s says %s", rule, word)
	}
	return has[i].Flow
}

// altered gives a flow's action of the same field another value.
func altered(t *testing.T, f flows.Flow, action string) flows.Delta {
	t.Helper()
	_, field, _ := strings.Cut(action, "->")
	steps := strings.Split(f.Actions.String(), ",")
	for i, s := range steps {
		if strings.HasSuffix(s, "->"+field) {
			steps[i] = action
		}
	}
	read, err := flows.ParseLine("cookie=0x0, table=0 actions=" + strings.Join(steps, ","))
	if err != nil || read.Actions == f.Actions {
		t.Fatalf("%s is not altered to %s: %v", f, action, err)
	}
	f.Actions = read.Actions
	return flows.Delta{Add: []flows.Flow{f}}
}

func foreignDrop(key string) func(*testing.T, []flows.Installed) flows.Delta {
	return func(t *testing.T, _ []flows.Installed) flows.Delta {
		f, err := flows.ParseLine("cookie=0x0, " + key + " actions=drop")
		if err != nil {
			t.Fatal(err)
		}
		return flows.Delta{Add: []flows.Flow{f.Flow}}
	}
}

// undo leads back to what there was.
func undo(has []flows.Installed, done flows.Delta) flows.Delta {
	var back flows.Delta
	had := map[flows.Key]flows.Flow{}
	for _, f := range has {
		had[f.Key] = f.Flow
	}
	for _, f := range done.Add {
		if before, there := had[f.Key]; there {
			back.Add = append(back.Add, before)
		} else {
			back.Delete = append(back.Delete, f.Key)
		}
	}
	for _, k := range done.Delete {
		back.Add = append(back.Add, had[k])
	}
	return back
}

// testFaults spoils flows of a host whose agent is held still, so that it mends nothing, and traces there: the command
// reads the host itself.
func (w traced) testFaults(t *testing.T, h *lab.Host, faults []fault) {
	still(t, h)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			has := installed(t, h)
			spoilt := f.spoil(t, has)
			change(t, h, spoilt)
			defer change(t, h, undo(has, spoilt))
			outcome, status := journey.Dropped, 1
			if f.words == nil {
				outcome, status = journey.Delivered, 0
			}
			w.expect(t, h, outcome, status, f.words, append([]string{w.one.addr, w.two.addr}, f.args...)...)
		})
	}
	w.expect(t, h, journey.Delivered, 0, nil, w.one.addr, w.two.addr)
}

// still holds a host's agent still until the test ends.
func still(t *testing.T, h *lab.Host) {
	t.Helper()
	agent, err := h.Process(lab.Agent)
	if err == nil {
		err = agent.Signal(syscall.SIGSTOP)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := agent.Signal(syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	})
}

func change(t *testing.T, h *lab.Host, d flows.Delta) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandPatience)
	defer cancel()
	if err := ofctl.New(ofctl.Config{Bridge: bridge, RunDir: ovsDir(t, h)}).Apply(ctx, d); err != nil {
		t.Fatal(err)
	}
}

// testNoTunnelPort: without the port nothing leaves, and the flows that send there say so.
func (w traced) testNoTunnelPort(t *testing.T) {
	t.Run("gone", func(t *testing.T) {
		still(t, w.h2)
		run(t, w.h2, "ovs-vsctl", "del-port", bridge, "ovsnet-vxlan")
		w.expect(t, w.h2, journey.Dropped, 1, []string{"on h2: the host has no tunnel port"}, w.one.addr, w.two.addr)
		w.expect(t, w.h2, journey.Delivered, 0, nil, w.one.addr, w.near.addr)
	})
	w.waitDelivered(t)
}

func (w traced) waitDelivered(t *testing.T) {
	t.Helper()
	within(t, 4*statePatience, "the trace is clean again", func() (string, bool) {
		text, err := try(t, w.h1, "ovsnet", "flows", "trace", "--network", "web", w.one.addr, w.two.addr)
		return text, err == nil
	})
}

// testStoppedAgent: a host whose agent does not answer is evaluated from the records and marked so; on that host itself
// the trace goes on.
func (w traced) testStoppedAgent(t *testing.T) {
	for _, how := range []string{"held still", "ended"} {
		t.Run(how, func(t *testing.T) {
			if how == "ended" {
				stopAgent(t, w.h3)
				defer startProcess(t, w.h3, lab.Agent, true)
			} else {
				still(t, w.h3)
			}
			told := w.expect(t, w.h2, journey.Delivered, 4, []string{"as far as is known, delivered to"}, w.one.addr, w.two.addr)
			if got := hosts(told); got != "h2 by agent, h3 by records" || !strings.Contains(told.Walks[1].Passages[1].Silent, `node "h3"`) {
				t.Errorf("%s, silent %q", got, told.Walks[1].Passages[1].Silent)
			}
			told = w.expect(t, w.h2, journey.Delivered, 4, nil, w.two.addr, w.one.addr)
			if got := hosts(told); got != "h3 by records, h2 by agent" {
				t.Error(got)
			}
			told = w.expect(t, w.h3, journey.Delivered, 0, nil, w.one.addr, w.two.addr)
			if got := hosts(told); got != "h2 by agent, h3 by host" {
				t.Error(got)
			}
		})
	}
	w.waitDelivered(t)
}

// testNoVSwitchd: without Open vSwitch there are the desired flows.
func (w traced) testNoVSwitchd(t *testing.T) {
	stopProcess(t, w.h3, lab.VSwitchd)
	told := w.expect(t, w.h2, journey.Delivered, 4, []string{"as far as is known"}, w.one.addr, w.two.addr)
	if p := told.Walks[1].Passages[1]; p.Unasked == "" || p.Installed != nil {
		t.Errorf("passage %+v", p)
	}
	startProcess(t, w.h3, lab.VSwitchd, true)
	w.waitDelivered(t)
	w.one.waitReaches(t, w.two.addr)
}
