package ovsdb

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/overlay"
)

var (
	bridgeWanted = Bridge{Name: "br-ovsnet", Datapath: "netdev", ExternalIDs: map[string]string{KeyHost: "h1"}}
	tunnelWanted = Port{Name: "ovsnet-vxlan", Type: "vxlan", Options: map[string]string{"remote_ip": "flow", "key": "flow", "dst_port": "4789"}}
)

// foreign returns operations that make what somebody else could have made.
func foreign(v view, bridge string, port Port) []ovsdb.Operation {
	ops := []ovsdb.Operation{
		insertRow(tableInterface, "foreign_interface", ovsdb.Row{"name": port.Name, "type": port.Type, "options": stringMap(port.Options)}),
		insertRow(tablePort, "foreign_port", ovsdb.Row{"name": port.Name, "interfaces": references([]string{"foreign_interface"}), "external_ids": stringMap(port.ExternalIDs)}),
	}
	if on := v.bridge(bridge); on != nil {
		return append(ops, mutateRow(tableBridge, on.UUID, *ovsdb.NewMutation("ports", ovsdb.MutateOperationInsert, references([]string{"foreign_port"}))))
	}
	ops = append(ops, insertRow(tableBridge, "foreign_bridge", ovsdb.Row{"name": bridge, "datapath_type": "netdev", "ports": references([]string{"foreign_port"})}))
	if v.root == nil {
		return append(ops, insertRow(tableRoot, "root", ovsdb.Row{"bridges": references([]string{"foreign_bridge"}), "next_cfg": 1}))
	}
	return append(ops, mutateRow(tableRoot, v.root.UUID, *ovsdb.NewMutation("bridges", ovsdb.MutateOperationInsert, references([]string{"foreign_bridge"}))))
}

// planned joins what a plan refuses into one error.
func planned(ops []ovsdb.Operation, refused map[string]error, err error) ([]ovsdb.Operation, error) {
	return ops, made(refused, err)
}

// made is nil when no port was refused.
func made(refused map[string]error, err error) error {
	return errors.Join(append(slices.Collect(maps.Values(refused)), err)...)
}

func TestPlansEndInWhatIsWanted(t *testing.T) {
	m := newMemory(t)
	m.must(planBridge(m.view(), bridgeWanted))
	m.must(planTunnel(m.view(), "br-ovsnet", tunnelWanted))
	m.must(planned(planPorts(m.view(), "br-ovsnet", []Port{
		{Name: "ovsn2", ExternalIDs: map[string]string{KeyEndpoint: "e2", KeyNetwork: "n"}},
		{Name: "ovsn1", ExternalIDs: map[string]string{KeyEndpoint: "e1", KeyNetwork: "n"}},
	})))
	v := m.view()
	if !v.whole() {
		t.Fatalf("torn: %+v", v)
	}
	if v.root.NextCfg != 3 {
		t.Errorf("next_cfg = %d after three changes", v.root.NextCfg)
	}
	b := v.bridge("br-ovsnet")
	if *b.FailMode != "secure" || b.DatapathType != "netdev" || len(b.Protocols) != 6 {
		t.Errorf("bridge is %+v", b)
	}
	if diff := cmp.Diff(map[string]string{KeyOwner: Owner, KeyHost: "h1"}, b.ExternalIDs); diff != "" {
		t.Error(diff)
	}
	o := observe(v, "br-ovsnet")
	var names []string
	for _, p := range o.Ports {
		names = append(names, p.Name+" "+p.Type+" "+p.ExternalIDs[KeyEndpoint])
	}
	if want := []string{"ovsn1  e1", "ovsn2  e2", "ovsnet-vxlan vxlan "}; !slices.Equal(names, want) {
		t.Errorf("ports are %q, want %q", names, want)
	}
}

func TestSecondPlanIsEmpty(t *testing.T) {
	m := newMemory(t)
	plans := map[string]func(view) ([]ovsdb.Operation, error){
		"1 bridge": func(v view) ([]ovsdb.Operation, error) { return planBridge(v, bridgeWanted) },
		"2 tunnel": func(v view) ([]ovsdb.Operation, error) { return planTunnel(v, "br-ovsnet", tunnelWanted) },
		"3 ports": func(v view) ([]ovsdb.Operation, error) {
			return planned(planPorts(v, "br-ovsnet", []Port{{Name: "ovsn1"}}))
		},
		"4 remove": func(v view) ([]ovsdb.Operation, error) { return planRemovePorts(v, "br-ovsnet", []string{"ovsn1"}) },
		"5 bridge": func(v view) ([]ovsdb.Operation, error) { return planRemoveBridge(v, "br-ovsnet") },
	}
	for _, name := range slices.Sorted(maps.Keys(plans)) {
		m.must(plans[name](m.view()))
		if again, err := plans[name](m.view()); err != nil || len(again) > 0 {
			t.Errorf("%s: the second plan is %v, %v", name, again, err)
		}
	}
	if v := m.view(); len(v.bridges)+len(v.ports)+len(v.interfaces) > 0 {
		t.Errorf("left behind: %+v", v)
	}
}

