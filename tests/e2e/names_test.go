package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// Issue 4, item 0: every host speaks of containers by their names, also after a rename, a disconnect, a restart of Docker
// or of the agent.
func TestNames(t *testing.T) {
	l := up(t, lab.Options{})
	h1, h2 := l.Host(1), l.Host(2)
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.81.0.0/24")
	createNetwork(t, l.Hosts(), "db", "--subnet", "10.82.0.0/24")
	one, two := runContainer(t, h1, "web", "one"), runContainer(t, h2, "web", "two")
	isCalled(t, l, one.addr, "one")
	isCalled(t, l, two.addr, "two")
	eventually(t, "h1's flows speak of two", func() (string, bool) {
		text, err := try(t, h1, "ovsnet", "flows", "ls", "--endpoint", "two")
		return text, err == nil && strings.Contains(text, "through the tunnel to two ("+two.addr+") in web, on h2")
	})
	t.Run("rename", func(t *testing.T) {
		run(t, h2, "docker", "rename", "two", "zwei")
		isCalled(t, l, two.addr, "zwei")
		run(t, h2, "docker", "rename", "zwei", "two")
		isCalled(t, l, two.addr, "two")
	})
	t.Run("connect and disconnect", func(t *testing.T) {
		run(t, h2, "docker", "network", "connect", "db", "two")
		inDB := addressOn(t, h2, "two", "db")
		isCalled(t, l, inDB, "two")
		refused(t, h1, []string{`endpoint "two"`, "it could be", "in web on h2", "in db on h2", "--network"}, "ovsnet", "endpoint", "inspect", "two")
		run(t, h2, "docker", "network", "disconnect", "db", "two")
		isCalled(t, l, inDB, "")
		isCalled(t, l, two.addr, "two")
	})
	t.Run("while the agent is away", func(t *testing.T) {
		stopAgent(t, h2)
		run(t, h2, "docker", "rename", "two", "zwei")
		startProcess(t, h2, lab.Agent, true)
		isCalled(t, l, two.addr, "zwei")
	})
	t.Run("Docker restarts", func(t *testing.T) {
		stopProcess(t, h1, lab.Dockerd)
		startProcess(t, h1, lab.Dockerd, true)
		isCalled(t, l, two.addr, "zwei")
		again := runContainer(t, h1, "web", "again")
		isCalled(t, l, again.addr, "again")
		run(t, h1, "docker", "rename", "again", "more")
		isCalled(t, l, again.addr, "more")
	})
}

// isCalled waits until every host knows the container with that address by that name, or not at all for "".
func isCalled(t *testing.T, l *lab.Lab, addr, name string) {
	t.Helper()
	for _, h := range l.Hosts() {
		eventually(t, fmt.Sprintf("%s knows %s as %q", h.Name, addr, name), func() (string, bool) {
			text, err := try(t, h, "ovsnet", "endpoint", "ls", "-o", "json")
			var list []struct {
				Names []string
				IPv4  string `json:"ipv4"`
			}
			if err == nil {
				err = json.Unmarshal([]byte(text), &list)
			}
			for _, e := range list {
				if e.IPv4 == addr {
					return text, name != "" && strings.Join(e.Names, ",") == name
				}
			}
			return text, err == nil && name == ""
		})
	}
}

// waitNamed waits until the host's agent knows a container by its name, which Docker tells after the container runs.
func waitNamed(t *testing.T, h *lab.Host, name string) {
	t.Helper()
	eventually(t, h.Name+" knows "+name+" by its name", func() (string, bool) {
		text, err := try(t, h, "ovsnet", "flows", "ls", "--endpoint", name)
		return text, err == nil
	})
}
