package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// cidr is the subnet that both networks of these tests have, each in its own address space.
const cidr = "10.10.0.0/24"

// member is a container that says its name to whoever connects to port 7.
type member struct {
	container
	network string
}

// twoNetworks makes red and blue on every host and a container in each: some addresses both have, one each only one.
func twoNetworks(t *testing.T, l *lab.Lab) []member {
	t.Helper()
	var all []member
	for i, network := range []string{"red", "blue"} {
		for n, h := range l.Hosts() {
			// Docker takes --ip only where the network was created with --subnet.
			createNetwork(t, []*lab.Host{h}, network, "--subnet", cidr)
			name := fmt.Sprintf("%s-%d", network, n+1)
			ip := fmt.Sprintf("10.10.0.%d", 11+i+n)
			run(t, h, "docker", "run", "-d", "--name", name, "--hostname", name, "--network", network, "--ip", ip,
				"--cap-add", "NET_ADMIN", lab.ImageName, "nc", "-ll", "-p", "7", "-e", "hostname")
			all = append(all, member{container{host: h, name: name, addr: ip}, network})
		}
	}
	return all
}

// What it must show: two networks with the same subnet numbers on three hosts.
func TestIsolation(t *testing.T) {
	l := up(t, lab.Options{Hosts: 3})
	all := twoNetworks(t, l)
	t.Run("every container reaches its own network's containers and none of the other's", func(t *testing.T) { testReach(t, all) })
	t.Run("what crosses the underlay", func(t *testing.T) { testUnderlay(t, l, all) })
	t.Run("forged sources", func(t *testing.T) { testForged(t, all) })
	t.Run("a tunnel packet from no peer", func(t *testing.T) { testStranger(t, l, all) })
	t.Run("arping -D", func(t *testing.T) { testProbe(t, all) })
}

// testReach asks every address that any container has for its owner's name, from everywhere.
func testReach(t *testing.T, all []member) {
	addrs := map[string]bool{}
	owner := map[string]string{}
	for _, m := range all {
		addrs[m.addr] = true
		owner[m.network+m.addr] = m.name
	}
	for _, m := range all {
		want := map[string]string{}
		for addr := range addrs {
			if name := owner[m.network+addr]; name != "" {
				want[addr] = name
			}
		}
		eventually(t, m.name+" reaches its network, and only that", func() (string, bool) {
			diff := cmp.Diff(want, m.answers(t, slices.Collect(maps.Keys(addrs))))
			return "(-want +got):\n" + diff, diff == ""
		})
	}
}

// answers are the names of those who answer at the addresses.
func (m member) answers(t *testing.T, addrs []string) map[string]string {
	t.Helper()
	script := `for a in "$@"; do (n=$(nc -w 1 $a 7 2>/dev/null) && echo $a $n) & done; wait`
	out := m.run(t, append([]string{"sh", "-c", script, "sh"}, addrs...)...)
	names := map[string]string{}
	for line := range strings.Lines(out) {
		addr, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		names[addr] = name
	}
	return names
}

