package ovsdb

import (
	"context"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"go.uber.org/goleak"

	"github.com/ovsnet/ovsnet/overlay"
)

func TestMain(m *testing.M) {
	// libovsdb's server writes a line for every client that has gone.
	log.SetOutput(io.Discard)
	goleak.VerifyTestMain(m)
}

func deadline(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, w *world) *Client {
	c := Dial(Config{Endpoint: w.endpoint})
	t.Cleanup(c.Close)
	return c
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func observed(t *testing.T, c *Client) Observation {
	t.Helper()
	o, err := c.Observe(deadline(t, 10*time.Second), "br-ovsnet")
	check(t, err)
	return o
}

// generation is next_cfg: it rises with every transaction that changes something.
func generation(t *testing.T, c *Client) int {
	t.Helper()
	_, v, _, err := c.look(deadline(t, 10*time.Second))
	check(t, err)
	if v.root == nil {
		return 0
	}
	return v.root.NextCfg
}

// somebody makes a change that is not ovsnet's.
func somebody(t *testing.T, c *Client, plan func(view) []ovsdb.Operation) {
	t.Helper()
	check(t, c.ensure(deadline(t, 10*time.Second), "foreign rows", func(v view) ([]ovsdb.Operation, error) {
		return v.askForAnswer(plan(v)), nil
	}))
}

func ensureAll(t *testing.T, c *Client, ports ...Port) {
	t.Helper()
	ctx := deadline(t, 20*time.Second)
	check(t, c.EnsureBridge(ctx, bridgeWanted))
	check(t, c.EnsureTunnel(ctx, "br-ovsnet", tunnelWanted))
	check(t, made(c.EnsurePorts(ctx, "br-ovsnet", ports)))
}

func TestEnsureAndObserve(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		c := dial(t, w)
		w.link("ovsn1")
		w.link("ovsn2")
		ports := []Port{
			{Name: "ovsn1", ExternalIDs: map[string]string{KeyEndpoint: "e1", KeyNetwork: "n1"}},
			{Name: "ovsn2", ExternalIDs: map[string]string{KeyEndpoint: "e2", KeyNetwork: "n1"}},
		}
		ensureAll(t, c, ports...)
		outcomes := c.WaitPorts(deadline(t, 10*time.Second), []string{"ovsn1", "ovsn2", "ovsnet-vxlan"})
		seen := map[uint32]bool{}
		for name, outcome := range outcomes {
			if outcome.Err != nil || outcome.Ofport == 0 || seen[outcome.Ofport] {
				t.Errorf("%s: %+v", name, outcome)
			}
			seen[outcome.Ofport] = true
		}
		o := observed(t, c)
		if !o.Answered || !o.Bridge.Present || !o.Bridge.Owned || !o.Bridge.Up || o.Bridge.ExternalIDs[KeyHost] != "h1" {
			t.Errorf("observed %+v", o)
		}
		if !slices.Contains(o.DatapathTypes, "netdev") {
			t.Errorf("datapath types are %q", o.DatapathTypes)
		}
		var got []string
		for _, p := range o.Ports {
			got = append(got, p.Name+" "+p.ExternalIDs[KeyEndpoint])
			if p.Ofport != outcomes[p.Name].Ofport {
				t.Errorf("%s: ofport %d, awaited %d", p.Name, p.Ofport, outcomes[p.Name].Ofport)
			}
		}
		if diff := cmp.Diff([]string{"ovsn1 e1", "ovsn2 e2", "ovsnet-vxlan "}, got); diff != "" {
			t.Error(diff)
		}

		before := generation(t, c)
		ensureAll(t, c, ports...)
		if after := generation(t, c); after != before {
			t.Errorf("a second Ensure made %d transactions", after-before)
		}

		ctx := deadline(t, 10*time.Second)
		check(t, c.RemovePorts(ctx, "br-ovsnet", []string{"ovsn1", "never-there"}))
		if o := observed(t, c); len(o.Ports) != 2 || o.Ports[0].Name != "ovsn2" {
			t.Errorf("ports after removal: %+v", o.Ports)
		}
		check(t, c.RemoveBridge(ctx, "br-ovsnet"))
		check(t, c.RemoveBridge(ctx, "br-ovsnet"))
		if o := observed(t, c); o.Bridge.Present || len(o.Ports) > 0 {
			t.Errorf("after removal: %+v", o)
		}
	})
}

