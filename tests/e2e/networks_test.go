package e2e

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// networkRow is a network as `ovsnet network ls -o json` documents it.
type networkRow struct {
	ID, Name, Space string
	VNI             uint32
	MTU             int
	Internal        bool
	Durable         bool
	Endpoints       int
	Subnets         []struct {
		Prefix  netip.Prefix
		Gateway netip.Addr
	}
	Hosts []struct {
		Node      string
		Endpoints int
	}
}

// hostNames are the hosts that have the network.
func (n networkRow) hostNames() []string {
	var names []string
	for _, h := range n.Hosts {
		names = append(names, h.Node)
	}
	slices.Sort(names)
	return names
}

// networkNamed is the network, or nothing when the cluster has none of that name.
func networkNamed(t *testing.T, h *lab.Host, name string) networkRow {
	t.Helper()
	for _, n := range query[[]networkRow](t, h, "network", "ls") {
		if n.Name == name {
			return n
		}
	}
	return networkRow{}
}

// plainArgs is docker network create with none of ovsnet's names.
func plainArgs(name string, args ...string) []string {
	argv := []string{"docker", "network", "create", "-d", "ovsnet", "--ipam-driver", "ovsnet"}
	return append(append(argv, args...), name)
}

// What to build, item 7: networks come, are joined and go.
func TestNetworks(t *testing.T) {
	l := up(t, lab.Options{})
	c := openCluster(t, l)
	for _, test := range []struct {
		what string
		run  func(*testing.T, *lab.Lab)
	}{
		{"removal while another host uses it, and making it anew", testRemoval},
		{"no --subnet", testNoSubnet},
		{"made before any Docker host uses it", testMadeAhead},
		{"join with both names", testJoinBoth},
		{"join with --ipam-opt alone", testJoinPool},
		{"join with -o alone", testJoinName},
		{"join with neither", testJoinSubnet},
		{"another IPAM driver", testForeign},
	} {
		t.Run(test.what, func(t *testing.T) {
			leavesNothing(t, l, c, func() { test.run(t, l) })
		})
	}
}

func removeNetwork(t *testing.T, name string, hosts ...*lab.Host) {
	t.Helper()
	for _, h := range hosts {
		run(t, h, "docker", "network", "rm", name)
	}
}

// talk starts a container on each host, lets them reach each other and removes them.
func talk(t *testing.T, network string, hosts ...*lab.Host) {
	t.Helper()
	var all []container
	for _, h := range hosts {
		all = append(all, runContainer(t, h, network, network+"-"+h.Name))
	}
	for i := range all {
		all[i].waitReaches(t, all[(i+1)%len(all)].addr)
	}
	for _, c := range all {
		c.remove(t)
	}
}

func testRemoval(t *testing.T, l *lab.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	createNetwork(t, l.Hosts(), "shared", "--subnet", "10.30.0.0/24")
	one, two := runContainer(t, h2, "shared", "s1"), runContainer(t, h2, "shared", "s2")
	removeNetwork(t, "shared", h1)
	one.waitReaches(t, two.addr)
	if n := networkNamed(t, h1, "shared"); !slices.Equal(n.hostNames(), []string{"h2"}) || n.Endpoints != 2 {
		t.Errorf("after one host's removal the network is %+v", n)
	}
	createNetwork(t, []*lab.Host{h1}, "shared")
	back := runContainer(t, h1, "shared", "s3")
	back.waitReaches(t, two.addr)
	for _, c := range []container{one, two, back} {
		c.remove(t)
	}
	removeNetwork(t, "shared", h1, h2)
	if n := networkNamed(t, h1, "shared"); n.Name != "" {
		t.Errorf("after the last host's removal there still is %+v", n)
	}
	createNetwork(t, l.Hosts(), "shared", "--subnet", "10.31.0.0/24")
	talk(t, "shared", h1, h2)
	removeNetwork(t, "shared", h1, h2)
}