// testUnderlay looks at the tunnels of h1 while its containers talk, and ask for what nobody has.
func testUnderlay(t *testing.T, l *lab.Lab, all []member) {
	vnis := map[string]int{}
	for _, n := range query[[]struct {
		Name string
		VNI  int
	}](t, l.Host(1), "network", "ls") {
		vnis[n.Name] = n.VNI
	}
	if vnis["red"] == vnis["blue"] || vnis["red"] == 0 || vnis["blue"] == 0 {
		t.Fatalf("the VNIs are %v", vnis)
	}
	macs := []string{"ff:ff:ff:ff:ff:ff"}
	for _, m := range all {
		macs = append(macs, macOf(t, m.container))
	}
	watch := watchTunnels(t, l, "h1")
	red, blue := all[0], all[3]
	for _, m := range []member{red, blue} {
		m.run(t, "ip", "neigh", "flush", "dev", "eth0")
		m.run(t, "ip", "neigh", "replace", "10.10.0.99", "lladdr", "02:42:0a:0a:00:63", "dev", "eth0", "nud", "permanent")
		m.run(t, "sh", "-c", `ping -q -c 1 -W 1 10.10.0.99 & ping -q -c 1 -W 1 10.10.0.98 & arping -q -c 1 -w 1 -I eth0 10.10.0.97 & wait`)
	}
	red.run(t, "ping", "-q", "-c", "2", "-i", "0.1", all[1].addr)
	blue.run(t, "ping", "-q", "-c", "2", "-i", "0.1", all[5].addr)
	// The port number marks the end of what is to be looked at.
	red.run(t, "sh", "-c", "nc -w 10 "+all[2].addr+" 4242; true")
	seen := map[string]int{}
	for _, p := range watch.until(t, ".4242: Flags [S]") {
		sender, rest, _ := strings.Cut(p.frame, " > ")
		target, _, _ := strings.Cut(rest, ",")
		if !strings.Contains(p.frame, "ethertype IPv4") || !slices.Contains(macs, sender) || !slices.Contains(macs, target) {
			t.Errorf("what is neither IPv4 nor between endpoints crossed the underlay: %s", p.frame)
		}
		// Of all addresses only red's first and blue's last tell the network.
		for network, only := range map[string]string{"red": "10.10.0.11", "blue": "10.10.0.14"} {
			if !strings.Contains(p.frame, only+" ") && !strings.Contains(p.frame, only+":") {
				continue
			}
			if seen[network]++; p.vni != vnis[network] {
				t.Errorf("VNI %d of %v is on %s", p.vni, vnis, p.frame)
			}
		}
	}
	if seen["red"] < 4 || seen["blue"] < 4 {
		t.Errorf("packets seen by network: %v", seen)
	}
}

func macOf(t *testing.T, c container) string {
	t.Helper()
	return c.run(t, "cat", "/sys/class/net/eth0/address")
}

// acquaint tells the containers each other's MACs for good. Else a kernel asks again five seconds after it used what it
// had once learned, and an answer is a packet that no test sent.
func acquaint(t *testing.T, all ...container) {
	t.Helper()
	for _, c := range all {
		for _, other := range all {
			if other != c {
				learn(t, c, other)
			}
		}
	}
}

// learn tells a container another's MAC for good.
func learn(t *testing.T, c, other container) {
	t.Helper()
	c.run(t, "ip", "neigh", "replace", other.addr, "lladdr", macOf(t, other), "dev", "eth0", "nud", "permanent")
}

// counters are the container's, as its host counts them.
func counters(t *testing.T, m member) agent.Counters {
	t.Helper()
	type row struct {
		Counters agent.Counters `json:"counters"`
	}
	return query[row](t, m.host, "endpoint", "inspect", m.addr, "--network", m.network).Counters
}

// forgeries is how many packets each way to forge sends. It is more than the kernel asks for a neighbour in that time:
// a forger that knows no neighbour, and sends no IP, is seen.
const forgeries = 4