func TestDriftIsPutRight(t *testing.T) {
	m := newMemory(t)
	m.must(planBridge(m.view(), bridgeWanted))
	m.must(planTunnel(m.view(), "br-ovsnet", tunnelWanted))
	bridge, tunnel := m.view().bridge("br-ovsnet"), m.view().places()[tunnelWanted.Name]
	drifts := map[string]ovsdb.Operation{
		"fail_mode":     updateRow(tableBridge, bridge.UUID, ovsdb.Row{"fail_mode": "standalone"}),
		"no fail_mode":  updateRow(tableBridge, bridge.UUID, ovsdb.Row{"fail_mode": stringSet(nil)}),
		"protocols":     updateRow(tableBridge, bridge.UUID, ovsdb.Row{"protocols": stringSet([]string{"OpenFlow10"})}),
		"datapath":      updateRow(tableBridge, bridge.UUID, ovsdb.Row{"datapath_type": "system"}),
		"in-band":       updateRow(tableBridge, bridge.UUID, ovsdb.Row{"other_config": stringMap(map[string]string{"disable-in-band": "false"})}),
		"host identity": updateRow(tableBridge, bridge.UUID, ovsdb.Row{"external_ids": stringMap(map[string]string{KeyOwner: Owner, KeyHost: "other"})}),
		"option":        updateRow(tableInterface, tunnel.link.UUID, ovsdb.Row{"options": stringMap(map[string]string{"remote_ip": "flow", "key": "7", "dst_port": "4789"})}),
		"extra option":  updateRow(tableInterface, tunnel.link.UUID, ovsdb.Row{"options": stringMap(map[string]string{"remote_ip": "flow", "key": "flow", "dst_port": "4789", "tos": "4"})}),
		"type":          updateRow(tableInterface, tunnel.link.UUID, ovsdb.Row{"type": "geneve"}),
	}
	for name, drift := range drifts {
		t.Run(name, func(t *testing.T) {
			m.must([]ovsdb.Operation{drift}, nil)
			ops, err := planBridge(m.view(), bridgeWanted)
			m.must(ops, err)
			more, err := planTunnel(m.view(), "br-ovsnet", tunnelWanted)
			m.must(more, err)
			if len(ops)+len(more) == 0 {
				t.Fatal("nothing was planned")
			}
			b, at := m.view().bridge("br-ovsnet"), m.view().places()[tunnelWanted.Name]
			if len(bridgeDrift(b, bridgeWanted)) > 0 || b.OtherConfig["disable-in-band"] != "true" || b.ExternalIDs[KeyHost] != "h1" {
				t.Errorf("bridge is %+v", b)
			}
			if at.link.Type != "vxlan" || !maps.Equal(at.link.Options, tunnelWanted.Options) {
				t.Errorf("tunnel is %+v", at.link)
			}
		})
	}
}

func TestForeignKeysStay(t *testing.T) {
	m := newMemory(t)
	m.must(planBridge(m.view(), bridgeWanted))
	m.must([]ovsdb.Operation{mutateRow(tableBridge, m.view().bridge("br-ovsnet").UUID,
		*ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, stringMap(map[string]string{"theirs": "1"})),
		*ovsdb.NewMutation("other_config", ovsdb.MutateOperationInsert, stringMap(map[string]string{"hwaddr": "02:00:00:00:00:01"})))}, nil)
	m.must(planBridge(m.view(), Bridge{Name: "br-ovsnet", Datapath: "netdev", ExternalIDs: map[string]string{KeyHost: "h2"}}))
	m.must(planBridge(m.view(), Bridge{Name: "br-ovsnet", Datapath: "netdev", ExternalIDs: map[string]string{"gone": ""}}))
	b := m.view().bridge("br-ovsnet")
	if diff := cmp.Diff(map[string]string{KeyOwner: Owner, KeyHost: "h2", "theirs": "1"}, b.ExternalIDs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"disable-in-band": "true", "hwaddr": "02:00:00:00:00:01"}, b.OtherConfig); diff != "" {
		t.Error(diff)
	}
	m.must(planBridge(m.view(), Bridge{Name: "br-ovsnet", Datapath: "netdev", ExternalIDs: map[string]string{KeyHost: ""}}))
	if _, there := m.view().bridge("br-ovsnet").ExternalIDs[KeyHost]; there {
		t.Error("an empty value did not remove the key")
	}
}