func TestManyPortsAreOneTransaction(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		c := dial(t, w)
		ensureAll(t, c)
		before := generation(t, c)
		var ports []Port
		var names []string
		for i := range 200 {
			names = append(names, fmt.Sprintf("ovsn%d", i))
			ports = append(ports, Port{Name: names[i], Type: "internal"})
		}
		ctx := deadline(t, 30*time.Second)
		check(t, made(c.EnsurePorts(ctx, "br-ovsnet", ports)))
		if after := generation(t, c); after != before+1 {
			t.Errorf("%d transactions for 200 ports", after-before)
		}
		for name, outcome := range c.WaitPorts(ctx, names) {
			check(t, outcome.Err)
			if outcome.Ofport == 0 {
				t.Errorf("%s has no ofport", name)
			}
		}
		check(t, c.RemovePorts(ctx, "br-ovsnet", names))
		if after := generation(t, c); after != before+2 {
			t.Errorf("%d transactions to remove 200 ports", after-before-1)
		}
	})
}

func TestForeignRowsAreRefused(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		c := dial(t, w)
		ctx := deadline(t, 20*time.Second)
		somebody(t, c, func(v view) []ovsdb.Operation {
			return foreign(v, "br-other", Port{Name: "theirs", Type: "internal"})
		})
		_, before, _, err := c.look(ctx)
		check(t, err)
		if err := c.EnsureBridge(ctx, Bridge{Name: "br-other", Datapath: "system"}); !overlay.IsKind(err, overlay.Conflict) {
			t.Errorf("EnsureBridge: %v", err)
		}
		if err := c.RemoveBridge(ctx, "br-other"); !overlay.IsKind(err, overlay.Conflict) {
			t.Errorf("RemoveBridge: %v", err)
		}
		_, after, _, err := c.look(ctx)
		check(t, err)
		if diff := cmp.Diff(before.bridge("br-other"), after.bridge("br-other")); diff != "" {
			t.Errorf("the foreign bridge changed: %s", diff)
		}

		ensureAll(t, c)
		somebody(t, c, func(v view) []ovsdb.Operation {
			return foreign(v, "br-ovsnet", Port{Name: "tap0", Type: "internal"})
		})
		if o := observed(t, c); len(o.Foreign) != 1 || o.Foreign[0].Name != "tap0" {
			t.Errorf("foreign ports are %+v", o.Foreign)
		}
		w.link("ovsn1")
		refused, err := c.EnsurePorts(ctx, "br-ovsnet", []Port{{Name: "tap0"}, {Name: "ovsn1"}})
		if err != nil || len(refused) != 1 || !overlay.IsKind(refused["tap0"], overlay.Conflict) {
			t.Errorf("EnsurePorts: %v, %v", refused, err)
		}
		if o := observed(t, c); len(o.Ports) != 2 || o.Ports[0].Name != "ovsn1" {
			t.Errorf("ports beside the refused one are %+v", o.Ports)
		}
		if err := c.RemovePorts(ctx, "br-ovsnet", []string{"tap0"}); !overlay.IsKind(err, overlay.Conflict) {
			t.Errorf("RemovePorts: %v", err)
		}
		if err := c.RemoveBridge(ctx, "br-ovsnet"); !overlay.IsKind(err, overlay.InUse) {
			t.Errorf("RemoveBridge: %v", err)
		}
	})
}

func TestPortErrorIsTold(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		c := dial(t, w)
		ensureAll(t, c, Port{Name: "absent0"}, Port{Name: "present0", Type: "internal"})
		outcomes := c.WaitPorts(deadline(t, 10*time.Second), []string{"absent0", "present0", "nowhere"})
		if err := outcomes["absent0"].Err; !overlay.IsKind(err, overlay.Conflict) || !strings.Contains(err.Error(), "could not open network device absent0 (No such device)") {
			t.Errorf("absent0: %v", err)
		}
		if outcomes["present0"].Err != nil {
			t.Error(outcomes["present0"].Err)
		}
		if err := outcomes["nowhere"].Err; !overlay.IsKind(err, overlay.Missing) {
			t.Errorf("nowhere: %v", err)
		}
		for _, p := range observed(t, c).Ports {
			if p.Name == "absent0" && (p.Ofport != 0 || !strings.Contains(p.Error, "No such device")) {
				t.Errorf("observed %+v", p)
			}
		}
	})
}

