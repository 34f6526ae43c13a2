package store

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/overlay"
)

// live holds a host's sign of life until the returned function is called.
func live(t *testing.T, s *Store, node string, id Identity) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.KeepAlive(ctx, node, id, 10*time.Second) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("KeepAlive: %v", err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	eventually(t, func() (bool, string) {
		alive, err := fetch[Alive](callContext(t), s, aliveKey(node))
		if err != nil {
			return false, err.Error()
		}
		return alive.value.Boot == id.Boot, node + " is not alive"
	})
	return stop
}

func TestRegisterClaims(t *testing.T) {
	s := startServer(t)
	store := s.open(t)
	begin(t, store)
	id := testIdentity(1)
	node := testNode(1)
	node.VTEPs = append(node.VTEPs, addr("198.51.100.1"))
	if err := store.Register(callContext(t), node, id); err != nil {
		t.Fatal(err)
	}
	rev := s.run.Server.KV().Rev()
	if err := store.Register(callContext(t), node, id); err != nil {
		t.Fatal(err)
	}
	if again := s.run.Server.KV().Rev(); again != rev {
		t.Errorf("a repeat wrote: revision %d after %d", again, rev)
	}

	thief := testNode(2)
	thief.VTEPs = []netip.Addr{addr("198.51.100.1")}
	err := store.Register(callContext(t), thief, testIdentity(2))
	wantKind(t, err, overlay.Conflict)
	if !strings.Contains(err.Error(), `node "h1" has it`) {
		t.Errorf("refusal %q does not say who has the VTEP", err)
	}

	node.VTEPs = node.VTEPs[:1]
	if err := store.Register(callContext(t), node, id); err != nil {
		t.Fatal(err)
	}
	if err := store.Register(callContext(t), thief, testIdentity(2)); err != nil {
		t.Errorf("an address that h1 gave up: %v", err)
	}
}

func TestRegisterKeepsNewerFields(t *testing.T) {
	s := startServer(t)
	store, _ := s.host(t, 1)
	record := s.keys(t, nodeKey("h1"))[nodeKey("h1")]
	s.put(t, nodeKey("h1"), strings.Replace(record, `{`, `{"wireguard":"key",`, 1))
	node := testNode(1)
	node.MTU = 8950
	if err := store.Register(callContext(t), node, testIdentity(1)); err != nil {
		t.Fatal(err)
	}
	if got := s.keys(t, nodeKey("h1"))[nodeKey("h1")]; !strings.Contains(got, `"wireguard":"key"`) || !strings.Contains(got, `"mtu":8950`) {
		t.Errorf("rewritten as %s", got)
	}
}

func TestRegisterTwins(t *testing.T) {
	s := startServer(t)
	store, _ := s.host(t, 1)
	other := Identity{Host: "another machine", Boot: "b"}
	moved := testNode(1)
	moved.VTEPs = []netip.Addr{addr("192.0.2.99")}

	err := store.Register(callContext(t), moved, other)
	wantKind(t, err, overlay.Conflict)
	if !strings.Contains(err.Error(), "VTEP 192.0.2.1, not alive now") {
		t.Errorf("refusal %q does not say who has the name", err)
	}
	stop := live(t, store, "h1", testIdentity(1))
	err = store.Register(callContext(t), testNode(1), other)
	wantKind(t, err, overlay.Conflict)
	if !strings.Contains(err.Error(), "alive since 20") {
		t.Errorf("refusal %q does not say that it is alive", err)
	}
	clone := testIdentity(1)
	clone.Boot = "boot of a clone"
	err = store.Register(callContext(t), testNode(1), clone)
	wantKind(t, err, overlay.Conflict)
	if !strings.Contains(err.Error(), "under another boot") {
		t.Errorf("refusal %q does not speak of a clone", err)
	}
	if err := store.KeepAlive(callContext(t), "h1", clone, time.Second); !overlay.IsKind(err, overlay.Conflict) {
		t.Errorf("a clone is kept alive: %v", err)
	}
	stop()
	if err := store.Register(callContext(t), testNode(1), clone); err != nil {
		t.Errorf("after a reboot: %v", err)
	}
	if err := store.Register(callContext(t), testNode(1), other); err != nil {
		t.Errorf("after OVSDB was emptied: %v", err)
	}
}

