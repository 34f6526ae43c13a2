package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// What to build, item 9: `ovsnet uninstall` takes a host out of the cluster, and says which containers still use it.
func TestUninstall(t *testing.T) {
	l := up(t, lab.Options{})
	h1, h2 := l.Host(1), l.Host(2)
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.80.0.0/24")
	createNetwork(t, []*lab.Host{h2}, "own", "--subnet", "10.81.0.0/24")
	one, two := runContainer(t, h1, "web", "one"), runContainer(t, h2, "web", "two")
	one.waitReaches(t, two.addr)
	c := openCluster(t, l)
	leavesNothing(t, l, c, func() {
		refused(t, h2, []string{`node "h2"`, "1 containers", "two (" + two.addr + " in web)", "stop them"}, "ovsnet", "uninstall")
		refused(t, h1, []string{`node "h1"`, "one (" + one.addr + " in web)"}, "ovsnet", "uninstall")
	})
	two.waitReaches(t, one.addr)
	two.remove(t)
	t.Run("a host without containers", func(t *testing.T) {
		uninstalls(t, c, h2)
		waitUnready(t, h2, "being taken out of the cluster")
		if code := exitCode(t, h2, "ovsnet", "status"); code != 1 {
			t.Errorf("ovsnet status of a host that cannot run containers: exit status %d", code)
		}
	})
	t.Run("the host with the cluster's etcd", func(t *testing.T) {
		comeBack(t, h2)
		one.remove(t)
		leavesNothing(t, l, c, func() {
			refused(t, h1, []string{`node "h1"`, "runs the cluster's etcd", "h2"}, "ovsnet", "uninstall")
		})
	})
	t.Run("--force", func(t *testing.T) {
		for _, name := range []string{"web", "own"} {
			removeNetwork(t, name, h2)
		}
		createNetwork(t, []*lab.Host{h2}, "web")
		runContainer(t, h2, "web", "cut-off")
		uninstalls(t, c, h2, "--force")
	})
	t.Run("--force while etcd is away", func(t *testing.T) {
		comeBack(t, h2)
		filter := []string{"OUTPUT", "-p", "tcp", "--dport", "2379", "-j", "DROP"}
		run(t, h2, append([]string{"iptables", "-w", "-I"}, filter...)...)
		refused(t, h2, []string{"etcd"}, "ovsnet", "uninstall")
		run(t, h2, "ovsnet", "uninstall", "--force")
		run(t, h2, append([]string{"iptables", "-w", "-D"}, filter...)...)
		withoutDataPath(t, h2)
	})
	t.Run("a host under another's name", func(t *testing.T) {
		createNetwork(t, []*lab.Host{h1}, "theirs", "--subnet", "10.82.0.0/24")
		runContainer(t, h1, "theirs", "three")
		restartAgent(t, h2, lab.AgentOptions{Args: []string{"--node", "h1"}}, false)
		waitUnready(t, h2, `node "h1"`, "192.0.2.1")
		lasting := func() map[string]string {
			all := c.keys(t, "")
			maps.DeleteFunc(all, func(key, _ string) bool { return strings.HasPrefix(key, "alive/") || strings.HasPrefix(key, "spaces/") })
			return all
		}
		before := lasting()
		run(t, h2, "ovsnet", "uninstall")
		withoutDataPath(t, h2)
		if diff := cmp.Diff(before, lasting()); diff != "" {
			t.Errorf("it changed what the other host has in etcd: %s", diff)
		}
	})
}

// withoutDataPath holds that the host has neither bridge nor links of ovsnet.
func withoutDataPath(t *testing.T, h *lab.Host) {
	t.Helper()
	if code := exitCode(t, h, "ovs-vsctl", "br-exists", "br-ovsnet"); code != 2 {
		t.Errorf("the bridge is still there: exit status %d", code)
	}
	if links := ownLinks(t, h); len(links) > 0 {
		t.Errorf("links are left: %v", links)
	}
	unguarded(t, h)
	// The kernel's datapath has its end of the tunnel as a link.
	eventually(t, "Open vSwitch has no tunnel any more", func() (string, bool) {
		links := run(t, h, "ip", "-o", "link", "show", "type", "vxlan")
		return links, links == ""
	})
}

// uninstalls holds that nothing of the host is left, on it or in etcd.
func uninstalls(t *testing.T, c cluster, h *lab.Host, args ...string) {
	t.Helper()
	run(t, h, append([]string{"ovsnet", "uninstall"}, args...)...)
	withoutDataPath(t, h)
	all := c.keys(t, "")
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(key, "spaces/") {
			continue // no claim, and gone with its lease
		}
		if strings.Contains(key, h.Name) || strings.Contains(all[key], `"`+h.Name+`"`) {
			t.Errorf("etcd has %s = %s", key, all[key])
		}
	}
}

// comeBack starts the agent of a host that was taken out: it takes part again.
func comeBack(t *testing.T, h *lab.Host) {
	t.Helper()
	stopAgent(t, h)
	startProcess(t, h, lab.Agent, true)
}
