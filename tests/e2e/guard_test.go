package e2e

import (
	"encoding/base64"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// What it must show: what a container sends by other ways than its endpoint reaches neither a tunnel nor its host.
func TestGuard(t *testing.T) {
	l := up(t, lab.Options{Hosts: 3})
	h := l.Hosts()
	createNetwork(t, h[:2], "web", "--subnet", cidr)
	target := member{runContainer(t, h[1], "web", "target", "--cap-add", "NET_ADMIN"), "web"}
	peer := runContainer(t, h[0], "web", "peer", "--cap-add", "NET_ADMIN", "-p", "5353:5353/udp")
	acquaint(t, peer, target.container)
	peer.waitReaches(t, target.addr)
	// Offloaded checksums would be wrong in Open vSwitch, and the packet dropped for that.
	peer.run(t, "ethtool", "-K", "eth1", "tx", "off")
	t.Run("tunnel packets of a container", func(t *testing.T) { testInjected(t, l, peer, target) })
	t.Run("answers that are tunnel packets", func(t *testing.T) { testAnswered(t, l, peer, target) })
	t.Run("the host behind the container's link", func(t *testing.T) { testHostSilent(t, peer) })
	t.Run("without etcd", func(t *testing.T) { testGuardWithoutEtcd(t, h[2]) })
	t.Run("switched off", func(t *testing.T) { testGuardOff(t, h[2]) })
	peer.waitReaches(t, target.addr)
}

// testInjected lets a container send tunnel packets into its own network, through Docker's bridge: as itself, which its
// host translates to its VTEP, and with VTEPs as source. Then its host sends one, to see that such a packet arrives.
func testInjected(t *testing.T, l *lab.Lab, from container, target member) {
	vni := query[struct{ VNI uint32 }](t, l.Host(1), "network", "inspect", "web").VNI
	packet := vxlanUDP(t, vni, macOf(t, from), macOf(t, target.container), from.addr, target.addr)
	before := counters(t, target).ToPackets
	for _, c := range []struct {
		source, to string
		dropped    dropRule
	}{
		{"", "192.0.2.2", "translated"},
		{"192.0.2.1", "192.0.2.2", "claimed"},
		{"192.0.2.3", "192.0.2.2", "claimed"},
		{"192.0.2.2", "192.0.2.1", "arriving"},
	} {
		t.Run(fmt.Sprintf("from %q to %s", c.source, c.to), func(t *testing.T) {
			drops := c.dropped.count(t, from.host)
			sendFrom(t, from, c.source, c.to, packet)
			c.dropped.waitOne(t, from.host, drops)
		})
	}
	onlyTheHosts(t, from.host, packet, target, before)
}

// onlyTheHosts sends a tunnel packet from the host and holds that the target got this one, and no other, since it had
// got so many.
func onlyTheHosts(t *testing.T, h *lab.Host, packet []byte, target member, before uint64) {
	t.Helper()
	// What is sent last arrives last, so before is settled by then.
	sendUDP(t, h, "192.0.2.2:4789", packet, 1)
	eventually(t, "a packet of the host arrives, and only that", func() (string, bool) {
		through := counters(t, target).ToPackets - before
		return fmt.Sprintf("%d arrived", through), through == 1
	})
}

// testAnswered lets a container ask the port that it published, in a peer's name and from the tunnel's port: Docker's
// proxy would answer with what the container says, from its host's VTEP to the peer's tunnel.
func testAnswered(t *testing.T, l *lab.Lab, from container, target member) {
	vni := query[struct{ VNI uint32 }](t, l.Host(1), "network", "inspect", "web").VNI
	packet := vxlanUDP(t, vni, macOf(t, from), macOf(t, target.container), from.addr, target.addr)
	service := from.listen(t, ":5353")
	go func() {
		buffer := make([]byte, 2000)
		for {
			n, asker, err := service.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = service.WriteTo(buffer[:n], asker)
		}
	}()
	before, drops := counters(t, target).ToPackets, dropRule("claimed").count(t, from.host)
	const peer = "192.0.2.2"
	from.run(t, "ip", "addr", "add", peer+"/32", "dev", "eth1")
	defer from.run(t, "ip", "addr", "del", peer+"/32", "dev", "eth1")
	published := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5353}
	if _, err := from.listen(t, peer+":4789").WriteTo(packet, published); err != nil {
		t.Fatal(err)
	}
	// What is asked next is answered next.
	honest := from.listen(t, "0.0.0.0:4790")
	if _, err := honest.WriteTo([]byte("honest"), published); err != nil {
		t.Fatal(err)
	}
	_ = honest.SetReadDeadline(time.Now().Add(statePatience))
	if _, _, err := honest.ReadFrom(make([]byte, 100)); err != nil {
		t.Fatalf("the container reaches its own service through the published port: %v", err)
	}
	dropRule("claimed").waitOne(t, from.host, drops)
	onlyTheHosts(t, from.host, packet, target, before)
}

