package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// A host that must not take part, or whose etcd is not the one it knows, leaves alone what it has: its containers go on
// talking, and when the reason ends it goes on by itself.
func TestFrozen(t *testing.T) {
	hasty := lab.AgentOptions{Args: []string{"--full-every", "1s"}}
	p := newPair(t, lab.Options{Agents: map[string]lab.AgentOptions{"h1": hasty, "h2": hasty}})
	for _, test := range []struct {
		what string
		run  func(*testing.T, pair, lab.AgentOptions)
	}{
		{"its agent is started under a wrong name", testWrongName},
		{"its agent is started with another host's address", testWrongVTEP},
		{"its etcd was emptied", testEmptiedEtcd},
		{"its etcd came up without its data", testLostEtcd},
	} {
		t.Run(test.what, func(t *testing.T) {
			test.run(t, p, hasty)
			p.reach(t)
			late := runContainer(t, p.lab.Host(2), "web", "late")
			p.one.waitReaches(t, late.addr)
			late.remove(t)
			p.settled(t)
		})
	}
}

// frozen holds that the host says why it takes no part, and that whole rounds later its flows are the same.
func (p pair) frozen(t *testing.T, h *lab.Host, before []string, words ...string) {
	t.Helper()
	waitUnready(t, h, words...)
	unready := time.Now()
	eventually(t, "the agent on "+h.Name+" has looked at all flows again", func() (string, bool) {
		s, said := statusOf(t, h)
		return said, s.Round.At.After(unready.Add(2 * time.Second))
	})
	if diff := cmp.Diff(before, lines(installed(t, h))); diff != "" {
		t.Errorf("the flows on %s changed (-before +after):\n%s", h.Name, diff)
	}
	p.reach(t)
	refused(t, h, nil, "docker", "run", "--rm", "--network", "web", lab.ImageName, "true")
}

// statusOf is the host's status, ready or not, and what was printed; it is empty where the agent does not answer.
func statusOf(t *testing.T, h *lab.Host) (agent.Status, string) {
	t.Helper()
	said, _ := try(t, h, "ovsnet", "status", "-o", "json")
	var s agent.Status
	if err := json.Unmarshal([]byte(said), &s); err != nil {
		return agent.Status{}, err.Error() + ": " + said
	}
	return s, said
}

// testWrongName: the wrong name has no endpoints, but the VTEP address tells whose host it is.
func testWrongName(t *testing.T, p pair, o lab.AgentOptions) {
	h := p.lab.Host(2)
	before := lines(installed(t, h))
	restartAgent(t, h, lab.AgentOptions{Args: append(slices.Clone(o.Args), "--node", "h9")}, false)
	p.frozen(t, h, before, "192.0.2.2", `"h2"`)
	restartAgent(t, h, o, true)
}

// testWrongVTEP: the address is one that another host has claimed, so the tunnel keeps the one it has.
func testWrongVTEP(t *testing.T, p pair, o lab.AgentOptions) {
	h := p.lab.Host(2)
	before := lines(installed(t, h))
	const claimed = "192.0.2.77"
	p.etcd.put(t, "vteps/"+claimed, `{"v":1,"node":"h7"}`)
	run(t, h, "ip", "addr", "add", claimed+"/32", "dev", underlayLink(p.lab))
	restartAgent(t, h, lab.AgentOptions{Args: append(slices.Clone(o.Args), "--vtep", claimed)}, false)
	p.frozen(t, h, before, claimed, `"h7"`)
	p.etcd.remove(t, "vteps/"+claimed)
	run(t, h, "ip", "addr", "del", claimed+"/32", "dev", underlayLink(p.lab))
	restartAgent(t, h, o, true)
}

// testEmptiedEtcd deletes all keys under the agents' eyes and puts them back.
func testEmptiedEtcd(t *testing.T, p pair, _ lab.AgentOptions) {
	all := p.etcd.keys(t, "")
	before := map[string][]string{}
	for _, h := range p.lab.Hosts() {
		before[h.Name] = lines(installed(t, h))
	}
	p.etcd.empty(t)
	for _, h := range p.lab.Hosts() {
		p.frozen(t, h, before[h.Name], "etcd")
	}
	refused(t, p.lab.Host(2), []string{"1 containers", "--force"}, "ovsnet", "uninstall")
	refused(t, p.lab.Host(2), []string{"etcd", "no cluster", "restore"}, "ovsnet", "network", "create", "ops", "--subnet", "10.99.0.0/24")
	if left := p.etcd.keys(t, ""); len(left) > 0 {
		t.Errorf("somebody wrote to the emptied etcd: %v", left)
	}
	for key, value := range all {
		if !strings.HasPrefix(key, "alive/") { // a sign of life needs its lease, and comes from its agent
			p.etcd.put(t, key, value)
		}
	}
	p.ready(t)
}

// testLostEtcd takes the data away from the embedded etcd, as a wrong directory or a new disk would.
func testLostEtcd(t *testing.T, p pair, _ lab.AgentOptions) {
	h := p.lab.Host(1)
	data := filepath.Join(h.Dir, "etcd")
	before := map[string][]string{}
	for _, h := range p.lab.Hosts() {
		before[h.Name] = lines(installed(t, h))
	}
	rename := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	stopAgent(t, h)
	rename(data, data+".kept")
	startProcess(t, h, lab.Agent, false)
	for _, h := range p.lab.Hosts() {
		p.frozen(t, h, before[h.Name], "etcd")
	}
	stopAgent(t, h)
	rename(data, data+".empty")
	rename(data+".kept", data)
	startProcess(t, h, lab.Agent, true)
	p.ready(t)
}

// ready waits until containers can join on every host again.
func (p pair) ready(t *testing.T) {
	t.Helper()
	for _, h := range p.lab.Hosts() {
		eventually(t, h.Name+" takes part again", func() (string, bool) {
			out, err := try(t, h, "ovsnet", "status")
			return out, err == nil
		})
	}
}