// testForged lets a container send as if it were another: its own host drops and counts all of it.
func testForged(t *testing.T, all []member) {
	forger, victim, other := all[0], all[1], all[2]
	own, count := macOf(t, forger.container), fmt.Sprint(forgeries)
	acquaint(t, forger.container, victim.container, other.container)
	forger.waitReaches(t, victim.addr)
	for _, c := range []struct{ what, prepare, send, undo string }{
		{"source IP", "ip addr add " + other.addr + "/32 dev eth0", "ping -q -c " + count + " -i 0.02 -W 1 -I " + other.addr + " " + victim.addr, "ip addr del " + other.addr + "/32 dev eth0"},
		{"source MAC", "ip link set eth0 address " + macOf(t, other.container), "ping -q -c " + count + " -i 0.02 -W 1 " + victim.addr, "ip link set eth0 address " + own},
		{"ARP sender", "ip addr add " + other.addr + "/32 dev eth0", "arping -q -U -c " + count + " -w 10 -s " + other.addr + " -I eth0 " + other.addr, "ip addr del " + other.addr + "/32 dev eth0"},
	} {
		t.Run(c.what, func(t *testing.T) {
			forger.run(t, strings.Fields(c.prepare)...)
			// With another MAC the kernel forgets whom it knew, and would only ask.
			learn(t, forger.container, victim.container)
			before, got := counters(t, forger), counters(t, victim)
			if out, err := forger.try(t, strings.Fields(c.send)...); err == nil && !strings.Contains(c.send, "arping") {
				t.Errorf("it is answered: %s", out)
			}
			eventually(t, "every packet is counted as spoofed", func() (string, bool) {
				after := counters(t, forger)
				sent, spoofed := after.FromPackets-before.FromPackets, after.Spoofed-before.Spoofed
				return fmt.Sprintf("%d sent, %d counted", sent, spoofed), sent >= forgeries && spoofed == sent
			})
			if through := counters(t, victim).ToPackets - got.ToPackets; through != 0 {
				t.Errorf("%d packets came through to %s, whose neighbours are\n%s", through, victim.name, victim.run(t, "ip", "neigh"))
			}
			forger.run(t, strings.Fields(c.undo)...)
			acquaint(t, forger.container, victim.container, other.container)
			forger.waitReaches(t, victim.addr)
		})
	}
}

// testStranger sends the same tunnel packet from an address that is no peer, and from one that is.
func testStranger(t *testing.T, l *lab.Lab, all []member) {
	target := all[0]
	vni := query[struct{ VNI uint32 }](t, l.Host(1), "network", "inspect", target.network).VNI
	packet := vxlanUDP(t, vni, macOf(t, all[1].container), macOf(t, target.container), all[1].addr, target.addr)
	const count = 5
	send := func(from *lab.Host) (unknown, delivered uint64) {
		drops, before := classifyDrops(t, target.host), counters(t, target)
		sendUDP(t, from, "192.0.2.1:4789", packet, count)
		eventually(t, "the packets from "+from.Name+" are counted", func() (string, bool) {
			unknown, delivered = classifyDrops(t, target.host)-drops, counters(t, target).ToPackets-before.ToPackets
			return fmt.Sprintf("%d dropped, %d delivered", unknown, delivered), unknown+delivered >= count
		})
		return unknown, delivered
	}
	if unknown, delivered := send(l.Net()); unknown != count || delivered != 0 {
		t.Errorf("of %d packets from no peer %d are dropped and %d delivered", count, unknown, delivered)
	}
	if unknown, delivered := send(l.Host(2)); unknown != 0 || delivered < count {
		t.Errorf("of %d packets from a peer %d are dropped and %d delivered", count, unknown, delivered)
	}
}

// classifyDrops counts what the host dropped for coming from nowhere that it knows.
func classifyDrops(t *testing.T, h *lab.Host) uint64 {
	t.Helper()
	var sum uint64
	for _, f := range query[[]flowLine](t, h, "flows", "ls", "--table", "Classify") {
		if f.Actions == "drop" {
			sum += f.Packets
		}
	}
	return sum
}

// What it must show: `arping -D` finds a taken address and passes a free one.
func testProbe(t *testing.T, all []member) {
	// Where an address is taken arping ends with the first answer, however late that is.
	asks := all[0]
	for _, m := range all[1:3] {
		if out, err := asks.try(t, "arping", "-D", "-I", "eth0", "-c", "10", "-w", "10", m.addr); err == nil {
			t.Errorf("%s of %s seems free: %s", m.addr, m.name, out)
		}
	}
	neighbour := runContainer(t, asks.host, asks.network, "neighbour")
	if out, err := asks.try(t, "arping", "-D", "-I", "eth0", "-c", "10", "-w", "10", neighbour.addr); err == nil {
		t.Errorf("%s on the same host seems free: %s", neighbour.addr, out)
	}
	for _, free := range []string{"10.10.0.99", asks.addr} {
		asks.run(t, "arping", "-D", "-I", "eth0", "-c", "1", "-w", "1", free)
	}
}
