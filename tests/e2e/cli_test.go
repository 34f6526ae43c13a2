package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// What to build, item 9: the command line, for people and programs.
func TestCLI(t *testing.T) {
	l := up(t, lab.Options{})
	h1, h2 := l.Host(1), l.Host(2)
	createNetwork(t, l.Hosts(), "web", "--subnet", "10.70.0.0/24")
	one, two := runContainer(t, h1, "web", "one"), runContainer(t, h2, "web", "two")
	one.waitReaches(t, two.addr)
	t.Run("-o json has the documented fields", func(t *testing.T) { testFields(t, h1, one) })
	t.Run("exit status", func(t *testing.T) { testExitStatus(t, h1) })
	t.Run("lists are cluster-wide", func(t *testing.T) { testClusterWide(t, l) })
	t.Run("endpoint inspect counts", func(t *testing.T) { testCounters(t, one, two) })
	t.Run("flows ls", func(t *testing.T) { testFlowList(t, h1, two) })
	t.Run("environment and completion", func(t *testing.T) {
		if text := run(t, h1, "env", "OVSNET_OUTPUT=json", "ovsnet", "node", "ls"); !json.Valid([]byte(text)) {
			t.Errorf("OVSNET_OUTPUT=json gives %s", text)
		}
		for _, shell := range []string{"bash", "zsh", "fish"} {
			if text := run(t, h1, "ovsnet", "completion", shell); !strings.Contains(text, "ovsnet") {
				t.Errorf("the completion of %s is %s", shell, text)
			}
		}
	})
}

// documented gives the fields that docs/operating.md lists for a command.
func documented(t *testing.T, command string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "## Programs")
	for line := range strings.Lines(list) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`"+command+"`") {
			continue
		}
		cell, _, _ := strings.Cut(cells[2], "(")
		var fields []string
		for _, field := range regexp.MustCompile("`([a-z0-9_]+)").FindAllStringSubmatch(cell, -1) {
			fields = append(fields, field[1])
		}
		return slices.DeleteFunc(fields, func(f string) bool { return f == "inspect" })
	}
	t.Fatalf("docs/operating.md does not list the fields of %s", command)
	return nil
}

func testFields(t *testing.T, h *lab.Host, one container) {
	// These are left out where there is nothing to say.
	optional := map[string]bool{"since": true, "ipv6": true, "counters": true}
	for command, args := range map[string][]string{
		"status": nil, "node ls": nil, "node inspect": {"h2"}, "network ls": nil, "network inspect": {"web"},
		"endpoint ls": nil, "endpoint inspect": {one.addr}, "flows ls": nil,
	} {
		argv := append(strings.Fields(command), args...)
		var objects []map[string]any
		if strings.HasSuffix(command, "ls") {
			objects = query[[]map[string]any](t, h, argv...)
		} else {
			objects = append(objects, query[map[string]any](t, h, argv...))
		}
		if len(objects) == 0 {
			t.Errorf("ovsnet %s lists nothing", command)
		}
		want := documented(t, command)
		for _, object := range objects {
			got := slices.Sorted(maps.Keys(object))
			required := slices.DeleteFunc(slices.Clone(want), func(f string) bool { return optional[f] && !slices.Contains(got, f) })
			slices.Sort(required)
			if diff := cmp.Diff(required, got); diff != "" {
				t.Errorf("ovsnet %s -o json (-documented +printed):\n%s", command, diff)
				break
			}
		}
	}
}

func testExitStatus(t *testing.T, h *lab.Host) {
	for line, want := range map[string]int{
		"status": 0, "node ls": 0, "version": 0,
		"network create web --subnet 10.71.0.0/24":                 2,
		"network create more --subnet 10.71.0.0/24 --vni 16777216": 2,
		"network rm web":                     2,
		"network ls -o yaml":                 2,
		"network ls surplus":                 2,
		"network ls --nonsense":              2,
		"network nonsense":                   2,
		"nonsense":                           2,
		"network inspect nobody":             3,
		"network rm nobody":                  3,
		"node inspect nobody":                3,
		"endpoint inspect nobody":            3,
		"flows ls --network nobody":          3,
		"flows ls --table nothing":           3,
		"status --socket /run/nothing":       4,
		"flows watch --socket /run/nothing":  4,
		"node ls --etcd https://127.0.0.1:1": 4,
	} {
		if got := exitCode(t, h, append([]string{"ovsnet"}, strings.Fields(line)...)...); got != want {
			t.Errorf("ovsnet %s: exit status %d, want %d", line, got, want)
		}
	}
}

// testClusterWide: what is anywhere shows everywhere.
func testClusterWide(t *testing.T, l *lab.Lab) {
	for _, list := range []string{"node", "network", "endpoint"} {
		argv := []string{"ovsnet", list, "ls", "-o", "json"}
		if diff := cmp.Diff(run(t, l.Host(1), argv...), run(t, l.Host(2), argv...)); diff != "" {
			t.Errorf("ovsnet %s ls differs (-h1 +h2):\n%s", list, diff)
		}
	}
	var hosts []string
	for _, e := range query[[]struct{ Node string }](t, l.Host(2), "endpoint", "ls") {
		hosts = append(hosts, e.Node)
	}
	if slices.Sort(hosts); !slices.Equal(hosts, []string{"h1", "h2"}) {
		t.Errorf("the endpoints are on %v", hosts)
	}
}

// testCounters: an endpoint's packets are counted on its host, and any host can ask for them.
func testCounters(t *testing.T, one, two container) {
	m := member{container: one, network: "web"}
	before := counters(t, m)
	one.run(t, "ping", "-q", "-c", "5", "-i", "0.02", two.addr)
	after := counters(t, m)
	if from, to := after.FromPackets-before.FromPackets, after.ToPackets-before.ToPackets; from < 5 || to < 5 {
		t.Errorf("of five pings there and back %d and %d packets are counted", from, to)
	}
	m.container.host = two.host
	if there := counters(t, m); there.FromPackets < after.FromPackets {
		t.Errorf("asked on the other host: %+v, on its own %+v", there, after)
	}
}

// testFlowList: flows tell what they are for, and can be narrowed to a network and a table.
func testFlowList(t *testing.T, h *lab.Host, two container) {
	type flow struct {
		TableName string `json:"table_name"`
		Node      string
		Reason    string
		State     string
	}
	var found bool
	for _, f := range query[[]flow](t, h, "flows", "ls", "--network", "web", "--table", "Forward") {
		if f.TableName != "Forward" || f.State != "installed" || !strings.Contains(f.Reason, "web") {
			t.Errorf("the list has %+v", f)
		}
		found = found || f.Node == "h2" && strings.Contains(f.Reason, two.addr)
	}
	if !found {
		t.Errorf("no flow leads to %s on h2", two.addr)
	}
}
