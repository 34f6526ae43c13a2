package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// Issue 4, item 5: who changes flows, as it happens, and which are busy.
func TestFlowsWatch(t *testing.T) {
	p := newPair(t, lab.Options{}, "--cap-add", "NET_ADMIN")
	p.settled(t)
	t.Run("changes", func(t *testing.T) { testChanges(t, p) })
	t.Run("--counters", func(t *testing.T) { testTop(t, p) })
	t.Run("the agent ends", func(t *testing.T) {
		w := watchFlows(t, p.lab.Host(1))
		stopAgent(t, p.lab.Host(1))
		if got := w.ends(t); got != 4 || !strings.Contains(w.String(), "see systemctl status ovsnet") {
			t.Errorf("exit status %d, printed %s", got, w)
		}
	})
}

// testOwn is what the tests' own flow matches, which shows that a watch has begun.
const testOwn = "dl_vlan=7"

// flowWatch is a watch of flows that runs; seen changes were looked at.
type flowWatch struct {
	*background
	seen int
}

// watchFlows follows who changes flows on the host from now on.
func watchFlows(t *testing.T, h *lab.Host) *flowWatch {
	t.Helper()
	w := &flowWatch{background: inBackground(t, h, "ovsnet", "flows", "watch", "-o", "json")}
	eventually(t, "the watch tells of a change", func() (string, bool) {
		run(t, h, "ovs-ofctl", "add-flow", bridge, "table=250,"+testOwn+",actions=drop")
		run(t, h, "ovs-ofctl", "--strict", "del-flows", bridge, "table=250,"+testOwn)
		return w.String(), w.String() != ""
	})
	return w
}

// ends waits until the watch ends by itself, and returns its exit status.
func (w *flowWatch) ends(t *testing.T) int {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- w.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(statePatience):
		w.cancel()
		<-ended
		t.Errorf("the watch did not end by itself")
	}
	return w.cmd.ProcessState.ExitCode()
}

// next waits for that many more changes.
func (w *flowWatch) next(t *testing.T, n int) []agent.FlowChange {
	t.Helper()
	var list []agent.FlowChange
	eventually(t, fmt.Sprintf("the watch tells %d more changes", n), func() (string, bool) {
		list = slices.DeleteFunc(printedObjects[agent.FlowChange](t, w.background), func(c agent.FlowChange) bool { return c.Match == testOwn })[w.seen:]
		return fmt.Sprintf("%+v", list), len(list) >= n
	})
	w.seen += n
	return list[:n]
}

// tells waits for these changes, in any order: a bundle's have none.
func (w *flowWatch) tells(t *testing.T, lines ...string) {
	t.Helper()
	var got []string
	for _, c := range w.next(t, len(lines)) {
		got = append(got, fmt.Sprintf("%s %s %s: %s", c.By, c.Change, c.TableName, c.Reason))
	}
	slices.Sort(got)
	slices.Sort(lines)
	if diff := cmp.Diff(lines, got); diff != "" {
		t.Fatalf("the watch tells other changes (-want +told):\n%s", diff)
	}
}

// printedObjects decodes what was printed so far, but for the last object where that is not whole.
func printedObjects[T any](t *testing.T, b *background) (list []T) {
	t.Helper()
	for line := range strings.Lines(b.String()) {
		var value T
		if !strings.HasSuffix(line, "\n") {
			break
		}
		if err := json.Unmarshal([]byte(line), &value); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		list = append(list, value)
	}
	return list
}

// testChanges: ovsnet's changes and others' are told apart, with what each flow is for, also when it is gone.
func testChanges(t *testing.T, p pair) {
	h := p.lab.Host(1)
	waitNamed(t, h, "two")
	w := watchFlows(t, h)
	var remote flows.Installed
	for _, f := range installed(t, h) {
		if flows.Ours(f.Cookie) && flows.RuleOf(f.Cookie) == flows.ToRemote {
			remote = f
		}
	}
	two := "through the tunnel to two (" + p.two.addr + ") in web, on h2"
	run(t, h, "ovs-ofctl", "-O", "OpenFlow15", "del-flows", bridge, remote.Where().String())
	w.tells(t, "other removed Forward: "+two, "ovsnet added Forward: "+two)
	run(t, h, "ovs-ofctl", "-O", "OpenFlow15", "mod-flows", bridge, remote.Where().String()+",actions=drop")
	w.tells(t, "other altered Forward: "+two, "ovsnet added Forward: "+two)
	run(t, h, "ovs-ofctl", "add-flow", bridge, "cookie=7,table=60,priority=999,dl_vlan=8,actions=drop")
	w.tells(t, "other added Forward: not ovsnet's")
	run(t, h, "ovs-ofctl", "--strict", "del-flows", bridge, "table=60,priority=999,dl_vlan=8")
	w.tells(t, "other removed Forward: not ovsnet's")
	three := runContainer(t, p.lab.Host(2), "web", "three")
	p.one.waitReaches(t, three.addr)
	for _, c := range w.next(t, 2) {
		if c.By != "ovsnet" || c.Change != "added" || !strings.Contains(c.Match, three.addr) && !strings.Contains(c.Match, macOf(t, three)) {
			t.Errorf("a container that came is told as %+v", c)
		}
	}
	waitNamed(t, h, "three")
	three.remove(t)
	w.tells(t, "ovsnet removed Forward: through the tunnel to three ("+three.addr+") in web, on h2", "ovsnet removed ArpResponder: ARP answer for three ("+three.addr+") in web, on h2")
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if got := w.ends(t); got != 0 {
		t.Errorf("ended by ctrl-C its exit status is %d", got)
	}
}

// testTop: traffic shows with its rate, and so does what is dropped.
func testTop(t *testing.T, p pair) {
	p.one.run(t, "ip", "addr", "add", "10.10.0.99/32", "dev", "eth0")
	for _, source := range []string{p.one.addr, "10.10.0.99"} {
		inBackground(t, p.one.host, "docker", "exec", p.one.name, "ping", "-q", "-i", "0.05", "-w", "600", "-I", source, p.two.addr)
	}
	w := inBackground(t, p.one.host, "ovsnet", "flows", "watch", "--counters", "--every", "500ms", "-o", "json")
	has := func(list []inspect.FlowRate, reason string) bool {
		return slices.ContainsFunc(list, func(f inspect.FlowRate) bool {
			return strings.Contains(f.Reason, reason) && f.Packets > 0 && f.Bytes >= f.Packets
		})
	}
	eventually(t, "a look shows the traffic and what is dropped", func() (string, bool) {
		return w.String(), slices.ContainsFunc(printedObjects[inspect.Top](t, w), func(top inspect.Top) bool {
			return len(top.Networks) == 1 && top.Networks[0].Network == "web" && top.Networks[0].LocalPackets > 0 && top.Networks[0].TunnelPackets > 0 &&
				has(top.Flows, "through the tunnel to two") && has(top.Drops, "from one ("+p.one.addr+")") && top.Seconds > 0
		})
	})
}
