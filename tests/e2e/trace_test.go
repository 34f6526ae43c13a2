package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
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
	w.same = runContainer(t, h2, "db", "three", "--ip", w.three.addr)
	for _, addr := range []string{w.near.addr, w.two.addr, w.three.addr} {
		w.one.waitReaches(t, addr)
	}
	leavesNothing(t, l, openCluster(t, l), func() {
		t.Run("healthy", w.testHealthy)
		t.Run("bad input", w.testBadInput)
		t.Run("capture", w.testCapture)
		t.Run("live", w.testLive)
		t.Run("what may not be", w.testForbidden)
		w.testFaults(t, l)
		t.Run("a stopped agent", w.testStoppedAgent)
		t.Run("Open vSwitch away", w.testNoVSwitchd)
	})
}

// traced are three hosts and containers: all in web but other and same, which are in db; same has the name and the
// address that three has in web.
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
	which := []string{"it could be", "in web on h1", "in db on h2", "--network"}
	refused(t, w.h2, append(which, w.three.addr), "ovsnet", "flows", "trace", w.one.addr, w.three.addr)
	eventually(t, "all containers have their name", func() (string, bool) {
		text := run(t, w.h2, "ovsnet", "endpoint", "ls")
		return text, strings.Count(text, " three ") == 2 && strings.Contains(text, " one ") && strings.Contains(text, " two ")
	})
	refused(t, w.h2, append(which, `endpoint "three"`), "ovsnet", "flows", "trace", "one", "three")
	w.expect(t, w.h3, journey.Delivered, 0, []string{"delivered to two (" + w.two.addr + ") in web, on h3"}, "one", "two")
	for line, want := range map[string]int{"nobody nobody": 3, w.one.addr + " " + w.three.addr: 2, w.one.addr + " " + w.near.addr + " --ipv6": 2} {
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
	told = w.expect(t, w.h3, journey.Dropped, 1, []string{"dropped on h2 in SpoofGuard", "it is IPv6, which does not pass", "nobody answers neighbour discovery"}, w.one.addr, w.two.addr, "--proto", "nd")
	if !told.Verdict.Agreed || !told.Verdict.Checked {
		t.Errorf("verdict %+v", told.Verdict)
	}
	text, err := try(t, w.h3, "ovsnet", "flows", "trace", w.one.addr, w.other.addr)
	for _, word := range []string{"40 ArpResponder", "networks are separate", "in network web", "in db"} {
		if !strings.Contains(text, word) || exitOf(t, err) != 1 {
			t.Errorf("from network to network: %v, without %q:\n%s", err, word, text)
		}
	}
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
			if how == "ended" {
				refused(t, w.h2, []string{`node "h3"`, "no sign of life"}, "ovsnet", "flows", "trace", "--network", "web", w.one.addr, w.two.addr, "--live")
			}
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