// listen is a socket in the container until the test ends.
func (c container) listen(t *testing.T, address string) net.PacketConn {
	t.Helper()
	host, err := c.host.NetNS()
	if err != nil {
		t.Fatal(err)
	}
	// The host has processes of its own, which its first one sees.
	pid := run(t, c.host, "docker", "inspect", "-f", "{{.State.Pid}}", c.name)
	path := filepath.Join(host, "../../root/proc", pid, "ns/net")
	var socket net.PacketConn
	err = inNamespace(path, func() (err error) {
		var config net.ListenConfig
		socket, err = config.ListenPacket(t.Context(), "udp4", address)
		return err
	})
	if err != nil {
		t.Fatalf("listen at %s in %s: %v", address, c.name, err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return socket
}

// testGuardWithoutEtcd starts the agent as after a boot, when there is no etcd yet.
func testGuardWithoutEtcd(t *testing.T, h *lab.Host) {
	stopAgent(t, h)
	run(t, h, "nft", "delete table inet ovsnet")
	restartAgent(t, h, lab.AgentOptions{Etcd: "https://192.0.2.1:1"}, false)
	eventually(t, "the host is guarded", func() (string, bool) {
		text, err := try(t, h, "nft", "list", "chain", "inet", "ovsnet", "claimed")
		return fmt.Sprint(text, err), err == nil && strings.Contains(text, "fib saddr . iif oif missing")
	})
	if out, err := try(t, h, "ovsnet", "status"); err == nil {
		t.Errorf("the host is ready: %s", out)
	}
	restartAgent(t, h, lab.AgentOptions{}, true)
	eventually(t, "the guard knows the hosts", func() (string, bool) {
		text, err := try(t, h, "nft", "list", "set", "inet", "ovsnet", "vteps4")
		return fmt.Sprint(text, err), err == nil && strings.Contains(strings.Join(strings.Fields(text), " "), "{ 192.0.2.1, 192.0.2.2, 192.0.2.3 }")
	})
}

func testGuardOff(t *testing.T, h *lab.Host) {
	restartAgent(t, h, lab.AgentOptions{Args: []string{"--guard", "off"}}, true)
	unguarded(t, h)
	if text, _ := try(t, h, "ovsnet", "status"); !strings.Contains(text, "--guard off") {
		t.Errorf("the status does not warn:\n%s", text)
	}
	restartAgent(t, h, lab.AgentOptions{}, true)
	run(t, h, "nft", "list", "table", "inet", "ovsnet")
}

// unguarded holds that the host has none of the guard's tables.
func unguarded(t *testing.T, h *lab.Host) {
	t.Helper()
	if tables := run(t, h, "nft", "list", "tables"); strings.Contains(tables, "ovsnet") {
		t.Errorf("%s still has tables of the guard:\n%s", h.Name, tables)
	}
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

// waitOne waits until the chain has dropped one packet more than before: another processor may still be at it.
func (d dropRule) waitOne(t *testing.T, h *lab.Host, before int) {
	t.Helper()
	eventually(t, "the guard counts one packet", func() (string, bool) {
		count := d.count(t, h) - before
		return fmt.Sprintf("%d counted", count), count == 1
	})
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