// testNoSubnet: the IPAM gives a free /24 of the agents' address pool.
func testNoSubnet(t *testing.T, l *lab.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	run(t, h1, plainArgs("auto1")...)
	run(t, h1, plainArgs("auto2")...)
	createNetwork(t, l.Hosts(), "auto3")
	pool := netip.MustParsePrefix("10.32.0.0/12")
	seen := map[netip.Prefix]bool{}
	for _, n := range query[[]networkRow](t, h1, "network", "ls") {
		subnet := n.Subnets[0].Prefix
		if subnet.Bits() != 24 || !pool.Contains(subnet.Addr()) || seen[subnet] {
			t.Errorf("network %s has subnet %s, others %v", n.Name, subnet, seen)
		}
		seen[subnet] = true
	}
	if len(seen) != 3 {
		t.Errorf("there are subnets %v", seen)
	}
	talk(t, "auto3", h1, h2)
	removeNetwork(t, "auto1", h1)
	removeNetwork(t, "auto2", h1)
	removeNetwork(t, "auto3", h1, h2)
}

// testMadeAhead: a network of the CLI is there before and after any host has it.
func testMadeAhead(t *testing.T, l *lab.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	run(t, h1, "ovsnet", "network", "create", "ahead", "--subnet", "10.33.0.0/24", "--gateway", "10.33.0.9", "--vni", "777", "--mtu", "1400")
	createNetwork(t, l.Hosts(), "ahead")
	talk(t, "ahead", h1, h2)
	refused(t, h1, []string{`network "ahead"`, "2 hosts have it: h1", "h2"}, "ovsnet", "network", "rm", "ahead")
	one := runContainer(t, h1, "ahead", "ahead-1")
	refused(t, h2, []string{`network "ahead"`, "1 endpoints", one.addr + ") on h1", "remove these containers first"}, "ovsnet", "network", "rm", "ahead")
	one.remove(t)
	removeNetwork(t, "ahead", h1, h2)
	if n := networkNamed(t, h2, "ahead"); n.VNI != 777 || n.MTU != 1400 || !n.Durable || n.Subnets[0].Gateway.String() != "10.33.0.9" {
		t.Errorf("without hosts it is %+v", n)
	}
	run(t, h2, "ovsnet", "network", "rm", "ahead")
}

// testJoinBoth: what the network has must not be said again, and when it is, it must be the same.
func testJoinBoth(t *testing.T, l *lab.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	createNetwork(t, []*lab.Host{h1}, "both", "--subnet", "10.34.0.0/24", "--gateway", "10.34.0.5", "-o", "ovsnet.vni=500", "-o", "com.docker.network.driver.mtu=1400")
	for _, c := range []struct{ args, words []string }{
		{[]string{"--subnet", "10.34.0.0/25"}, []string{"10.34.0.0/24", "10.34.0.0/25"}},
		{[]string{"--subnet", "10.34.0.0/24", "--gateway", "10.34.0.6"}, []string{"gateway 10.34.0.5", "10.34.0.6"}},
		{[]string{"-o", "ovsnet.vni=501"}, []string{"VNI 500", "501"}},
		{[]string{"-o", "com.docker.network.driver.mtu=1300"}, []string{"MTU 1400", "1300"}},
		{[]string{"--internal"}, []string{"--internal false", "true"}},
	} {
		refused(t, h2, append(c.words, `network "both"`), createArgs("both", c.args...)...)
	}
	run(t, h2, createArgs("both", "--subnet", "10.34.0.0/24", "--gateway", "10.34.0.5", "-o", "ovsnet.vni=500", "-o", "com.docker.network.driver.mtu=1400")...)
	removeNetwork(t, "both", h2)
	run(t, h2, createArgs("both")...)
	talk(t, "both", h1, h2)
	removeNetwork(t, "both", h1, h2)
}

