package e2e

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// What it must show: what a container sends by other ways than its endpoint reaches neither a tunnel nor its host.
func TestGuard(t *testing.T) {
	l := up(t, lab.Options{Hosts: 3})
	h := l.Hosts()
	createNetwork(t, h[:2], "web", "--subnet", cidr)
	target := member{runContainer(t, h[1], "web", "target"), "web"}
	peer := runContainer(t, h[0], "web", "peer", "--cap-add", "NET_ADMIN")
	peer.waitReaches(t, target.addr)
	t.Run("tunnel packets of a container", func(t *testing.T) { testInjected(t, l, peer, target) })
	t.Run("the host behind the container's link", func(t *testing.T) { testHostSilent(t, peer) })
	peer.waitReaches(t, target.addr)
}

// testInjected lets a container send tunnel packets into its own network, through Docker's bridge: as itself, which its
// host translates to its VTEP, and with VTEPs as source. Then its host sends one, to see that such a packet arrives.
func testInjected(t *testing.T, l *lab.Lab, from container, target member) {
	vni := query[struct{ VNI uint32 }](t, l.Host(1), "network", "inspect", "web").VNI
	packet := vxlanUDP(t, vni, macOf(t, from), macOf(t, target.container), from.addr, target.addr)
	// Offloaded checksums would be wrong in Open vSwitch, and the packet dropped for that.
	from.run(t, "ethtool", "-K", "eth1", "tx", "off")
	before := counters(t, target).ToPackets
	for _, c := range []struct {
		source, to string
		dropped    dropRule
	}{
		{"", "192.0.2.2", "postrouting"},
		{"192.0.2.1", "192.0.2.2", "prerouting"},
		{"192.0.2.3", "192.0.2.2", "prerouting"},
		{"192.0.2.2", "192.0.2.1", "prerouting"},
	} {
		t.Run(fmt.Sprintf("from %q to %s", c.source, c.to), func(t *testing.T) {
			drops := c.dropped.count(t, from.host)
			sendFrom(t, from, c.source, c.to, packet)
			// The packet was on its way through the host's kernel when it was sent, and is counted or gone.
			if count := c.dropped.count(t, from.host) - drops; count != 1 {
				t.Errorf("the guard counts %d packets", count)
			}
		})
	}
	// What is sent last arrives last, so before is settled by then.
	sendUDP(t, from.host, "192.0.2.2:4789", packet, 1)
	eventually(t, "a packet of the host arrives, and only that", func() (string, bool) {
		through := counters(t, target).ToPackets - before
		return fmt.Sprintf("%d arrived", through), through == 1
	})
}

// sendFrom sends a datagram to a host's tunnel port from a container, with the source if that is not empty.
func sendFrom(t *testing.T, from container, source, to string, payload []byte) {
	t.Helper()
	if source != "" {
		gateway := strings.Fields(from.run(t, "ip", "route", "show", "default"))[2]
		from.run(t, "ip", "addr", "add", source+"/32", "dev", "eth1")
		defer from.run(t, "ip", "addr", "del", source+"/32", "dev", "eth1")
		from.run(t, "ip", "route", "replace", to+"/32", "via", gateway, "dev", "eth1", "src", source)
		defer from.run(t, "ip", "route", "del", to+"/32")
	}
	from.run(t, "bash", "-c", fmt.Sprintf("echo %s | base64 -d > /dev/udp/%s/4789", base64.StdEncoding.EncodeToString(payload), to))
}

// dropRule is the chain of the guard whose rules count.
type dropRule string

// count is what the rules of the chain dropped on the host.
func (d dropRule) count(t *testing.T, h *lab.Host) int {
	t.Helper()
	sum := 0
	// Without the chain nothing is counted, and it shows whether the packets arrive.
	text, _ := try(t, h, "nft", "list", "chain", "inet", "ovsnet", string(d))
	for line := range strings.Lines(text) {
		var packets int
		if _, rest, found := strings.Cut(line, "counter packets "); found {
			if _, err := fmt.Sscanf(rest, "%d", &packets); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			sum += packets
		}
	}
	return sum
}

// testHostSilent asks for the host's addresses at the container's own link, where OVS lets nothing of it through.
func testHostSilent(t *testing.T, c container) {
	addr := "192.0.2.1"
	if out, err := c.try(t, "arping", "-I", "eth0", "-c", "2", "-w", "2", addr); err == nil {
		t.Errorf("the host answers ARP: %s", out)
	}
	// The host's end of the link takes whatever names it.
	link := strings.TrimPrefix(c.run(t, "cat", "/sys/class/net/eth0/iflink"), "0")
	mac := strings.Fields(run(t, c.host, "sh", "-c", "ip -o link | sed -n 's/^"+link+": .*link.ether \\([0-9a-f:]*\\) .*/\\1/p'"))
	if len(mac) != 1 {
		t.Fatalf("the host's end of link %s has the MACs %v", link, mac)
	}
	c.run(t, "ip", "route", "add", addr+"/32", "dev", "eth0")
	defer c.run(t, "ip", "route", "del", addr+"/32", "dev", "eth0")
	c.run(t, "ip", "neigh", "replace", addr, "lladdr", mac[0], "dev", "eth0", "nud", "permanent")
	defer c.run(t, "ip", "neigh", "del", addr, "dev", "eth0")
	received := func() string {
		return run(t, c.host, "sh", "-c", "grep ^Icmp: /proc/net/snmp | tail -n 1 | cut -d ' ' -f 2")
	}
	before := received()
	if out, err := c.try(t, "ping", "-c", "2", "-i", "0.1", "-W", "1", addr); err == nil {
		t.Errorf("the host answers a ping: %s", out)
	}
	if after := received(); after != before {
		t.Errorf("the host's kernel took %s ICMP messages before and %s after", before, after)
	}
}
