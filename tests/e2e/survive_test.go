package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// leaseTime is the agents' --alive-ttl in these tests: about the smallest that etcd grants.
const leaseTime = 2 * time.Second

// flowAges is a host's flows at some moment between two others.
type flowAges struct {
	after, before time.Time
	flows         []flows.Installed
}

func agesOf(t *testing.T, h *lab.Host) flowAges {
	t.Helper()
	after := time.Now()
	list := installed(t, h)
	return flowAges{after: after, before: time.Now(), flows: list}
}

// Traffic does not notice that an agent is killed, stays away for three lease times, and starts again; not on the host
// with the embedded etcd either, which is then away too. No flow is removed and added again. ("What it must show": kill
// the agent.)
func TestAgentDies(t *testing.T) {
	short := lab.AgentOptions{Args: []string{"--alive-ttl", leaseTime.String()}}
	l := up(t, lab.Options{Agents: map[string]lab.AgentOptions{"h1": short, "h2": short}})
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.10.0.0/24")
	one := runContainer(t, l.Host(1), "web", "one")
	two := runContainer(t, l.Host(2), "web", "two")
	etcd := openCluster(t, l)
	for _, victim := range []*lab.Host{l.Host(2), l.Host(1)} {
		t.Run(victim.Name, func(t *testing.T) {
			traffic := startTraffic(t, one, two)
			before, monitors := map[*lab.Host]flowAges{}, map[*lab.Host]*background{}
			for _, h := range l.Hosts() {
				monitors[h], before[h] = flowEvents(t, h), agesOf(t, h)
			}
			killed := time.Now()
			killProcess(t, victim, lab.Agent)
			if victim != l.Host(1) {
				eventually(t, "its sign of life is gone", func() (string, bool) {
					alive := etcd.keys(t, "alive/")
					return fmt.Sprint(alive), alive[victim.Name] == ""
				})
			}
			eventually(t, "three lease times are over", func() (string, bool) {
				return time.Since(killed).String(), time.Since(killed) > 3*leaseTime
			})
			startProcess(t, victim, lab.Agent, true)
			eventually(t, "the agent has looked at all flows and its sign of life is back", func() (string, bool) {
				alive := etcd.keys(t, "alive/")
				return fmt.Sprint(alive), alive[victim.Name] != ""
			})
			traffic.unharmed(t)
			for _, h := range l.Hosts() {
				undisturbed(t, h, before[h], monitors[h])
			}
		})
	}
}