// A machine with a copy of a host's OVSDB does not take that host's place while its agent is away; without machine IDs,
// or with the same ones, nobody can tell the two apart.
func TestRegisterCopies(t *testing.T) {
	moved := testNode(1)
	moved.VTEPs = []netip.Addr{addr("192.0.2.99")}
	for name, test := range map[string]struct {
		was, is string
		node    overlay.Node
		refused bool
	}{
		"a copy elsewhere":                    {"m1", "m2", moved, true},
		"the host under another address":      {"m1", "m1", moved, false},
		"the host with its system anew":       {"m1", "m2", testNode(1), false},
		"the host, which had no machine ID":   {"", "m2", moved, false},
		"the host, which lost its machine ID": {"m1", "", moved, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			store := s.open(t)
			begin(t, store)
			id := testIdentity(1)
			id.Machine = test.was
			if err := store.Register(callContext(t), testNode(1), id); err != nil {
				t.Fatal(err)
			}
			id.Machine, id.Boot = test.is, "another boot"
			err := store.Register(callContext(t), test.node, id)
			if test.refused != overlay.IsKind(err, overlay.Conflict) || !test.refused && err != nil {
				t.Errorf("error %v, want a refusal: %v", err, test.refused)
			}
		})
	}
}

// TestKeepAlive takes the lease, the record and the schema away under a host that
// lives.
func TestKeepAlive(t *testing.T) {
	s := startServer(t)
	store, node := s.host(t, 1)
	stop := live(t, store, node, testIdentity(1))
	raw := s.raw(t)
	leases, err := raw.Leases(callContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, lease := range leases.Leases {
		if _, err := raw.Revoke(callContext(t), lease.ID); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() (bool, string) {
		return len(s.keys(t, aliveKey(node))) == 1, "no sign of life after its lease ended"
	})
	stop()

	ended := make(chan error, 1)
	go func() { ended <- store.KeepAlive(callContext(t), node, testIdentity(1), time.Second) }()
	if _, err := raw.Delete(callContext(t), nodeKey(node)); err != nil {
		t.Fatal(err)
	}
	wantKind(t, <-ended, overlay.Missing)
	register(t, store, 1)

	go func() { ended <- store.KeepAlive(callContext(t), node, testIdentity(1), time.Second) }()
	eventually(t, func() (bool, string) { return len(s.keys(t, aliveKey(node))) == 1, "not alive" })
	s.put(t, schemaKey, `{"v":1,"version":3,"oldest_reader":2}`)
	wantKind(t, <-ended, overlay.Conflict)
}

func TestRemoveNode(t *testing.T) {
	s := startServer(t)
	one, node := s.host(t, 1)
	two, _ := s.host(t, 2)
	wantKind(t, two.RemoveNode(callContext(t), "h9"), overlay.Missing)
	network := quickNetwork(t, one, node, "web", "10.1.0.0/24")
	for i := range detachBatch*2 + 5 {
		quickEndpoint(t, one, network, node, i)
	}
	stop := live(t, one, node, testIdentity(1))
	wantKind(t, two.RemoveNode(callContext(t), node), overlay.InUse)
	stop()
	if err := two.RemoveNode(callContext(t), node); err != nil {
		t.Fatal(err)
	}
	for key := range s.keys(t, root) {
		if key != schemaKey && key != nodeKey("h2") && key != vtepKey(addr("192.0.2.2")) && !strings.HasPrefix(key, spacesPrefix) {
			t.Errorf("%s is left", key)
		}
	}
}

// TestActAs holds that a machine which is not the one of the record takes nothing from it, also while its agent is
// away, and that the right one needs no lease of its own to leave.
func TestActAs(t *testing.T) {
	s := startServer(t)
	one, node := s.host(t, 1)
	network := quickNetwork(t, one, node, "web", "10.1.0.0/24")
	quickEndpoint(t, one, network, node, 1)
	before := s.keys(t, root)
	other := s.open(t)
	wantKind(t, other.ActAs(callContext(t), node, testIdentity(2).Host), overlay.Conflict)
	wantKind(t, other.ActAs(callContext(t), "h9", testIdentity(1).Host), overlay.Missing)
	if err := other.ActAs(callContext(t), node, testIdentity(1).Host); err != nil {
		t.Fatal(err)
	}
	s.put(t, nodeKey(node), strings.Replace(before[nodeKey(node)], testIdentity(1).Host, testIdentity(3).Host, 1))
	wantKind(t, other.RemoveNode(callContext(t), node), overlay.Conflict)
	s.put(t, nodeKey(node), before[nodeKey(node)])
	if diff := cmp.Diff(before, s.keys(t, root)); diff != "" {
		t.Errorf("changed: %s", diff)
	}
	defer live(t, one, node, testIdentity(1))()
	if err := other.RemoveNode(callContext(t), node); err != nil {
		t.Fatal(err)
	}
}

// TestRemoveOwnNode is what a host does that is taken out of the cluster.
func TestRemoveOwnNode(t *testing.T) {
	s := startServer(t)
	store, node := s.host(t, 1)
	ended := make(chan error, 1)
	go func() { ended <- store.KeepAlive(callContext(t), node, testIdentity(1), time.Second) }()
	eventually(t, func() (bool, string) { return len(s.keys(t, aliveKey(node))) == 1, "not alive" })
	if err := store.RemoveNode(callContext(t), node); err != nil {
		t.Fatal(err)
	}
	wantKind(t, <-ended, overlay.Missing)
	if left := s.keys(t, root); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}
