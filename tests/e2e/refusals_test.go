package e2e

import (
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// refusal is a command that must be refused, and what its complaint must say: what, why, and what to do.
type refusal struct {
	what  string
	argv  []string
	words []string
}

// runWith is docker run of something that would end at once.
func runWith(network string, args ...string) []string {
	return append(append([]string{"docker", "run", "--rm", "--network", network}, args...), lab.ImageName, "true")
}

// What bad input gets, as far as one host tells: a clear error, and nothing half done.
func TestRefusals(t *testing.T) {
	l := up(t, lab.Options{})
	h1, h2 := l.Host(1), l.Host(2)
	run(t, h1, plainArgs("plain", "--subnet", "10.40.0.0/24")...)
	for _, h := range l.Hosts() {
		// Docker takes --ip only where the network was created with --subnet.
		createNetwork(t, []*lab.Host{h}, "web", "--subnet", "10.41.0.0/24")
		createNetwork(t, []*lab.Host{h}, "tiny", "--subnet", "10.42.0.0/30")
	}
	runContainer(t, h1, "web", "one", "--ip", "10.41.0.9", "--mac-address", "06:00:00:00:00:09")
	runContainer(t, h1, "tiny", "fills")
	run(t, h2, "docker", "run", "-d", "--name", "bystander", lab.ImageName)
	c := openCluster(t, l)
	var all []refusal
	for _, part := range [][]refusal{badSubnets(), badOptions(), badEndpoints()} {
		all = append(all, part...)
	}
	for _, r := range all {
		t.Run(r.what, func(t *testing.T) {
			leavesNothing(t, l, c, func() { refused(t, h2, r.words, r.argv...) })
		})
	}
	t.Run("removing a network with endpoints", func(t *testing.T) { testRemoveUsed(t, l, c) })
	t.Run("two networks claim one name at once", func(t *testing.T) { testNameRace(t, l, c) })
}

func badSubnets() []refusal {
	return []refusal{
		{"overlapping subnet", plainArgs("over", "--subnet", "10.40.0.128/25"),
			[]string{"subnet 10.40.0.128/25", "overlaps subnet 10.40.0.0/24 of network", "choose another"}},
		{"overlapping subnet by the CLI", []string{"ovsnet", "network", "create", "over", "--default-space", "--subnet", "10.0.0.0/9"},
			[]string{"subnet 10.0.0.0/9", "overlaps subnet 10.40.0.0/24 of network", "choose another"}},
		{"overlapping subnet, -o alone", plainArgs("over", "-o", "ovsnet.network=over", "--subnet", "10.40.0.0/23"),
			[]string{"subnet 10.40.0.0/23", "overlaps subnet 10.40.0.0/24 of network", "choose another"}},
		{"subnet without room", createArgs("bad", "--subnet", "10.43.0.0/31"), []string{"10.43.0.0/31", "no room", "choose a larger one"}},
		{"multicast subnet", createArgs("bad", "--subnet", "224.1.0.0/24"), []string{"224.1.0.0/24", "not a unicast range", "choose"}},
		{"gateway outside", createArgs("bad", "--subnet", "10.43.0.0/24", "--gateway", "10.44.0.1"), []string{"10.44.0.1"}},
		{"broadcast as gateway", createArgs("bad", "--subnet", "10.43.0.0/24", "--gateway", "10.43.0.255"), []string{"10.43.0.255", "broadcast"}},
		{"overlapping the underlay", createArgs("bad", "--subnet", "192.0.2.0/25"), []string{"192.0.2.0/25", "overlaps this host's", "choose another subnet"}},
		{"IPv6", createArgs("bad", "--ipv6", "--subnet", "fd00:1::/64"), []string{"ovsnet does not carry IPv6 yet", "leave --ipv6"}},
	}
}

func badOptions() []refusal {
	const vni, mtu = "ovsnet.vni", "com.docker.network.driver.mtu"
	list := []refusal{
		{"VNI taken", createArgs("bad", "--subnet", "10.43.0.0/24", "-o", vni+"=4096"), []string{`network "bad"`, "has VNI 4096", "choose another VNI"}},
		{"VNI taken, by the CLI", []string{"ovsnet", "network", "create", "bad", "--subnet", "10.43.0.0/24", "--vni", "4096"}, []string{`network "bad"`, "has VNI 4096", "choose another VNI"}},
		{"VNI out of range, by the CLI", []string{"ovsnet", "network", "create", "bad", "--subnet", "10.43.0.0/24", "--vni", "16777216"}, []string{`network "bad"`, "VNI 16777216 is out of range", "1 to 16777215"}},
		{"MTU above every underlay, by the CLI", []string{"ovsnet", "network", "create", "bad", "--subnet", "10.43.0.0/24", "--mtu", "1451"}, []string{`network "bad"`, "MTU 1451 is above 1450"}},
		{"subnet of the underlay, by the CLI", []string{"ovsnet", "network", "create", "bad", "--subnet", "192.0.2.0/25"}, []string{`network "bad"`, "VTEP address 192.0.2.1", `"h1"`}},
		{"MTU out of range, by the CLI", []string{"ovsnet", "network", "create", "bad", "--subnet", "10.43.0.0/24", "--mtu", "67"}, []string{`network "bad"`, "MTU 67 is out of range", "68"}},
		{"MTU above the underlay's", createArgs("bad", "--subnet", "10.43.0.0/24", "-o", mtu+"=1451"), []string{mtu + "=1451", "1450"}},
		{"unknown -o", createArgs("bad", "--subnet", "10.43.0.0/24", "-o", "ovsnet.vnii=3", "-o", "parent=eth0"), []string{"ovsnet.vnii", "parent", "unknown option", "the known ones are", "ovsnet.network", vni, mtu}},
		{"unknown --ipam-opt", plainArgs("bad", "--subnet", "10.43.0.0/24", "--ipam-opt", "ovsnet.name=x"), []string{"ovsnet.name", "unknown option", "the known ones are ovsnet.network"}},
		{"bad name", plainArgs("bad", "--ipam-opt", "ovsnet.network=a/b", "-o", "ovsnet.network=a/b", "--subnet", "10.43.0.0/24"), []string{`"a/b"`, "not a valid name"}},
		{"two names", plainArgs("bad", "--ipam-opt", "ovsnet.network=a", "-o", "ovsnet.network=b", "--subnet", "10.43.0.0/24"), []string{`"a"`, `"b"`, "give both the same name"}},
	}
	for _, word := range []string{"0", "16777216", "-1", "x"} {
		list = append(list, refusal{"VNI " + word, createArgs("bad", "--subnet", "10.43.0.0/24", "-o", vni+"="+word), []string{vni + "=" + word, "from 1 to 16777215"}})
	}
	for _, word := range []string{"67", "-1", "x"} {
		list = append(list, refusal{"MTU " + word, createArgs("bad", "--subnet", "10.43.0.0/24", "-o", mtu+"="+word), []string{mtu + "=" + word, "68"}})
	}
	return list
}

func badEndpoints() []refusal {
	return []refusal{
		{"address outside the subnet", runWith("web", "--ip", "10.49.0.1"), []string{"10.49.0.1"}},
		{"network address", runWith("web", "--ip", "10.41.0.0"), []string{"10.41.0.0", "network address of subnet 10.41.0.0/24"}},
		{"broadcast address", runWith("web", "--ip", "10.41.0.255"), []string{"10.41.0.255", "broadcast address of subnet 10.41.0.0/24"}},
		{"gateway's address", runWith("web", "--ip", "10.41.0.1"), []string{"10.41.0.1", `gateway of network "web"`, "choose another"}},
		{"taken address", runWith("web", "--ip", "10.41.0.9"), []string{"address 10.41.0.9", "taken", "h1", "choose another"}},
		{"exhausted pool", runWith("tiny"), []string{"10.42.0.0/30", "no free address is left", "larger subnet"}},
		{"taken MAC", runWith("web", "--mac-address", "06:00:00:00:00:09"), []string{"MAC address 06:00:00:00:00:09", "h1", "choose another"}},
		{"multicast MAC", runWith("web", "--mac-address", "01:00:5e:00:00:01"), []string{"01:00:5e:00:00:01", "multicast", "choose a unicast MAC"}},
		{"zero MAC", runWith("web", "--mac-address", "00:00:00:00:00:00"), []string{"00:00:00:00:00:00", "zero"}},
		{"unknown endpoint option", []string{"docker", "network", "connect", "--driver-opt", "ovsnet.vni=3", "web", "bystander"}, []string{"ovsnet.vni", "leave it out"}},
	}
}

// testRemoveUsed: both ways of removal refuse; ovsnet's lists the endpoints of all hosts.
func testRemoveUsed(t *testing.T, l *lab.Lab, c cluster) {
	two := runContainer(t, l.Host(2), "web", "two")
	leavesNothing(t, l, c, func() {
		refused(t, l.Host(2), []string{`network "web"`, "2 endpoints", "(10.41.0.9) on h1", "(" + two.addr + ") on h2", "remove these containers first"}, "ovsnet", "network", "rm", "web")
		refused(t, l.Host(2), []string{"has active endpoints"}, "docker", "network", "rm", "web")
	})
	two.remove(t)
}

// testNameRace: one wins, and the other is told what the winner has.
func testNameRace(t *testing.T, l *lab.Lab, c cluster) {
	for range 3 {
		leavesNothing(t, l, c, func() {
			subnets := []string{"10.45.0.0/24", "10.46.0.0/24"}
			errs := make(chan error, len(subnets))
			for i, subnet := range subnets {
				go func() {
					_, err := try(t, l.Host(i+1), createArgs("race", "--subnet", subnet)...)
					errs <- err
				}()
			}
			first, second := <-errs, <-errs
			if (first == nil) == (second == nil) {
				t.Fatalf("one must win: %v; %v", first, second)
			}
			loser, winner := first, networkNamed(t, l.Host(1), "race")
			if loser == nil {
				loser = second
			}
			for _, word := range []string{`network "race"`, winner.Subnets[0].Prefix.String()} {
				if !strings.Contains(loser.Error(), word) {
					t.Errorf("the loser is not told %q: %v", word, loser)
				}
			}
			removeNetwork(t, "race", l.Host(int(winner.Hosts[0].Node[1]-'0')))
		})
	}
}
