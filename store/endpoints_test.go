package store

import (
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

func TestCreateEndpointRefuses(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	two, second := s.host(t, 2)
	network := quickNetwork(t, one, first, "web", "10.1.0.0/24")
	quickNetwork(t, two, second, "web", "")
	taken := quickEndpoint(t, one, network, first, 1)
	good := overlay.Endpoint{ID: "e2", Network: network.ID, Node: second, MAC: overlay.MACFromAddr(addr("10.1.0.77")), IPv4: addr("10.1.0.77")}
	for name, test := range map[string]struct {
		change  func(*overlay.Endpoint)
		refusal string
	}{
		"MAC of another":     {func(e *overlay.Endpoint) { e.MAC = taken.MAC }, `endpoint ` + overlay.ShortID(taken.ID) + ` on node "h1" has it`},
		"zero MAC":           {func(e *overlay.Endpoint) { e.MAC = overlay.MAC{} }, "all zero"},
		"multicast MAC":      {func(e *overlay.Endpoint) { e.MAC[0] |= 1 }, "multicast"},
		"address of another": {func(e *overlay.Endpoint) { e.IPv4 = taken.IPv4 }, `endpoint ` + overlay.ShortID(taken.ID)},
		"gateway":            {func(e *overlay.Endpoint) { e.IPv4 = addr("10.1.0.1") }, "gateway"},
		"broadcast":          {func(e *overlay.Endpoint) { e.IPv4 = addr("10.1.0.255") }, "broadcast"},
		"outside":            {func(e *overlay.Endpoint) { e.IPv4 = addr("10.2.0.2") }, `network "web" has subnets 10.1.0.0/24 only`},
		"no address":         {func(e *overlay.Endpoint) { e.IPv4 = addr("::1").Unmap(); e.IPv4 = addr("::1") }, "wrong family"},
		"network unknown":    {func(e *overlay.Endpoint) { e.Network = "n0" }, "not attached"},
		"node not attached":  {func(e *overlay.Endpoint) { e.Node = "h9" }, "not attached"},
		"ID of another":      {func(e *overlay.Endpoint) { e.ID = taken.ID }, "it exists with [" + taken.IPv4.String() + "]"},
		"ID with a slash":    {func(e *overlay.Endpoint) { e.ID = "a/b" }, "endpoint ID"},
		"foreign IPAM":       {func(e *overlay.Endpoint) { e.IPv4, e.ForeignIPAM = taken.IPv4, true }, "--ipam-driver ovsnet"},
	} {
		before := s.keys(t, root)
		e := good
		test.change(&e)
		if _, err := two.CreateEndpoint(callContext(t), e); err == nil || !strings.Contains(err.Error(), test.refusal) {
			t.Errorf("%s: %v, want a refusal with %q", name, err, test.refusal)
		}
		if left := added(before, s.keys(t, root)); len(left) > 0 {
			t.Errorf("%s: refused, and left %v", name, left)
		}
	}
	made, err := two.CreateEndpoint(callContext(t), good)
	if err != nil || made.Revision == 0 {
		t.Fatalf("good: %+v, %v", made, err)
	}
	again, err := two.CreateEndpoint(callContext(t), good)
	if err != nil || again.Revision != made.Revision {
		t.Errorf("a repeat: %+v, %v", again, err)
	}
	found, ok, err := one.GetEndpoint(callContext(t), network.ID, "e2")
	if err != nil || !ok || found.Revision != made.Revision || found.IPv4 != good.IPv4 {
		t.Errorf("looked up: %+v, %v, %v", found, ok, err)
	}
	if _, ok, err := one.GetEndpoint(callContext(t), network.ID, "e3"); ok || err != nil {
		t.Errorf("an unknown one: %v, %v", ok, err)
	}
	audit(t, s)
}

func TestDeleteEndpoint(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	two, second := s.host(t, 2)
	network := quickNetwork(t, one, first, "web", "10.1.0.0/24")
	quickNetwork(t, two, second, "web", "")
	e := quickEndpoint(t, one, network, first, 1)
	wantKind(t, two.DeleteEndpoint(callContext(t), second, network.ID, e.ID), overlay.Conflict)
	for range 2 {
		if err := one.DeleteEndpoint(callContext(t), first, network.ID, e.ID); err != nil {
			t.Fatal(err)
		}
	}
	// The address is not another host's until Docker released it.
	_, err := request(t, two, second, network, e.IPv4.String())
	wantKind(t, err, overlay.Conflict)
	if err := one.ReleaseAddress(callContext(t), first, poolOfNetwork(network), e.IPv4); err != nil {
		t.Fatal(err)
	}
	if _, err := request(t, two, second, network, e.IPv4.String()); err != nil {
		t.Errorf("after its release: %v", err)
	}

	foreign := overlay.Endpoint{ID: "f", Network: network.ID, Node: first, MAC: e.MAC, IPv4: addr("10.1.0.99"), ForeignIPAM: true}
	if _, err := one.CreateEndpoint(callContext(t), foreign); err != nil {
		t.Fatal(err)
	}
	if err := one.DeleteEndpoint(callContext(t), first, network.ID, "f"); err != nil {
		t.Fatal(err)
	}
	if _, err := request(t, two, second, network, "10.1.0.99"); err != nil {
		t.Errorf("what another IPAM driver chose stays claimed: %v", err)
	}
	audit(t, s)
}

func TestOperatorsNetwork(t *testing.T) {
	s := startServer(t)
	store, node := s.host(t, 1)
	before := s.keys(t, root)
	asked := overlay.Network{Name: "web", MTU: 1450, Subnets: []overlay.Subnet{{Prefix: prefix("10.1.0.0/24")}}}
	made, err := store.CreateNetwork(callContext(t), asked)
	if err != nil || made.VNI != firstVNI || made.Space != "web" || made.Subnets[0].Gateway != addr("10.1.0.1") || made.Revision == 0 || !made.Durable {
		t.Fatalf("made %+v, %v", made, err)
	}
	_, err = store.CreateNetwork(callContext(t), asked)
	wantKind(t, err, overlay.Conflict)
	for name, bad := range map[string]overlay.Network{
		"name":        {Name: "-x", MTU: 1450, Subnets: asked.Subnets},
		"MTU":         {Name: "a", MTU: 67, Subnets: asked.Subnets},
		"VNI":         {Name: "a", MTU: 1450, VNI: 1 << 24, Subnets: asked.Subnets},
		"no subnet":   {Name: "a", MTU: 1450},
		"other space": {Name: "a", MTU: 1450, Space: "web", Subnets: asked.Subnets},
		"gateway":     {Name: "a", MTU: 1450, Subnets: []overlay.Subnet{{Prefix: prefix("10.1.0.0/24"), Gateway: addr("10.2.0.1")}}},
	} {
		if _, err := store.CreateNetwork(callContext(t), bad); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	joined, _, err := docker{store, node}.create(callContext(t), dockerNetwork{id: "d", ipamName: "web"})
	if err != nil || joined.ID != made.ID {
		t.Fatalf("joined %+v, %v", joined, err)
	}
	err = store.RemoveNetwork(callContext(t), "web")
	if !overlay.IsKind(err, overlay.InUse) || !strings.Contains(err.Error(), "h1 as Docker network d") {
		t.Errorf("a network that a host has: %v", err)
	}
	quickEndpoint(t, store, joined, node, 7)
	err = store.RemoveNetwork(callContext(t), "web")
	if !overlay.IsKind(err, overlay.InUse) || !strings.Contains(err.Error(), "1 endpoints: web-h1-e7 (10.1.0.2) on h1") {
		t.Errorf("a network with an endpoint: %v", err)
	}
	if err := store.Detach(callContext(t), node, "d"); err != nil {
		t.Fatal(err)
	}
	audit(t, s)
	if len(s.keys(t, networksPrefix)) != 1 {
		t.Fatal("an operator's network went with its last host")
	}
	if err := store.RemoveNetwork(callContext(t), "web"); err != nil {
		t.Fatal(err)
	}
	wantKind(t, store.RemoveNetwork(callContext(t), "web"), overlay.Missing)
	if left := added(before, s.keys(t, root)); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestGarbageClaims stumbles over claims that nobody can read, or that belong to
// nothing: the call that needs one says which, and all others work.
func TestGarbageClaims(t *testing.T) {
	s := startServer(t)
	store, node := s.host(t, 1)
	d := docker{store, node}
	network := quickNetwork(t, store, node, "web", "10.1.0.0/24")
	pool := poolOfNetwork(network)
	for _, key := range []string{
		nameKey("broken"), nameKey("orphan"), vniKey(firstVNI + 1), vnisPrefix + "none", poolsPrefix + "default/none", poolsPrefix + "default/10.7.0.0/16",
		addressKey(pool, addr("10.1.0.2")), addressesOf(pool) + "none", pendingOf(node) + "web/none",
		macKey(network.ID, overlay.MACFromAddr(addr("10.1.0.7"))), vtepKey(addr("192.0.2.9")),
	} {
		value := "garbage"
		if key == nameKey("orphan") {
			value = `{"v":1,"network":"n0"}`
		}
		s.put(t, key, value)
	}
	for name, test := range map[string]struct {
		do  func() error
		key string
	}{
		"broken name": {func() error {
			_, _, err := d.create(callContext(t), dockerNetwork{id: "d1", ipamName: "broken"})
			return err
		}, nameKey("broken")},
		"orphaned name": {func() error {
			_, _, err := d.create(callContext(t), dockerNetwork{id: "d1", ipamName: "orphan"})
			return err
		}, nameKey("orphan") + ": it claims for network n0, which does not exist"},
		"broken address": {func() error { _, err := request(t, store, node, network, "10.1.0.2"); return err }, addressKey(pool, addr("10.1.0.2"))},
		"broken MAC":     {func() error { _, err := d.run(callContext(t), "e7", network, pool, addr("10.1.0.7")); return err }, macsOf(network.ID)},
		"broken VTEP":    {func() error { return store.Register(callContext(t), testNode(9), testIdentity(9)) }, vtepKey(addr("192.0.2.9"))},
		"broken VNI": {func() error {
			_, _, err := d.create(callContext(t), dockerNetwork{id: "d1", ipamName: "shop", vni: firstVNI + 1})
			return err
		}, vniKey(firstVNI + 1)},
		"overlaps a broken subnet": {func() error {
			_, _, err := d.create(callContext(t), dockerNetwork{id: "d1", subnet: "10.7.1.0/24"})
			return err
		}, "it overlaps subnet 10.7.0.0/16"},
	} {
		if err := test.do(); !overlay.IsKind(err, overlay.Conflict) || !strings.Contains(err.Error(), test.key) {
			t.Errorf("%s: %v, want a conflict that names %s", name, err, test.key)
		}
	}
	if e := quickEndpoint(t, store, network, node, 1); e.IPv4 != addr("10.1.0.3") {
		t.Errorf("a free address beside a broken claim: %s", e.IPv4)
	}
	shop, _, err := d.create(callContext(t), dockerNetwork{id: "d1", name: "shop"})
	if err != nil || shop.VNI != firstVNI+2 {
		t.Errorf("a new network beside broken claims: %+v, %v", shop, err)
	}
}
