package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/tests/lab"
	"github.com/ovsnet/ovsnet/tunnel"
)

// pair is two containers on two hosts that reach each other.
type pair struct {
	lab      *lab.Lab
	etcd     cluster
	one, two container
}

func newPair(t *testing.T, o lab.Options, runArgs ...string) pair {
	t.Helper()
	l := up(t, o)
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.10.0.0/24")
	p := pair{lab: l, etcd: openCluster(t, l)}
	p.one = runContainer(t, l.Host(1), "web", "one", runArgs...)
	p.two = runContainer(t, l.Host(2), "web", "two", runArgs...)
	p.reach(t)
	return p
}

func (p pair) reach(t *testing.T) {
	t.Helper()
	p.one.waitReaches(t, p.two.addr)
	p.two.waitReaches(t, p.one.addr)
}

// settled waits until the flows on every host are what they should be by what etcd says and the ports that are there.
func (p pair) settled(t *testing.T) {
	t.Helper()
	for _, h := range p.lab.Hosts() {
		eventually(t, "the flows on "+h.Name+" are those that should be there", func() (string, bool) {
			snapshot := p.etcd.snapshot(t)
			self, _ := snapshot.Node(h.Name)
			want := flows.Compile(snapshot, ports(t, h), tunnel.RouteFor(self))
			change, foreign := flows.Diff(slices.Values(want), installed(t, h))
			return fmt.Sprintf("%+v, not ours: %v", change, foreign), change.Empty() && len(foreign) == 0
		})
	}
}

// What Open vSwitch loses comes back by itself: flows after ovs-vswitchd, the connection after ovsdb-server, the bridge
// after somebody deleted it.
func TestOpenVSwitchReturns(t *testing.T) {
	p := newPair(t, lab.Options{})
	h := p.lab.Host(2)
	t.Run("ovs-vswitchd", func(t *testing.T) {
		killProcess(t, h, lab.VSwitchd)
		startProcess(t, h, lab.VSwitchd, true)
		serves := time.Now()
		p.settled(t)
		t.Logf("%d flows were back at most %s after ovs-vswitchd", len(installed(t, h)), time.Since(serves).Round(time.Millisecond))
		p.reach(t)
	})
	t.Run("ovsdb-server", func(t *testing.T) {
		traffic := startTraffic(t, p.one, p.two)
		before, monitor := agesOf(t, h), flowEvents(t, h)
		killProcess(t, h, lab.OVSDBServer)
		startProcess(t, h, lab.OVSDBServer, true)
		eventually(t, "the agent is ready", func() (string, bool) {
			out, err := try(t, h, "ovsnet", "status")
			return out, err == nil
		})
		undisturbed(t, h, before, monitor)
		// ovs-vswitchd reads its whole database again, which may hold up packets and lose none of the pings.
		traffic.answered(t)
		late := runContainer(t, h, "web", "late")
		p.one.waitReaches(t, late.addr)
		late.remove(t)
	})
	t.Run("bridge deleted by hand", func(t *testing.T) {
		run(t, h, "ovs-vsctl", "del-br", bridge)
		p.reach(t)
		p.settled(t)
	})
	t.Run("flow deleted by hand, beside one that ovsnet cannot read", func(t *testing.T) {
		run(t, h, "ovs-ofctl", "-O", "OpenFlow15", "add-flow", bridge, "table=99,priority=7,ip,ct_state=+trk,actions=ct(commit)")
		run(t, h, "ovs-ofctl", "-O", "OpenFlow15", "--strict", "del-flows", bridge, "table=0,priority=0")
		killProcess(t, h, lab.Agent)
		startProcess(t, h, lab.Agent, true)
		p.reach(t)
		eventually(t, "the agent tells of the foreign flow", func() (string, bool) {
			out, err := try(t, h, "ovsnet", "status")
			return out, err == nil && strings.Contains(out, "ct_state")
		})
		run(t, h, "ovs-ofctl", "-O", "OpenFlow15", "del-flows", bridge, "table=99")
		p.settled(t)
	})
	t.Run("flow deleted by hand", func(t *testing.T) {
		run(t, h, "ovs-ofctl", "-O", "OpenFlow15", "del-flows", bridge)
		killProcess(t, h, lab.Agent)
		startProcess(t, h, lab.Agent, true)
		p.settled(t)
		p.reach(t)
	})
}

// While etcd is away everything stays as it was; what changed meanwhile arrives when it is back. The containers that come
// and go do so on a host of their own: the userspace datapath reads all its routes again whenever a link of its host
// comes or goes, and knows for a moment no way to its peers.
func TestEtcdAway(t *testing.T) {
	p := newPair(t, lab.Options{Hosts: 3})
	h, elsewhere := p.lab.Host(2), p.lab.Host(3)
	var away atomic.Bool
	d := openDoor(t, h, h, etcdAddress, away.Load)
	restartAgent(t, h, lab.AgentOptions{Etcd: d.url()}, true)
	gone := runContainer(t, elsewhere, "web", "gone")
	p.two.waitReaches(t, gone.addr)
	traffic := startTraffic(t, p.one, p.two)
	before, monitor := agesOf(t, h), flowEvents(t, h)
	away.Store(true)
	connected := func(want bool) func() (string, bool) {
		return func() (string, bool) {
			s, said := statusOf(t, h)
			return said, s.Etcd.Connected == want && s.Ready == want
		}
	}
	eventually(t, "the agent knows that etcd is away", connected(false))
	late := runContainer(t, elsewhere, "web", "late")
	gone.remove(t)
	if p.two.reaches(t, late.addr) {
		t.Error("a container that h2 cannot know is reached from there: the door lets answers through")
	}
	undisturbed(t, h, before, monitor)
	away.Store(false)
	eventually(t, "the agent knows that etcd is back", connected(true))
	p.two.waitReaches(t, late.addr)
	traffic.unharmed(t)
	p.settled(t)
}
