package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// footprint is what ovsnet has in etcd and on the hosts: keys, links, and ports of the bridge.
type footprint struct {
	Keys         []string
	Links, Ports map[string][]string
}

func footprintOf(t *testing.T, l *lab.Lab, c cluster) footprint {
	t.Helper()
	f := footprint{Links: map[string][]string{}, Ports: map[string][]string{}}
	for key := range maps.Keys(c.keys(t, "")) {
		// These come and go by themselves.
		if !strings.HasPrefix(key, "alive/") && !strings.HasPrefix(key, "spaces/") {
			f.Keys = append(f.Keys, key)
		}
	}
	slices.Sort(f.Keys)
	for _, h := range l.Hosts() {
		f.Links[h.Name] = ownLinks(t, h)
		f.Ports[h.Name] = strings.Fields(run(t, h, "ovs-vsctl", "list-ports", "br-ovsnet"))
		slices.Sort(f.Ports[h.Name])
	}
	return f
}

// ownLinks are the links of endpoints on the host.
func ownLinks(t *testing.T, h *lab.Host) []string {
	t.Helper()
	var names []string
	for line := range strings.Lines(run(t, h, "ip", "-o", "link", "show", "type", "veth")) {
		if name, _, _ := strings.Cut(strings.Fields(line)[1], "@"); strings.HasPrefix(name, "ovsn") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// leavesNothing holds that do changes nothing that outlasts it.
func leavesNothing(t *testing.T, l *lab.Lab, c cluster, do func()) {
	t.Helper()
	before := footprintOf(t, l, c)
	do()
	eventually(t, "nothing is left behind", func() (string, bool) {
		diff := cmp.Diff(before, footprintOf(t, l, c))
		return "(-before +after):\n" + diff, diff == ""
	})
}