func TestRefusals(t *testing.T) {
	withBridge := func(m *memory) { m.must(planBridge(m.view(), bridgeWanted)) }
	with := func(bridge string, port Port) func(*memory) {
		return func(m *memory) { m.must(foreign(m.view(), bridge, port), nil) }
	}
	theirTunnel := Port{Name: "ovn-0", Type: "vxlan", Options: map[string]string{"remote_ip": "flow", "key": "flow"}}
	ensureBridge := func(v view) ([]ovsdb.Operation, error) { return planBridge(v, bridgeWanted) }
	ensurePort := func(v view) ([]ovsdb.Operation, error) {
		return planned(planPorts(v, "br-ovsnet", []Port{{Name: "ovsn1"}}))
	}
	ensureTunnel := func(v view) ([]ovsdb.Operation, error) { return planTunnel(v, "br-ovsnet", tunnelWanted) }
	removePort := func(v view) ([]ovsdb.Operation, error) { return planRemovePorts(v, "br-ovsnet", []string{"ovsn1"}) }
	removeBridge := func(v view) ([]ovsdb.Operation, error) { return planRemoveBridge(v, "br-ovsnet") }
	for name, c := range map[string]struct {
		before []func(*memory)
		plan   func(view) ([]ovsdb.Operation, error)
		kind   overlay.Kind
		says   string
	}{
		"bridge of our name":       {[]func(*memory){with("br-ovsnet", Port{Name: "x"})}, ensureBridge, overlay.Conflict, `bridge "br-ovsnet": OVS has one of that name that ovsnet did not make`},
		"port of our bridge's":     {[]func(*memory){with("br0", Port{Name: "br-ovsnet"})}, ensureBridge, overlay.Conflict, `bridge "br0" has a port`},
		"port without bridge":      {nil, ensurePort, overlay.Missing, "no such bridge"},
		"port on foreign bridge":   {[]func(*memory){with("br-ovsnet", Port{Name: "x"})}, ensurePort, overlay.Conflict, "did not make"},
		"port of our name there":   {[]func(*memory){withBridge, with("br0", Port{Name: "ovsn1"})}, ensurePort, overlay.Conflict, `port "ovsn1": bridge "br0" has one`},
		"port of our name here":    {[]func(*memory){withBridge, with("br-ovsnet", Port{Name: "ovsn1"})}, ensurePort, overlay.Conflict, `bridge "br-ovsnet" has one`},
		"their tunnel":             {[]func(*memory){withBridge, with("br-int", theirTunnel)}, ensureTunnel, overlay.Conflict, `port "ovn-0" on bridge "br-int" already takes VXLAN from any peer on UDP port 4789`},
		"removing a foreign port":  {[]func(*memory){withBridge, with("br-ovsnet", Port{Name: "ovsn1"})}, removePort, overlay.Conflict, "did not make"},
		"removing foreign bridge":  {[]func(*memory){with("br-ovsnet", Port{Name: "x"})}, removeBridge, overlay.Conflict, "did not make"},
		"removing with their port": {[]func(*memory){withBridge, with("br-ovsnet", Port{Name: "tap0"})}, removeBridge, overlay.InUse, "tap0"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory(t)
			for _, step := range c.before {
				step(m)
			}
			ops, err := c.plan(m.view())
			if len(ops) > 0 {
				t.Errorf("planned %v all the same", ops)
			}
			if !overlay.IsKind(err, c.kind) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("refused with %v, want kind %d saying %q", err, c.kind, c.says)
			}
		})
	}
}

func TestRefusedPortDoesNotKeepOthersBack(t *testing.T) {
	m := newMemory(t)
	m.must(planBridge(m.view(), bridgeWanted))
	m.must(foreign(m.view(), "br0", Port{Name: "ovsn1"}), nil)
	ops, err := planned(planPorts(m.view(), "br-ovsnet", []Port{{Name: "ovsn1"}, {Name: "ovsn2"}}))
	if !overlay.IsKind(err, overlay.Conflict) {
		t.Errorf("error is %v", err)
	}
	m.must(ops, nil)
	if o := observe(m.view(), "br-ovsnet"); len(o.Ports) != 1 || o.Ports[0].Name != "ovsn2" {
		t.Errorf("ports are %+v", o.Ports)
	}
}