func TestSecondFlowTunnel(t *testing.T) {
	theirs := Port{Name: "ovn-0", Type: "vxlan", Options: map[string]string{"remote_ip": "flow", "key": "flow"}}
	worlds(t, func(t *testing.T, w *world) {
		c := dial(t, w)
		ctx := deadline(t, 20*time.Second)
		somebody(t, c, func(v view) []ovsdb.Operation { return foreign(v, "br-int", theirs) })
		check(t, c.WaitPorts(ctx, []string{theirs.Name})[theirs.Name].Err)
		check(t, c.EnsureBridge(ctx, bridgeWanted))
		err := c.EnsureTunnel(ctx, "br-ovsnet", tunnelWanted)
		if !overlay.IsKind(err, overlay.Conflict) || !strings.Contains(err.Error(), `port "ovn-0" on bridge "br-int"`) {
			t.Errorf("EnsureTunnel: %v", err)
		}
		o := observed(t, c)
		if diff := cmp.Diff([]FlowTunnel{{Bridge: "br-int", Port: "ovn-0", UDPPort: 4789}}, o.FlowTunnels); diff != "" || len(o.Ports) > 0 {
			t.Errorf("%s, ports %v", diff, o.Ports)
		}

		// Made without asking, as before a restart in which theirs came first.
		check(t, made(c.EnsurePorts(ctx, "br-ovsnet", []Port{tunnelWanted})))
		err = c.WaitPorts(ctx, []string{tunnelWanted.Name})[tunnelWanted.Name].Err
		if !overlay.IsKind(err, overlay.Conflict) || !strings.Contains(err.Error(), "File exists") || !strings.Contains(err.Error(), `port "ovn-0"`) {
			t.Errorf("WaitPorts: %v", err)
		}
		check(t, c.RemovePorts(ctx, "br-ovsnet", []string{tunnelWanted.Name}))
		other := tunnelWanted
		other.Options = map[string]string{"remote_ip": "flow", "key": "flow", "dst_port": "14789"}
		check(t, c.EnsureTunnel(ctx, "br-ovsnet", other))
		check(t, c.WaitPorts(ctx, []string{other.Name})[other.Name].Err)
	})
}

func TestImpossibleDatapath(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		c := dial(t, w)
		ctx := deadline(t, 10*time.Second)
		check(t, c.EnsureBridge(ctx, Bridge{Name: "br-ovsnet", Datapath: "system"}))
		check(t, made(c.EnsurePorts(ctx, "br-ovsnet", []Port{{Name: "ovsn1", Type: "internal"}})))
		err := c.WaitPorts(ctx, []string{"ovsn1"})["ovsn1"].Err
		if !overlay.IsKind(err, overlay.Unavailable) || !strings.Contains(err.Error(), `datapath type "system"`) {
			t.Errorf("WaitPorts: %v", err)
		}
		if o := observed(t, c); o.Bridge.Up {
			t.Errorf("observed %+v", o.Bridge)
		}
		check(t, c.EnsureBridge(ctx, bridgeWanted))
		check(t, c.WaitPorts(ctx, []string{"ovsn1"})["ovsn1"].Err)
	})
}

func TestSwitchAway(t *testing.T) {
	worlds(t, func(t *testing.T, w *world) {
		c := dial(t, w)
		ensureAll(t, c)
		check(t, c.Ping(deadline(t, 10*time.Second)))
		w.freeze()
		check(t, made(c.EnsurePorts(deadline(t, 10*time.Second), "br-ovsnet", []Port{{Name: "ovsn1", Type: "internal"}})))
		err := c.WaitPorts(deadline(t, 200*time.Millisecond), []string{"ovsn1"})["ovsn1"].Err
		if !overlay.IsKind(err, overlay.Unavailable) || !strings.Contains(err.Error(), "ovs-vswitchd does not answer") {
			t.Errorf("WaitPorts: %v", err)
		}
		if observed(t, c).Answered {
			t.Error("observed an answer of a stopped ovs-vswitchd")
		}
		if err := c.Ping(deadline(t, 200*time.Millisecond)); !overlay.IsKind(err, overlay.Unavailable) {
			t.Errorf("Ping: %v", err)
		}
		w.thaw()
		check(t, c.WaitPorts(deadline(t, 10*time.Second), []string{"ovsn1"})["ovsn1"].Err)
		check(t, c.Ping(deadline(t, 10*time.Second)))
	})
}
