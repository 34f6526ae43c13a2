package e2e

import (
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// callLimit is how long a plugin call may take, with something to spare for what Docker does around it.
const callLimit = 20*time.Second + slowness*15*time.Second

// What bad input gets: etcd, OVSDB or ovs-vswitchd away at start.
//
// On the netdev datapath a host's underlay goes with its Open vSwitch, which moves no packet without OVSDB, and so does
// etcd on other hosts. The two are tried on h1, which has etcd.
func TestAway(t *testing.T) {
	l := up(t, lab.Options{})
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.50.0.0/24")
	leavesNothing(t, l, openCluster(t, l), func() {
		t.Run("at start", func(t *testing.T) {
			t.Run("etcd", func(t *testing.T) { t.Parallel(); testEtcdAway(t, l.Host(2)) })
			t.Run("OVSDB", func(t *testing.T) { t.Parallel(); testOVSDBAway(t, l.Host(1)) })
		})
		t.Run("ovs-vswitchd", func(t *testing.T) { testVSwitchdAway(t, l.Host(1)) })
	})
}

// activates holds that Docker gets the answers that it asks for only once.
func activates(t *testing.T, h *lab.Host) {
	t.Helper()
	const tries, atOnce, limit = 3, slowness * time.Second, 18 * time.Second
	var took []time.Duration
	for range tries {
		began := time.Now()
		for _, call := range []string{"/Plugin.Activate", "/NetworkDriver.GetCapabilities", "/IpamDriver.GetCapabilities", "/IpamDriver.GetDefaultAddressSpaces"} {
			if status, text := postPlugin(t, h, call, "{}"); status != http.StatusOK {
				t.Errorf("%s answers %d %s", call, status, text)
			}
		}
		took = append(took, time.Since(began))
	}
	// Who waited for what is away would take as long as a call may, the first time or each; a busy machine is not that
	// late, and not late every time.
	if took[0] > min(limit, 10*atOnce) || slices.Min(took) > min(limit, 2*atOnce) {
		t.Errorf("it took %v", took)
	}
}

// waitPlugin waits until the plugin of an agent that was just started listens.
func waitPlugin(t *testing.T, h *lab.Host) {
	t.Helper()
	eventually(t, "the agent on "+h.Name+" answers", func() (string, bool) {
		text, err := try(t, h, "ovsnet", "status")
		return text, text != "" || err == nil
	})
}

// refusedInTime is refused within the deadline of a plugin call.
func refusedInTime(t *testing.T, h *lab.Host, words []string, argv ...string) {
	t.Helper()
	began := time.Now()
	refused(t, h, words, argv...)
	if took := time.Since(began); took > callLimit {
		t.Errorf("%s took %s", strings.Join(argv, " "), took)
	}
}

// recovers holds that containers run when what was away is back, without anything else being done. ovs-vswitchd tries
// OVSDB only every eight seconds after a while, and other hosts' way to etcd leads through it.
func recovers(t *testing.T, h *lab.Host) {
	t.Helper()
	within(t, 4*statePatience, h.Name+" serves again", func() (string, bool) {
		text, err := try(t, h, "ovsnet", "status")
		return text, err == nil
	})
	run(t, h, runWith("web")...)
}

// testEtcdAway starts the agent behind a filter that swallows what it sends to etcd.
func testEtcdAway(t *testing.T, h *lab.Host) {
	stopAgent(t, h)
	filter := []string{"OUTPUT", "-p", "tcp", "--dport", "2379", "-j", "DROP"}
	run(t, h, append([]string{"iptables", "-w", "-I"}, filter...)...)
	startProcess(t, h, lab.Agent, false)
	waitPlugin(t, h)
	activates(t, h)
	waitUnready(t, h, "etcd")
	refusedInTime(t, h, []string{"etcd at https://192.0.2.1:2379", "check that etcd runs there"}, createArgs("more", "--subnet", "10.51.0.0/24")...)
	run(t, h, append([]string{"iptables", "-w", "-D"}, filter...)...)
	recovers(t, h)
}

func testOVSDBAway(t *testing.T, h *lab.Host) {
	stopAgent(t, h)
	stopProcess(t, h, lab.OVSDBServer)
	startProcess(t, h, lab.Agent, false)
	waitPlugin(t, h)
	activates(t, h)
	waitUnready(t, h, "OVSDB")
	refusedInTime(t, h, []string{"OVSDB"}, createArgs("more", "--subnet", "10.52.0.0/24")...)
	startProcess(t, h, lab.OVSDBServer, true)
	recovers(t, h)
}

// testVSwitchdAway stops ovs-vswitchd for a while, so that the host keeps its underlay address.
func testVSwitchdAway(t *testing.T, h *lab.Host) {
	stopAgent(t, h)
	vswitchd, err := h.Process(lab.VSwitchd)
	if err == nil {
		err = vswitchd.Signal(syscall.SIGSTOP)
	}
	if err != nil {
		t.Fatal(err)
	}
	startProcess(t, h, lab.Agent, false)
	waitPlugin(t, h)
	activates(t, h)
	waitUnready(t, h, "ovs-vswitchd does not answer")
	refusedInTime(t, h, []string{"not ready in time", "ovs-vswitchd does not answer", "ovsnet status"}, runWith("web")...)
	if err := vswitchd.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	recovers(t, h)
}
