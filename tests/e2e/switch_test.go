package e2e

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/ofctl"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/ovsdb"
	"github.com/ovsnet/ovsnet/tests/lab"
	"github.com/ovsnet/ovsnet/tunnel"
)

// bridge is ovsnet's bridge on every host.
const bridge = "br-ovsnet"

// ovsDir is the host's directory of OVS sockets as the test reaches it.
func ovsDir(t *testing.T, h *lab.Host) string {
	t.Helper()
	dir, err := h.Path("/run/openvswitch")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// installed is what OVS on the host has, read by the strict parser.
func installed(t *testing.T, h *lab.Host) []flows.Installed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	list, err := ofctl.New(ofctl.Config{Bridge: bridge, RunDir: ovsDir(t, h)}).Dump(ctx)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b flows.Installed) int { return flows.Compare(a.Flow, b.Flow) })
	return list
}

// lines are the flows with what identifies them and what they do: key, actions and cookie.
func lines(list []flows.Installed) []string {
	all := make([]string, len(list))
	for i, f := range list {
		all[i] = f.Options + f.Flow.String()
	}
	return all
}

// ports are the host's tunnel and endpoint ports as its OVSDB has them.
func ports(t *testing.T, h *lab.Host) flows.Host {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	client := ovsdb.Dial(ovsdb.Config{Endpoint: "unix:" + ovsDir(t, h) + "/db.sock"})
	defer client.Close()
	seen, err := client.Observe(ctx, bridge)
	if err != nil {
		t.Fatal(err)
	}
	host := flows.Host{Node: h.Name, Ports: map[string]flows.Port{}}
	for _, p := range seen.Ports {
		if id := p.ExternalIDs[ovsdb.KeyEndpoint]; id != "" {
			host.Ports[id] = flows.Port{Network: p.ExternalIDs[ovsdb.KeyNetwork], OFPort: p.Ofport}
		} else {
			host.Tunnel = p.Ofport
		}
	}
	return host
}

// spare is a second OVS, on a host of its own where nothing else runs.
type spare struct {
	host     *lab.Host
	datapath lab.Datapath
}

func newSpare(t *testing.T) spare {
	t.Helper()
	l := up(t, lab.Options{Name: "spare-" + labName(t.Name())[len("e2e-"):], Hosts: 1, NoDocker: true, NoAgent: true})
	return spare{host: l.Host(1), datapath: l.Plan.Datapath}
}

// programmed gives what this OVS shows once an empty bridge of it was given, in one bundle, the flows that the host
// should have by what etcd says and the port numbers that OVSDB there says.
func (s spare) programmed(t *testing.T, snapshot *overlay.Snapshot, host flows.Host) []flows.Installed {
	t.Helper()
	// In one transaction ovs-vswitchd would see the same bridge, and keep its flows.
	run(t, s.host, "ovs-vsctl", "--if-exists", "del-br", bridge)
	run(t, s.host, "ovs-vsctl", "add-br", bridge, "--", "set", "bridge", bridge, "fail_mode=secure", "datapath_type="+string(s.datapath), "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15")
	if list := installed(t, s.host); len(list) != 0 {
		t.Fatalf("the new bridge is not empty: %s", lines(list))
	}
	self, known := snapshot.Node(host.Node)
	if !known {
		t.Fatalf("etcd has no node %s", host.Node)
	}
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	want := flows.Delta{Add: flows.Compile(snapshot, host, tunnel.RouteFor(self))}
	if err := ofctl.New(ofctl.Config{Bridge: bridge, RunDir: ovsDir(t, s.host)}).Apply(ctx, want); err != nil {
		t.Fatal(err)
	}
	return installed(t, s.host)
}

// sameAsFresh waits until the host's flows are those of the spare OVS programmed from empty.
func (s spare) sameAsFresh(t *testing.T, c cluster, h *lab.Host) {
	t.Helper()
	eventually(t, "the flows on "+h.Name+" are those of an OVS programmed from empty", func() (string, bool) {
		fresh := s.programmed(t, c.snapshot(t), ports(t, h))
		diff := cmp.Diff(lines(fresh), lines(installed(t, h)))
		if diff == "" {
			t.Logf("%d flows on %s are the same", len(fresh), h.Name)
		}
		return "(-fresh +there)\n" + diff, diff == ""
	})
}
