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
		if !one.reaches(t, two.addr) {
			t.Error("the containers that ran before do not reach each other any more")
		}
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

// newField is what the newer build's records have more, and newValue what is in it.
const newField, newValue = "charm", "from the future"

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

// buildNewer builds ovsnet from a copy of the sources in which hosts and endpoints have a field more.
func buildNewer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	copySources(t, "../..", dir)
	more := "\t// Charm is new.\n\tCharm string `json:\"" + newField + ",omitempty\"`\n"
	for _, p := range []struct{ file, before, after string }{
		{"overlay/nouns.go", "type Endpoint struct {\n", "type Endpoint struct {\n" + more},
		{"overlay/nouns.go", "type Node struct {\n", "type Node struct {\n" + more},
		{"cmd/ovsnet/underlay.go", "node := overlay.Node{\n", "node := overlay.Node{\n\t\tCharm: \"" + newValue + "\",\n"},
		{"docker/endpoint.go", "overlay.Endpoint{ID: request.EndpointID, ", "overlay.Endpoint{Charm: \"" + newValue + "\", ID: request.EndpointID, "},
	} {
		path := filepath.Join(dir, p.file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), p.before); n != 1 {
			t.Fatalf("%s has %q %d times: tell this test how to add a field now", p.file, p.before, n)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), p.before, p.after, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "newer")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-o", binary, "./cmd/ovsnet")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the newer ovsnet: %v\n%s", err, out)
	}
	return binary
}

// copySources copies what a build of the agent needs.
func copySources(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	rooms := map[string]bool{"cmd": true}
	sources, err := filepath.Glob(filepath.Join(from, "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range sources {
		rooms[filepath.Base(filepath.Dir(path))] = true
	}
	for name := range rooms {
		if err := os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(from, name))); err != nil {
			t.Fatal(err)
		}
	}
}