func TestStandingTunnelIsNotRefusedLater(t *testing.T) {
	m := newMemory(t)
	m.must(planBridge(m.view(), bridgeWanted))
	m.must(planTunnel(m.view(), "br-ovsnet", tunnelWanted))
	m.must(foreign(m.view(), "br-int", Port{Name: "ovn-0", Type: "vxlan", Options: map[string]string{"remote_ip": "flow"}}), nil)
	if ops, err := planTunnel(m.view(), "br-ovsnet", tunnelWanted); err != nil || len(ops) > 0 {
		t.Errorf("planned %v, %v for a tunnel that was there first", ops, err)
	}
	want := []FlowTunnel{{Bridge: "br-int", Port: "ovn-0", UDPPort: 4789}}
	if diff := cmp.Diff(want, observe(m.view(), "br-ovsnet").FlowTunnels); diff != "" {
		t.Error(diff)
	}
}

// TestAnyPlanConverges: from any state of the database, the plan is accepted,
// leads to what is wanted, leaves what is not ours alone, and is then empty.
func TestAnyPlanConverges(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := newMemory(t)
		names := []string{"a", "b", "c", "d"}
		if rapid.Bool().Draw(r, "their bridge") {
			m.must(foreign(m.view(), "br0", Port{Name: "a"}), nil)
		}
		m.must(planBridge(m.view(), bridgeWanted))
		if rapid.Bool().Draw(r, "their port") {
			m.must(foreign(m.view(), "br-ovsnet", Port{Name: "b"}), nil)
		}
		for range rapid.IntRange(1, 5).Draw(r, "steps") {
			var wants []Port
			for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(r, "wanted") {
				wants = append(wants, Port{
					Name: name, Type: rapid.SampledFrom([]string{"", "internal", "vxlan"}).Draw(r, "type"),
					Options:     rapid.MapOfN(rapid.SampledFrom([]string{"key", "tos"}), rapid.SampledFrom([]string{"1", "2"}), 0, 2).Draw(r, "options"),
					ExternalIDs: rapid.MapOfN(rapid.SampledFrom([]string{KeyEndpoint, KeyNetwork, "x"}), rapid.SampledFrom([]string{"", "1", "2"}), 0, 3).Draw(r, "ids"),
				})
			}
			removed := rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(r, "removed")
			foreignBefore := describeForeign(m.view())
			ops, refused := planRemovePorts(m.view(), "br-ovsnet", removed)
			checkRefused(r, m.view(), refused)
			m.must(ops, nil)
			ops, refused = planned(planPorts(m.view(), "br-ovsnet", wants))
			checkRefused(r, m.view(), refused)
			m.must(ops, nil)
			v := m.view()
			if !v.whole() {
				r.Fatalf("torn: %+v", v)
			}
			checkWanted(r, v, wants)
			if again, _, _ := planPorts(v, "br-ovsnet", wants); len(again) > 0 {
				r.Fatalf("the second plan is %v", again)
			}
			if diff := cmp.Diff(foreignBefore, describeForeign(v)); diff != "" {
				r.Fatalf("foreign rows changed: %s", diff)
			}
		}
	})
}

func checkRefused(r *rapid.T, v view, refused error) {
	if refused != nil && len(describeForeign(v)) == 0 {
		r.Fatalf("refused without anything foreign: %v", refused)
	}
}

func checkWanted(r *rapid.T, v view, wants []Port) {
	places := v.places()
	for _, want := range wants {
		at := places[want.Name]
		if at.port != nil && !ours(at.port.ExternalIDs) {
			continue
		}
		if at.port == nil || at.bridge.Name != "br-ovsnet" || at.link.Type != want.Type || !maps.Equal(at.link.Options, want.Options) {
			r.Fatalf("wanted %+v, have %+v", want, at)
		}
		for k, v := range want.ExternalIDs {
			if at.port.ExternalIDs[k] != v {
				r.Fatalf("wanted %s=%q, have %v", k, v, at.port.ExternalIDs)
			}
		}
	}
}

func describeForeign(v view) []string {
	var all []string
	for name, at := range v.places() {
		if !ours(at.port.ExternalIDs) {
			all = append(all, fmt.Sprintf("%s on %s: %+v %+v", name, at.bridge.Name, *at.port, at.link.Options))
		}
	}
	slices.Sort(all)
	return all
}
