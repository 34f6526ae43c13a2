package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// What to build, item 7: what a Docker user expects of a network.
func TestDocker(t *testing.T) {
	l := up(t, lab.Options{})
	h1, h2 := l.Host(1), l.Host(2)
	createNetwork(t, []*lab.Host{h1}, "web", "--subnet", "10.20.0.0/24", "--gateway", "10.20.0.254", "--ip-range", "10.20.0.64/28")
	createNetwork(t, []*lab.Host{h2}, "web")
	peer := runContainer(t, h2, "web", "peer")
	t.Run("--ip and --mac-address", func(t *testing.T) { testStatic(t, h1, peer) })
	t.Run("--ip-range", func(t *testing.T) { testRange(t, h1) })
	t.Run("network connect and disconnect", func(t *testing.T) { testConnect(t, l) })
	t.Run("run --rm frees address and link", func(t *testing.T) { testRemove(t, l) })
	t.Run("published port and the way out", func(t *testing.T) { testOutside(t, l) })
	t.Run("--internal", func(t *testing.T) { testInternal(t, l) })
	t.Run("driver.mtu", func(t *testing.T) { testMTU(t, l) })
	t.Run("two containers of one host", func(t *testing.T) {
		one, two := runContainer(t, h1, "web", "one"), runContainer(t, h1, "web", "two")
		one.waitReaches(t, two.addr)
	})
}

func testStatic(t *testing.T, h *lab.Host, peer container) {
	c := runContainer(t, h, "web", "static", "--ip", "10.20.0.7", "--mac-address", "06:00:00:00:00:07")
	if out := c.run(t, "ip", "addr", "show", "eth0"); !strings.Contains(out, "10.20.0.7/24") || !strings.Contains(out, "06:00:00:00:00:07") {
		t.Errorf("the container has:\n%s", out)
	}
	peer.waitReaches(t, "10.20.0.7")
	if out := peer.run(t, "ip", "neigh", "show", "10.20.0.7"); !strings.Contains(out, "06:00:00:00:00:07") {
		t.Errorf("its peer knows it as %s", out)
	}
	c.remove(t)
}

// testRange: whoever names no address gets one of the range, where the range was given.
func testRange(t *testing.T, h *lab.Host) {
	for _, name := range []string{"range-1", "range-2"} {
		c := runContainer(t, h, "web", name)
		defer c.remove(t)
		var last int
		if _, err := fmt.Sscanf(c.addr, "10.20.0.%d", &last); err != nil || last < 64 || last > 79 {
			t.Errorf("%s is outside 10.20.0.64/28", c.addr)
		}
	}
}

// testConnect moves a running container into a second network and out again.
func testConnect(t *testing.T, l *lab.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	createNetwork(t, l.Hosts(), "side", "--subnet", "10.21.0.0/24")
	mover, peer := runContainer(t, h1, "web", "mover"), runContainer(t, h2, "side", "side-peer")
	if mover.reaches(t, peer.addr) {
		t.Error("it reaches a network that it is not connected to")
	}
	leavesNothing(t, l, openCluster(t, l), func() {
		run(t, h1, "docker", "network", "connect", "side", "mover")
		mover.waitReaches(t, peer.addr)
		run(t, h1, "docker", "network", "disconnect", "side", "mover")
	})
	if mover.reaches(t, peer.addr) {
		t.Error("it still reaches the network that it was disconnected from")
	}
}

// testRemove: an address that a container had is free when docker says that the container is gone.
func testRemove(t *testing.T, l *lab.Lab) {
	leavesNothing(t, l, openCluster(t, l), func() {
		for range 2 {
			run(t, l.Host(1), "docker", "run", "--rm", "--network", "web", "--ip", "10.20.0.9", lab.ImageName, "true")
			run(t, l.Host(1), "docker", "run", "--rm", "--network", "web", lab.ImageName, "true")
		}
	})
	run(t, l.Host(1), "docker", "run", "--rm", "--network", "web", "--ip", "10.20.0.9", lab.ImageName, "true")
}

// testOutside: Docker's docker_gwbridge is the way in and out.
func testOutside(t *testing.T, l *lab.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	run(t, h1, "docker", "run", "-d", "--name", "served", "--hostname", "served", "--network", "web", "-p", "8080:7", lab.ImageName, "nc", "-ll", "-p", "7", "-e", "hostname")
	eventually(t, "h2 reaches the port that h1 publishes", func() (string, bool) {
		out, err := try(t, h2, "busybox", "nc", "-w", "1", "192.0.2.1", "8080")
		return out, err == nil && out == "served"
	})
	served := container{host: h1, name: "served"}
	served.waitReaches(t, "192.0.2.254")
	served.remove(t)
}

// testInternal: an internal network has peers and nothing else.
func testInternal(t *testing.T, l *lab.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	createNetwork(t, []*lab.Host{h1}, "inside", "--subnet", "10.22.0.0/24", "--internal")
	refused(t, h2, []string{`network "inside"`, "--internal true", "false was asked for"}, createArgs("inside")...)
	createNetwork(t, []*lab.Host{h2}, "inside", "--internal")
	one, two := runContainer(t, h1, "inside", "in-1"), runContainer(t, h2, "inside", "in-2")
	one.waitReaches(t, two.addr)
	if one.reaches(t, "192.0.2.254") {
		t.Error("a container of an internal network reaches the outside")
	}
	if out := one.run(t, "ls", "/sys/class/net"); strings.Contains(out, "eth1") {
		t.Errorf("it has a second link: %s", out)
	}
}

// testMTU: the network's MTU is the one of the containers' links, on every host.
func testMTU(t *testing.T, l *lab.Lab) {
	createNetwork(t, l.Hosts(), "narrow", "--subnet", "10.23.0.0/24", "-o", "com.docker.network.driver.mtu=1300")
	one, two := runContainer(t, l.Host(1), "narrow", "narrow-1"), runContainer(t, l.Host(2), "narrow", "narrow-2")
	for _, c := range []container{one, two} {
		if mtu := c.run(t, "cat", "/sys/class/net/eth0/mtu"); mtu != "1300" {
			t.Errorf("the link in %s has MTU %s", c.name, mtu)
		}
	}
	one.waitReaches(t, two.addr)
	one.waitCarries(t, 1272, two.addr)
	wide := runContainer(t, l.Host(1), "web", "wide")
	peer := container{host: l.Host(2), name: "peer", addr: addressOn(t, l.Host(2), "peer", "web")}
	wide.waitReaches(t, peer.addr)
	wide.waitCarries(t, 1422, peer.addr)
}

// waitCarries waits until a ping with so many bytes arrives in one piece. One that is too large never does.
func (c container) waitCarries(t *testing.T, size int, addr string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d bytes arrive at %s from %s", size, addr, c.name), func() (string, bool) {
		out, err := c.try(t, "ping", "-q", "-c", "1", "-W", "2", "-M", "do", "-s", fmt.Sprint(size), addr)
		return out, err == nil
	})
}
