package store

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

// step is one `docker network create` of the story and what it answers: the
// network's name and address space, or a refusal.
type step struct {
	host    int
	create  dockerNetwork
	name    string
	space   string
	refusal string
}

// TestNetworkStories creates Docker networks one after the other on up to three
// hosts, and holds that a refused one leaves nothing behind. Lost answers of etcd
// change nothing of that.
func TestNetworkStories(t *testing.T) {
	for _, lost := range []float64{0, 0.4} {
		t.Run(fmt.Sprintf("lost %v", lost), func(t *testing.T) { networkStories(t, lost) })
	}
}

func networkStories(t *testing.T, lost float64) {
	full := func(id, subnet string) dockerNetwork {
		return dockerNetwork{id: id, subnet: subnet, ipamName: "web", name: "web"}
	}
	for name, story := range map[string][]step{
		"both names, joined without the subnet": {
			{1, full("d1", "10.1.0.0/24"), "web", "web", ""},
			{2, full("d2", ""), "web", "web", ""},
			{3, full("d3", "10.1.0.0/24"), "web", "web", ""},
		},
		"both names, one subnet twice": {
			{1, full("d1", "10.1.0.0/24"), "web", "web", ""},
			{1, dockerNetwork{id: "d2", subnet: "10.1.0.0/24", ipamName: "shop", name: "shop"}, "shop", "shop", ""},
			{1, dockerNetwork{id: "d3", subnet: "10.1.0.0/24"}, "net-10.1.0.0-24", "default", ""},
		},
		"both names, other subnet": {
			{1, full("d1", "10.1.0.0/24"), "web", "web", ""},
			{2, full("d2", "10.2.0.0/24"), "", "", "it has subnet 10.1.0.0/24, 10.2.0.0/24 was asked for"},
		},
		"names differ": {
			{1, dockerNetwork{id: "d1", ipamName: "web", name: "shop"}, "", "", "give both the same name"},
		},
		"only --ipam-opt": {
			{1, dockerNetwork{id: "d1", ipamName: "web"}, "web", "web", ""},
			{2, dockerNetwork{id: "d2", ipamName: "web"}, "web", "web", ""},
		},
		"only -o, new": {
			{1, dockerNetwork{id: "d1", subnet: "10.1.0.0/24", name: "web"}, "web", "default", ""},
			{2, dockerNetwork{id: "d2", subnet: "10.1.0.0/24", name: "web"}, "web", "default", ""},
			{3, dockerNetwork{id: "d3", subnet: "10.1.0.0/24"}, "web", "default", ""},
		},
		"only -o, chosen subnet differs": {
			{1, dockerNetwork{id: "d1", name: "web"}, "web", "default", ""},
			{2, dockerNetwork{id: "d2", name: "web"}, "", "", "give --ipam-opt ovsnet.network=web too"},
			{2, dockerNetwork{id: "d3", name: "web", ipamName: "web"}, "web", "default", ""},
		},
		"only -o, own space": {
			{1, full("d1", "10.1.0.0/24"), "web", "web", ""},
			{2, dockerNetwork{id: "d2", subnet: "10.1.0.0/24", name: "web"}, "", "", "give --ipam-opt ovsnet.network=web too"},
		},
		"only -o, another network has the subnet": {
			{1, dockerNetwork{id: "d1", subnet: "10.1.0.0/24", name: "web"}, "web", "default", ""},
			{2, dockerNetwork{id: "d2", subnet: "10.1.0.0/24", name: "shop"}, "", "", `it is subnet 10.1.0.0/24 of network "web"`},
		},
		"neither, joined by subnet": {
			{1, dockerNetwork{id: "d1", subnet: "10.1.0.0/24"}, "net-10.1.0.0-24", "default", ""},
			{2, dockerNetwork{id: "d2", subnet: "10.1.0.0/24"}, "net-10.1.0.0-24", "default", ""},
		},
		"neither, chosen each time": {
			{1, dockerNetwork{id: "d1"}, "net-10.32.0.0-24", "default", ""},
			{2, dockerNetwork{id: "d2"}, "net-10.32.1.0-24", "default", ""},
		},
		"overlap in the default space": {
			{1, dockerNetwork{id: "d1", subnet: "10.1.0.0/16", name: "web"}, "web", "default", ""},
			{2, dockerNetwork{id: "d2", subnet: "10.1.2.0/24"}, "", "", `it overlaps subnet 10.1.0.0/16 of network "web"`},
		},
		"another gateway": {
			{1, full("d1", "10.1.0.0/24"), "web", "web", ""},
			{2, dockerNetwork{id: "d2", ipamName: "web", name: "web", subnet: "10.1.0.0/24", gateway: "10.1.0.254"}, "", "", "gateway 10.1.0.1, and 10.1.0.254 was asked for"},
		},
		"another VNI": {
			{1, full("d1", "10.1.0.0/24"), "web", "web", ""},
			{2, dockerNetwork{id: "d2", ipamName: "web", name: "web", vni: 77}, "", "", "VNI 4096, and 77 was asked for"},
		},
		"another MTU": {
			{1, full("d1", "10.1.0.0/24"), "web", "web", ""},
			{2, dockerNetwork{id: "d2", ipamName: "web", name: "web", mtu: 9000}, "", "", "MTU 1450, and 9000 was asked for"},
		},
		"another flag": {
			{1, full("d1", "10.1.0.0/24"), "web", "web", ""},
			{2, dockerNetwork{id: "d2", ipamName: "web", name: "web", internal: true}, "", "", "--internal false, and true was asked for"},
		},
		"auxiliary addresses": {
			{1, dockerNetwork{id: "d1", subnet: "10.1.0.0/24", aux: "10.1.0.9", ipamName: "web", name: "web"}, "web", "web", ""},
			{2, dockerNetwork{id: "d2", subnet: "10.1.0.0/24", aux: "10.1.0.9", ipamName: "web", name: "web"}, "web", "web", ""},
			{3, dockerNetwork{id: "d3", subnet: "10.1.0.0/24", aux: "10.1.0.8", ipamName: "web", name: "web"}, "", "", "[10.1.0.9], and 10.1.0.8 was asked for"},
		},
		"VNI taken": {
			{1, dockerNetwork{id: "d1", ipamName: "web", name: "web", vni: 77}, "web", "web", ""},
			{1, dockerNetwork{id: "d2", ipamName: "shop", name: "shop", vni: 77}, "", "", `network "web" has VNI 77`},
		},
		"twice on one host": {
			{1, full("d1", "10.1.0.0/24"), "web", "web", ""},
			{1, full("d2", ""), "", "", `node "h1" has it already as Docker network d1`},
			{1, full("d1", ""), "web", "web", ""},
		},
		"reserved name": {
			{1, dockerNetwork{id: "d1", ipamName: "default"}, "", "", "common address space"},
			{1, dockerNetwork{id: "d1", name: "default"}, "", "", "common address space"},
		},
		"bad values": {
			{1, dockerNetwork{id: "d1", subnet: "10.1.0.0/31"}, "", "", "no room"},
			{1, dockerNetwork{id: "d1", subnet: "10.1.0.7/24"}, "", "", "did you mean 10.1.0.0/24?"},
			{1, dockerNetwork{id: "d1", subnet: "10.1.0.0/24", gateway: "10.1.0.255"}, "", "", "broadcast address"},
			{1, dockerNetwork{id: "d1", mtu: 67}, "", "", "MTU 67 is out of range"},
			{1, dockerNetwork{id: "d1", vni: overlay.MaxVNI + 1}, "", "", "VNI 16777216 is out of range"},
			{1, dockerNetwork{id: "d/1"}, "", "", "Docker network ID"},
			{9, dockerNetwork{id: "d1"}, "", "", `node "h9": not registered`},
		},
		"foreign": {
			{1, dockerNetwork{id: "d1", subnet: "172.30.0.0/16", gateway: "172.30.0.1", foreign: true}, "net-172.30.0.0-16", "default", ""},
			{2, dockerNetwork{id: "d2", subnet: "172.30.0.0/16", gateway: "172.30.0.1", foreign: true}, "net-172.30.0.0-16", "default", ""},
			{3, dockerNetwork{id: "d3", subnet: "172.30.4.0/24", foreign: true}, "", "", "overlaps"},
			{3, dockerNetwork{id: "d3", subnet: "172.30.4.0/24", name: "web", foreign: true}, "web", "web", ""},
			{1, dockerNetwork{id: "d4", subnet: "172.31.4.0/24", name: "web", foreign: true}, "", "", "subnet 172.30.4.0/24, and 172.31.4.0/24 was asked for"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			hosts := map[int]docker{9: {s.open(t), "h9"}}
			for number := 1; number <= 3; number++ {
				hosts[number] = s.injured(t, number, lost, uint64(len(name)))
				hosts[number].store.ttl = reservation
			}
			for i, step := range story {
				before := s.keys(t, root)
				network, _, err := hosts[step.host].create(callContext(t), step.create)
				if step.refusal == "" {
					if err != nil || network.Name != step.name || network.Space != step.space {
						t.Fatalf("step %d: %q in space %q: %v", i, network.Name, network.Space, err)
					}
					continue
				}
				if err == nil || !strings.Contains(err.Error(), step.refusal) {
					t.Fatalf("step %d: %v, want a refusal with %q", i, err, step.refusal)
				}
				if left := added(before, s.keys(t, root)); len(left) > 0 {
					t.Errorf("step %d: refused, and left %v", i, left)
				}
			}
			audit(t, s)
		})
	}
}