// testJoinPool: with --ipam-opt alone the network driver finds the pending request by its subnet.
func testJoinPool(t *testing.T, l *lab.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	run(t, h1, plainArgs("pool", "--ipam-opt", "ovsnet.network=pool", "--subnet", "10.35.0.0/24")...)
	run(t, h2, plainArgs("pool", "--ipam-opt", "ovsnet.network=pool")...)
	if n := networkNamed(t, h1, "pool"); !slices.Equal(n.hostNames(), []string{"h1", "h2"}) || n.Space != "pool" {
		t.Errorf("the network is %+v", n)
	}
	talk(t, "pool", h1, h2)
	removeNetwork(t, "pool", h2)
	open := callPlugin(t, h2, "/IpamDriver.RequestPool", `{"AddressSpace":"ovsnet","Pool":"10.35.0.0/24","Options":{"ovsnet.network":"other"}}`)
	refused(t, h2, []string{"10.35.0.0/24 2 times", `"other"`, `"pool"`, "-o ovsnet.network=NAME"},
		plainArgs("pool", "--ipam-opt", "ovsnet.network=pool")...)
	callPlugin(t, h2, "/IpamDriver.ReleasePool", `{"PoolID":"`+open["PoolID"].(string)+`"}`)
	removeNetwork(t, "pool", h1)
}

// testJoinName: with -o alone the network must be new, or the subnet named again.
func testJoinName(t *testing.T, l *lab.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	run(t, h1, plainArgs("named", "-o", "ovsnet.network=named", "--subnet", "10.36.0.0/24")...)
	refused(t, h2, []string{`network "named"`, "--ipam-opt ovsnet.network=named"}, plainArgs("named", "-o", "ovsnet.network=named")...)
	refused(t, h2, []string{`network "named"`, "--ipam-opt ovsnet.network=named", "10.36.0.0/24"},
		plainArgs("named", "-o", "ovsnet.network=named", "--subnet", "10.37.0.0/24")...)
	run(t, h2, plainArgs("named", "-o", "ovsnet.network=named", "--subnet", "10.36.0.0/24")...)
	talk(t, "named", h1, h2)
	removeNetwork(t, "named", h1, h2)
}

// testJoinSubnet: without any name the subnet says which network is meant.
func testJoinSubnet(t *testing.T, l *lab.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	run(t, h1, plainArgs("here", "--subnet", "10.38.0.0/24")...)
	run(t, h2, plainArgs("there", "--subnet", "10.38.0.0/24")...)
	if n := networkNamed(t, h1, "net-10.38.0.0-24"); !slices.Equal(n.hostNames(), []string{"h1", "h2"}) {
		t.Errorf("the network is %+v", n)
	}
	one, two := runContainer(t, h1, "here", "here-1"), runContainer(t, h2, "there", "there-1")
	one.waitReaches(t, two.addr)
	one.remove(t)
	two.remove(t)
	removeNetwork(t, "here", h1)
	removeNetwork(t, "there", h2)
}

// testForeign: addresses of Docker's own IPAM driver are claimed too, so two hosts never have the same.
func testForeign(t *testing.T, l *lab.Lab) {
	h1, h2 := l.Host(1), l.Host(2)
	for _, h := range l.Hosts() {
		run(t, h, "docker", "network", "create", "-d", "ovsnet", "-o", "ovsnet.network=alien", "--subnet", "10.39.0.0/24", "alien")
	}
	one := runContainer(t, h1, "alien", "alien-1")
	refused(t, h2, []string{"address " + one.addr, "h1", "--ipam-driver ovsnet"}, "docker", "run", "--name", "alien-2", "--network", "alien", lab.ImageName, "true")
	run(t, h2, "docker", "rm", "-f", "alien-2")
	two := runContainer(t, h2, "alien", "alien-3", "--ip", "10.39.0.33")
	one.waitReaches(t, two.addr)
	one.remove(t)
	two.remove(t)
	removeNetwork(t, "alien", h1, h2)
}
