package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// Agents of two builds work in one lab, the newer with a field more in its records of hosts and endpoints, and what the
// older writes again keeps that field. A schema that the builds cannot share keeps them out. ("What it must show": two
// builds.)
func TestTwoBuilds(t *testing.T) {
	need(t)
	newer := buildNewer(t)
	l := up(t, lab.Options{Agents: map[string]lab.AgentOptions{"h2": {Binary: newer}}})
	old, fresh := l.Host(1), l.Host(2)
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.10.0.0/24")
	etcd := openCluster(t, l)
	one, two := runContainer(t, old, "web", "one"), runContainer(t, fresh, "web", "two")
	one.waitReaches(t, two.addr)
	two.waitReaches(t, one.addr)
	for key, want := range map[string]bool{"nodes/h1": false, "nodes/h2": true} {
		if got := field(t, etcd.keys(t, key)[""]); (got == "from the future") != want {
			t.Errorf("%s has the new field: %q", key, got)
		}
	}
	fields := 0
	for _, value := range etcd.keys(t, "endpoints/") {
		if field(t, value) != "" {
			fields++
		}
	}
	if fields != 1 {
		t.Errorf("%d of the two endpoints have the new field, not the newer build's alone", fields)
	}
	t.Run("a rewrite by the older build keeps the newer one's field", func(t *testing.T) {
		before := etcd.keys(t, "nodes/h2")[""]
		restartAgent(t, fresh, lab.AgentOptions{Args: []string{"--region", "moved"}}, true)
		after := etcd.keys(t, "nodes/h2")[""]
		if !strings.Contains(after, `"region":"moved"`) || field(t, after) != "from the future" {
			t.Errorf("the older build made of\n%s\nthis:\n%s", before, after)
		}
		one.waitReaches(t, two.addr)
	})
	t.Run("a schema of another time keeps both out", func(t *testing.T) {
		is := etcd.keys(t, "schema")[""]
		etcd.put(t, "schema", `{"v":1,"version":2,"oldest_reader":2}`)
		for _, h := range l.Hosts() {
			refusesToTakePart(t, h)
		}
		refused(t, fresh, []string{"schema", "run the same release of ovsnet on every host"}, "docker", "run", "--rm", "--network", "web", lab.ImageName, "true")
		refused(t, fresh, []string{"schema", "run the same release of ovsnet on every host"}, "ovsnet", "network", "ls")
		// What runs already is left alone.
		one.waitReaches(t, two.addr)
		etcd.put(t, "schema", is)
		for _, h := range l.Hosts() {
			eventually(t, h.Name+" takes part again", func() (string, bool) {
				out, err := try(t, h, "ovsnet", "status")
				return out, err == nil
			})
		}
		run(t, fresh, "docker", "run", "--rm", "--network", "web", lab.ImageName, "true")
	})
}

// refusesToTakePart waits until the agent says in its status that the schema keeps it out, as it does when it runs
// already, and when it is started.
func refusesToTakePart(t *testing.T, h *lab.Host) {
	t.Helper()
	says := func() (string, bool) {
		out, err := try(t, h, "ovsnet", "status", "-o", "json")
		var s agent.Status
		if json.Unmarshal([]byte(out), &s) != nil {
			return out, false
		}
		reasons := strings.Join(s.Reasons, "; ")
		return reasons, err != nil && !s.Ready && strings.Contains(reasons, "schema") && strings.Contains(reasons, "run the same release of ovsnet on every host")
	}
	eventually(t, "the agent on "+h.Name+", which runs, says that it must not take part", says)
}

// newField is what the newer build's records have more.
const newField = "charm"

// field is the new field of a record.
func field(t *testing.T, value string) string {
	t.Helper()
	var record map[string]any
	if err := json.Unmarshal([]byte(value), &record); err != nil {
		t.Fatalf("%v: %q", err, value)
	}
	text, _ := record[newField].(string)
	return text
}

// buildNewer is ovsnet as a later release could be: built here, or where OVSNET_NEWER says, since a virtual machine has no
// compiler that is worth waiting for.
func buildNewer(t *testing.T) string {
	t.Helper()
	if built := os.Getenv("OVSNET_NEWER"); built != "" {
		return built
	}
	binary := filepath.Join(t.TempDir(), "newer")
	if out, err := exec.CommandContext(t.Context(), "./newer", binary).CombinedOutput(); err != nil {
		t.Fatalf("build the newer ovsnet: %v\n%s", err, out)
	}
	return binary
}