// added lists the keys that are in after only, but for those of address spaces,
// which mean nothing and go by themselves.
func added(before, after map[string]string) []string {
	var keys []string
	for key := range after {
		if _, ok := before[key]; !ok && !strings.HasPrefix(key, spacesPrefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

// TestDetach takes the last host out of a network.
func TestDetach(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	two, second := s.host(t, 2)
	before := s.keys(t, root)
	network := quickNetwork(t, one, first, "web", "10.1.0.0/24")
	joined, attachment, err := one.Attached(callContext(t), first, "web-on-h1")
	if err != nil || !reflect.DeepEqual(joined, network) || attachment.Pool != "web|10.1.0.0/24" || attachment.Revision == 0 {
		t.Errorf("attached: %+v, %+v, %v, want %+v", joined, attachment, err, network)
	}
	quickNetwork(t, two, second, "web", "")
	for i := range detachBatch + 5 {
		quickEndpoint(t, one, network, first, i)
	}
	quickEndpoint(t, two, network, second, 0)
	if err := (docker{one, first}).remove(callContext(t), "web-on-h1", network, poolOfNetwork(network)); err != nil {
		t.Fatal(err)
	}
	if left := s.keys(t, endpointsPrefix); len(left) != 1 {
		t.Errorf("endpoints of a host that left: %v", left)
	}
	audit(t, s)
	if _, _, err := one.Attached(callContext(t), first, "web-on-h1"); !overlay.IsKind(err, overlay.Missing) {
		t.Errorf("still attached: %v", err)
	}
	for range 2 {
		if err := two.Detach(callContext(t), second, "web-on-h2"); err != nil {
			t.Fatal(err)
		}
	}
	if left := added(before, s.keys(t, root)); len(left) > 0 {
		t.Errorf("after the last host: %v", left)
	}
}

// TestOneName has two hosts claim one name at the same moment for different
// subnets of the default space: one wins, the other is told.
func TestOneName(t *testing.T) {
	for range 5 {
		s := startServer(t)
		errs := make([]error, 2)
		var together sync.WaitGroup
		for i := range errs {
			store, node := s.host(t, i+1)
			together.Go(func() {
				_, _, errs[i] = docker{store, node}.create(callContext(t), dockerNetwork{id: "d", name: "web"})
			})
		}
		together.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("both won or both lost: %v, %v", errs[0], errs[1])
		}
		for _, err := range errs {
			if err != nil && (!overlay.IsKind(err, overlay.Conflict) || !strings.Contains(err.Error(), `network "web"`)) {
				t.Errorf("the loser is told %v", err)
			}
		}
		audit(t, s)
	}
}

// TestOneNetwork has hosts create one network at the same moment, by name and by
// subnet: all get it.
func TestOneNetwork(t *testing.T) {
	oneNetwork(t, dockerNetwork{id: "d", ipamName: "web", name: "web"})
	oneNetwork(t, dockerNetwork{id: "d", name: "web", subnet: "10.1.0.0/24"})
	oneNetwork(t, dockerNetwork{id: "d", subnet: "10.1.0.0/24"})
}

func oneNetwork(t *testing.T, create dockerNetwork) {
	s := startServer(t)
	const hosts = 5
	networks := make([]overlay.Network, hosts)
	var together sync.WaitGroup
	for i := range hosts {
		store, node := s.host(t, i+1)
		together.Go(func() {
			var err error
			if networks[i], _, err = (docker{store, node}).create(callContext(t), create); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	for _, n := range networks {
		if n.ID != networks[0].ID {
			t.Errorf("networks %s and %s", n.ID, networks[0].ID)
		}
	}
	audit(t, s)
}

// beginDetach makes the first step of a Detach, which is then cut short.
func beginDetach(t *testing.T, s *Store, node, dockerNetwork string) *detach {
	t.Helper()
	d := &detach{store: s, node: node, dockerNetwork: dockerNetwork}
	if _, err := s.update(callContext(t), "leave", d.leave); err != nil || d.done {
		t.Fatal(err, d.done)
	}
	return d
}

// A Detach that was cut short is found and finished, though nothing but its index leads there.
func TestFinishDetaches(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	two, second := s.host(t, 2)
	web := quickNetwork(t, one, first, "web", "10.1.0.0/24")
	kept := quickNetwork(t, one, first, "kept", "10.2.0.0/24")
	quickNetwork(t, two, second, "web", "")
	quickEndpoint(t, one, web, first, 1)
	quickEndpoint(t, one, kept, first, 2)
	beginDetach(t, one, first, "web-on-"+first)
	if err := one.FinishDetaches(callContext(t), first); err != nil {
		t.Fatal(err)
	}
	if left := s.keys(t, endpointsOf(web.ID)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if left := s.keys(t, dockerOf(first)); len(left) != 1 || len(s.keys(t, endpointsOf(kept.ID))) != 1 {
		t.Errorf("Docker networks %v, endpoints %v", left, s.keys(t, endpointsOf(kept.ID)))
	}
	audit(t, s)
}

// What is left of a Detach takes nothing from a network that the host has again by another Docker network.
func TestDetachCutShortAndNetworkMadeAgain(t *testing.T) {
	for name, carryOn := range map[string]func(s *Store, d *detach) error{
		"repeated": func(s *Store, d *detach) error { return s.Detach(callContext(t), d.node, d.dockerNetwork) },
		"found":    func(s *Store, d *detach) error { return s.FinishDetaches(callContext(t), d.node) },
		"went on": func(s *Store, d *detach) error {
			ids, err := d.endpoints(callContext(t), "go on")
			if err != nil || len(ids) != 2 {
				return fmt.Errorf("endpoints %v: %w", ids, err)
			}
			for _, step := range []func(context.Context, *change) error{func(ctx context.Context, c *change) error { return d.drop(ctx, c, ids) }, d.finish} {
				if _, err := s.update(callContext(t), "go on", step); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			one, first := s.host(t, 1)
			two, second := s.host(t, 2)
			web := quickNetwork(t, one, first, "web", "10.1.0.0/24")
			quickNetwork(t, two, second, "web", "")
			quickEndpoint(t, one, web, first, 1)
			d := beginDetach(t, one, first, "web-on-"+first)
			if _, _, err := (docker{one, first}).create(callContext(t), dockerNetwork{id: "again", ipamName: "web", name: "web"}); err != nil {
				t.Fatal(err)
			}
			live := quickEndpoint(t, one, web, first, 2)
			if err := carryOn(one, d); err != nil {
				t.Fatal(err)
			}
			_, there, err := one.GetEndpoint(callContext(t), web.ID, live.ID)
			if _, attachment, lookErr := one.Attached(callContext(t), first, "again"); err != nil || lookErr != nil || !there || attachment.DockerNetwork != "again" {
				t.Errorf("the live endpoint is there: %v, attached as %q: %v, %v", there, attachment.DockerNetwork, err, lookErr)
			}
			if _, left := s.keys(t, dockerOf(first))[dockerKey(first, d.dockerNetwork)]; left {
				t.Error("the index of the Docker network that is gone stayed")
			}
			audit(t, s)
		})
	}
}

// The Docker daemon that has a network is noted with its attachment, and only by the host whose network it is.
func TestRecognise(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	quickNetwork(t, one, first, "web", "10.1.0.0/24")
	id := "web-on-" + first
	for _, daemon := range []string{"D:1", "D:1", "E:2"} {
		if err := one.Recognise(callContext(t), first, id, daemon); err != nil {
			t.Fatal(err)
		}
		if _, a, err := one.Attached(callContext(t), first, id); err != nil || a.Daemon != daemon || a.DockerNetwork != id {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if err := one.Recognise(callContext(t), first, "unknown", "D"); err != nil {
		t.Errorf("an unknown Docker network: %v", err)
	}
	wantKind(t, one.Recognise(callContext(t), first, id, "no/ID"), overlay.Invalid)
	other := s.open(t)
	if err := other.Register(callContext(t), testNode(1), Identity{Host: "another machine", Boot: "its boot"}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, one.Recognise(callContext(t), first, id, "F"), overlay.Conflict)
}
