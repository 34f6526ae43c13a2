package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// What bad input gets, where the bad input is how a host is set up.
func TestHosts(t *testing.T) {
	l := up(t, lab.Options{Hosts: 3, Agents: map[string]lab.AgentOptions{"h2": {Args: []string{"--address-pool", "10.77.0.0/23"}}}})
	c := openCluster(t, l)
	createNetwork(t, []*lab.Host{l.Host(1)}, "base", "--subnet", "10.99.1.0/24")
	for _, test := range []struct {
		what string
		run  func(*testing.T, *lab.Lab)
	}{
		{"exhausted address pool", testNoPool},
		{"routes in the way", testRoutes},
		{"an underlay too narrow for the network", testNarrowUnderlay},
		{"the node name of another host", testNameTaken},
		{"the VTEP address of another host", testVTEPTaken},
		{"another flow-based VXLAN port", testOtherTunnel},
	} {
		t.Run(test.what, func(t *testing.T) {
			leavesNothing(t, l, c, func() { test.run(t, l) })
		})
	}
}

func testNoPool(t *testing.T, l *lab.Lab) {
	h := l.Host(2)
	run(t, h, plainArgs("auto1")...)
	run(t, h, plainArgs("auto2")...)
	refused(t, h, []string{"address pool 10.77.0.0/23", "no free /24 is left", "name a --subnet"}, plainArgs("auto3")...)
	removeNetwork(t, "auto1", h)
	removeNetwork(t, "auto2", h)
}

// testRoutes: a subnet that a route of the host has would take packets from the one or the other.
func testRoutes(t *testing.T, l *lab.Lab) {
	h := l.Host(2)
	for _, route := range []string{"10.77.0.0/16", "10.99.0.0/16"} {
		run(t, h, "ip", "route", "add", route, "via", "192.0.2.254")
		defer run(t, h, "ip", "route", "del", route)
	}
	refused(t, h, []string{"address pool 10.77.0.0/23", "route 10.77.0.0/16", "--address-pool"}, plainArgs("auto")...)
	refused(t, h, []string{"subnet 10.99.2.0/24", "route 10.99.0.0/16", "choose another subnet"}, createArgs("other", "--subnet", "10.99.2.0/24")...)
	refused(t, h, []string{`network "base"`, "10.99.1.0/24", "route 10.99.0.0/16"}, createArgs("base")...)
}

// testNarrowUnderlay: whoever cannot carry a network's packets may not join it.
func testNarrowUnderlay(t *testing.T, l *lab.Lab) {
	h := l.Host(2)
	setUnderlayMTU(t, l, h, "1400")
	restartAgent(t, h, lab.AgentOptions{}, true)
	refused(t, h, []string{`network "base"`, "MTU is 1450", "at most 1350", "raise the MTU of this host's underlay"}, createArgs("base")...)
	refused(t, h, []string{"com.docker.network.driver.mtu=1351", "1350"}, createArgs("slim", "--subnet", "10.98.0.0/24", "-o", "com.docker.network.driver.mtu=1351")...)
	run(t, h, createArgs("slim", "--subnet", "10.98.0.0/24")...)
	if n := networkNamed(t, h, "slim"); n.MTU != 1350 {
		t.Errorf("a network made where 1350 bytes fit has MTU %d", n.MTU)
	}
	removeNetwork(t, "slim", h)
	setUnderlayMTU(t, l, h, "1500")
	restartAgent(t, h, lab.AgentOptions{}, true)
}

// setUnderlayMTU changes the MTU of the link that has the host's VTEP address.
func setUnderlayMTU(t *testing.T, l *lab.Lab, h *lab.Host, mtu string) {
	t.Helper()
	if l.Plan.Datapath == lab.Netdev {
		run(t, h, "ovs-vsctl", "set", "interface", "br-phy", "mtu_request="+mtu)
		return
	}
	run(t, h, "ip", "link", "set", "eth0", "mtu", mtu)
}

// waitUnready waits until the host's agent says that containers cannot join, with all of the words as the reason, and
// that its exit status says so too.
func waitUnready(t *testing.T, h *lab.Host, words ...string) {
	t.Helper()
	eventually(t, "the agent on "+h.Name+" says "+strings.Join(words, ", "), func() (string, bool) {
		text, err := try(t, h, "ovsnet", "status")
		missing := slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
		return text, err != nil && strings.Contains(text, "no: ") && !missing
	})
}

// testNameTaken starts h2's agent under the name of h3.
func testNameTaken(t *testing.T, l *lab.Lab) {
	h := l.Host(2)
	restartAgent(t, h, lab.AgentOptions{Args: []string{"--node", "h3"}}, false)
	waitUnready(t, h, `node "h3"`, "192.0.2.3")
	refused(t, h, []string{`node "h3"`}, createArgs("bad", "--subnet", "10.97.0.0/24")...)
	eventually(t, "whose name it is does not suffer", func() (string, bool) {
		s, said := statusOf(t, l.Host(3))
		return said, s.Ready
	})
	restartAgent(t, h, lab.AgentOptions{}, true)
}

// underlayLink is the link that has a host's VTEP address.
func underlayLink(l *lab.Lab) string {
	if l.Plan.Datapath == lab.Netdev {
		return "br-phy"
	}
	return "eth0"
}

// testVTEPTaken starts h2's agent with the address of h3, which it has on a link for a while.
func testVTEPTaken(t *testing.T, l *lab.Lab) {
	h := l.Host(2)
	link := underlayLink(l)
	run(t, h, "ip", "addr", "add", "192.0.2.3/32", "dev", link)
	restartAgent(t, h, lab.AgentOptions{Args: []string{"--vtep", "192.0.2.3"}}, false)
	waitUnready(t, h, "192.0.2.3", `"h3"`)
	refused(t, h, []string{"192.0.2.3", `"h3"`}, createArgs("bad", "--subnet", "10.97.0.0/24")...)
	run(t, h, "ip", "addr", "del", "192.0.2.3/32", "dev", link)
	restartAgent(t, h, lab.AgentOptions{}, true)
}

// testOtherTunnel: Open vSwitch takes one flow-based tunnel for a UDP port. Whose came first stays.
func testOtherTunnel(t *testing.T, l *lab.Lab) {
	h := l.Host(3)
	createNetwork(t, []*lab.Host{h}, "base")
	stopAgent(t, h)
	run(t, h, "ovs-vsctl", "del-br", "br-ovsnet", "--", "add-br", "br-other", "--", "set", "bridge", "br-other", "datapath_type="+string(l.Plan.Datapath),
		"--", "add-port", "br-other", "other-vxlan", "--", "set", "interface", "other-vxlan", "type=vxlan", "options:remote_ip=flow", "options:key=flow")
	startProcess(t, h, lab.Agent, false)
	waitUnready(t, h, "other-vxlan", "4789", "--vxlan-port")
	refused(t, h, []string{"other-vxlan", "--vxlan-port"}, runWith("base")...)
	run(t, h, "ovs-vsctl", "del-br", "br-other")
	eventually(t, "the host serves again by itself", func() (string, bool) {
		text, err := try(t, h, "ovsnet", "status")
		return text, err == nil
	})
	run(t, h, runWith("base")...)
	removeNetwork(t, "base", h)
}
