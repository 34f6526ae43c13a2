package store

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

func nodes(v View) (names []string) {
	for n := range v.Snapshot.Nodes() {
		names = append(names, n.Name)
	}
	return names
}

// A watcher keeps the last view of a cluster whose data went, and goes on when it is back.
func TestWatcherOfAClusterThatWasLost(t *testing.T) {
	s := startServer(t)
	store, name := s.host(t, 1)
	n := quickNetwork(t, store, name, "web", "10.1.0.0/24")
	e := quickEndpoint(t, store, n, name, 1)
	f := follow(t, store, name)
	whole := f.until("all is there", func(v View) bool {
		_, there := v.Snapshot.Endpoint(n.ID, e.ID)
		return there && v.Cluster != ""
	})
	kept := s.keys(t, root)
	s.empty(t)
	lost := f.until("the loss shows", func(v View) bool { return v.Lost != nil })
	wantKind(t, lost.Lost, overlay.Conflict)
	still := func(when string, v View) {
		t.Helper()
		if _, there := v.Snapshot.Endpoint(n.ID, e.ID); !there || len(nodes(v)) != 1 || v.Cluster != whole.Cluster {
			t.Errorf("%s: the endpoint is there: %v, nodes %v, cluster %q", when, there, nodes(v), v.Cluster)
		}
	}
	still("emptied", lost)
	// Another cluster begins in the emptied etcd.
	other, err := s.open(t).CheckSchema(callContext(t), Remembered{})
	if err != nil || other == whole.Cluster {
		t.Fatal(other, err)
	}
	s.host(t, 2)
	s.empty(t)
	for key, value := range kept {
		if key != schemaKey && !strings.HasPrefix(key, alivePrefix) {
			s.put(t, key, value)
		}
	}
	s.put(t, schemaKey, kept[schemaKey])
	still("restored", f.until("it is back", func(v View) bool { return v.Lost == nil }))
	late := quickEndpoint(t, store, n, name, 2)
	f.until("changes arrive", func(v View) bool {
		_, there := v.Snapshot.Endpoint(n.ID, late.ID)
		return there
	})
}

// A watcher that begins while etcd is empty shows nothing until a cluster is there, and then all that its host has.
func TestWatcherOfAnEtcdWhoseDataComesBack(t *testing.T) {
	s := startServer(t)
	store, name := s.host(t, 1)
	n := quickNetwork(t, store, name, "web", "10.1.0.0/24")
	e := quickEndpoint(t, store, n, name, 1)
	kept := s.keys(t, root)
	s.empty(t)
	f := follow(t, s.open(t), name)
	for i, part := range slices.Sorted(maps.Keys(kept)) {
		if part == schemaKey {
			continue
		}
		s.put(t, part, kept[part])
		select {
		case v := <-f.w.Views():
			t.Fatalf("a view after %d of %d keys: nodes %v", i+1, len(kept), nodes(v))
		default:
		}
	}
	s.put(t, schemaKey, kept[schemaKey])
	first := f.until("the first view", func(View) bool { return true })
	if _, there := first.Snapshot.Endpoint(n.ID, e.ID); !there || first.Cluster == "" || first.Lost != nil {
		t.Errorf("the endpoint is there: %v, cluster %q, lost %v", there, first.Cluster, first.Lost)
	}
}

// Lists come in any order: one of before the cluster began, or of when it was lost, says nothing of now.
func TestAnOldListIsNoLoss(t *testing.T) {
	w := &Watcher{state: newAssembly()}
	for _, look := range []struct {
		cluster  string
		revision int64
		gone     bool
	}{{"", 1, false}, {"a", 3, false}, {"", 2, false}, {"a", 4, false}, {"", 6, true}, {"a", 5, true}, {"b", 7, true}, {"a", 8, false}} {
		w.sees(look.cluster, look.revision)
		if (w.gone != nil) != look.gone {
			t.Errorf("%q at revision %d: gone %v", look.cluster, look.revision, w.gone)
		}
	}
}

// What came last before a loss showed may be another cluster's already, so all is read again when the own one is back;
// that it is, a pulse is enough to tell.
func TestAllIsReadAgainAfterALoss(t *testing.T) {
	own, other := "a", "b"
	w := &Watcher{state: newAssembly(), feeds: map[string]*feed{nodesPrefix: {prefix: nodesPrefix, loaded: true}}}
	w.feel(t.Context(), pulse{answered: true, etcd: 1, revision: 3, cluster: &own})
	w.feel(t.Context(), pulse{answered: true, etcd: 1, revision: 5, cluster: &other})
	if w.gone == nil || !w.feeds[nodesPrefix].stale {
		t.Errorf("another cluster: gone %v, stale %v", w.gone, w.feeds[nodesPrefix].stale)
	}
	w.feel(t.Context(), pulse{answered: true, etcd: 1, revision: 7})
	if w.gone == nil {
		t.Error("a pulse that could not read the schema record took the loss back")
	}
	w.feel(t.Context(), pulse{answered: true, etcd: 1, revision: 9, cluster: &own})
	if w.gone != nil || w.lost == nil || !w.feeds[nodesPrefix].stale {
		t.Errorf("back: gone %v, lost %v, stale %v", w.gone, w.lost, w.feeds[nodesPrefix].stale)
	}
}

// Deletions alone show the loss: they may come before the schema record's own, and before any pulse.
func TestDeletionsOfALostClusterAreLeftOut(t *testing.T) {
	s := startServer(t)
	store, name := s.host(t, 1)
	w := &Watcher{store: store, node: name, deliveries: make(chan delivery), state: newAssembly(), feeds: map[string]*feed{}}
	w.startFeed(t.Context(), &feed{prefix: nodesPrefix, known: map[string]int64{}})
	w.take(<-w.deliveries)
	s.empty(t)
	select {
	case d := <-w.deliveries:
		w.take(d)
	case <-time.After(callTime):
		t.Fatal("no deletion came")
	}
	if _, there := w.state.snapshot.Node(name); !there || w.gone == nil {
		t.Errorf("the node is there: %v, gone %v", there, w.gone)
	}
}

// Many watchers that begin while the cluster does all get their first view.
func TestWatchersOfAClusterThatBegins(t *testing.T) {
	for range 20 {
		s := startServer(t)
		var all []*follower
		for i := range 4 {
			all = append(all, follow(t, s.open(t), nodeName(i+1)))
		}
		store, name := s.host(t, 1)
		quickNetwork(t, store, name, "web", "10.1.0.0/24")
		for _, f := range all {
			f.until("the first view", func(v View) bool { return v.Cluster != "" && v.Lost == nil && count(v.Snapshot) == 1 })
		}
	}
}

// A record that a newer build wrote in its own format does not take away what was known; garbage does.
func TestRecordOfANewerFormat(t *testing.T) {
	s := startServer(t)
	store, name := s.host(t, 1)
	s.host(t, 2)
	f := follow(t, store, name)
	f.until("both hosts", func(v View) bool { return len(nodes(v)) == 2 })
	s.put(t, nodeKey("h2"), `{"v":2,"name":{"new":"form"}}`)
	if v := f.until("the problem", func(v View) bool { return len(v.Problems) == 1 }); len(nodes(v)) != 2 {
		t.Errorf("nodes %v", nodes(v))
	}
	s.put(t, nodeKey("h2"), `garbage`)
	f.until("garbage is skipped", func(v View) bool { return len(nodes(v)) == 1 })
}

// What is under a name that another machine has by now is that machine's.
func TestTheNameOfAnotherMachine(t *testing.T) {
	s := startServer(t)
	before, name := s.host(t, 1)
	n := quickNetwork(t, before, name, "web", "10.1.0.0/24")
	e := quickEndpoint(t, before, n, name, 1)
	now := s.open(t)
	if err := now.Register(callContext(t), testNode(1), Identity{Host: "another machine", Boot: "its boot"}); err != nil {
		t.Fatal(err)
	}
	ctx := callContext(t)
	pool := poolOfNetwork(n)
	_, created := before.CreateEndpoint(ctx, transient(n, name, 77))
	_, attached := before.Attach(ctx, AttachRequest{Node: name, DockerNetwork: "d77", DefaultMTU: 1450, Subnet: overlay.Subnet{Prefix: prefix("10.77.0.0/24")}, ForeignIPAM: true})
	for call, err := range map[string]error{
		"CreateEndpoint": created,
		"Attach":         attached,
		"DeleteEndpoint": before.DeleteEndpoint(ctx, name, n.ID, e.ID),
		"Detach":         before.Detach(ctx, name, dockerIDOf(t, s, name)),
		"ReleaseAddress": before.ReleaseAddress(ctx, name, pool, e.IPv4),
		"ReleasePool":    before.ReleasePool(ctx, name, pool),
	} {
		if !overlay.IsKind(err, overlay.Conflict) {
			t.Errorf("%s of the machine that had the name: %v", call, err)
		}
	}
	if _, there, err := now.GetEndpoint(ctx, n.ID, e.ID); err != nil || !there {
		t.Errorf("the endpoint is there: %v, %v", there, err)
	}
	if err := now.DeleteEndpoint(ctx, name, n.ID, e.ID); err != nil {
		t.Errorf("the machine that has the name: %v", err)
	}
}

// dockerIDOf is the one Docker network of the node.
func dockerIDOf(t *testing.T, s *server, node string) string {
	t.Helper()
	for key := range s.keys(t, dockerOf(node)) {
		return tail(dockerOf(node), key)
	}
	t.Fatalf("node %s has no Docker network", node)
	return ""
}

// A host leaves a network in which others start and remove containers all the time.
func TestDetachFromABusyNetwork(t *testing.T) {
	s := startServer(t)
	leaving, name := s.host(t, 1)
	busy, other := s.host(t, 2)
	n := quickNetwork(t, leaving, name, "web", "10.1.0.0/20")
	quickNetwork(t, busy, other, "web", "10.1.0.0/20")
	for number := range 2*detachBatch + 5 {
		quickEndpoint(t, leaving, n, name, number+1)
	}
	ctx, stop := context.WithCancel(callContext(t))
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				e := transient(n, other, 2000+w*400+i%400)
				if _, err := busy.CreateEndpoint(ctx, e); err == nil {
					_ = busy.DeleteEndpoint(ctx, other, n.ID, e.ID)
				}
			}
		})
	}
	err := leaving.Detach(callContext(t), name, dockerIDOf(t, s, name))
	stop()
	writers.Wait()
	if err != nil {
		t.Fatal(err)
	}
	view, err := leaving.List(callContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for e := range view.Snapshot.Endpoints(n.ID) {
		if e.Node == name {
			t.Errorf("endpoint %s stayed", e.ID)
		}
	}
	if _, attached := view.Snapshot.Attachment(n.ID, name); attached || len(s.keys(t, dockerOf(name))) > 0 {
		t.Error("it is attached still")
	}
}

// transient is an endpoint with the network's address of that number.
func transient(n overlay.Network, node string, number int) overlay.Endpoint {
	a := netip.AddrFrom4([4]byte{10, 1, byte(number >> 8), byte(number)})
	return overlay.Endpoint{ID: fmt.Sprintf("transient%d", number), Network: n.ID, Node: node, MAC: overlay.MACFromAddr(a), IPv4: a}
}

// The last hosts that leave at the same moment take the network with them, and no endpoint outlives it.
func TestLastHostsLeaveTogether(t *testing.T) {
	s := startServer(t)
	const hosts = 4
	for round := range 10 {
		var leave []func() error
		var n overlay.Network
		for number := 1; number <= hosts; number++ {
			store, name := s.host(t, number)
			n = quickNetwork(t, store, name, fmt.Sprintf("net%d", round), "10.1.0.0/24")
			quickEndpoint(t, store, n, name, number)
			id := dockerIDOf(t, s, name)
			leave = append(leave, func() error { return store.Detach(callContext(t), name, id) })
		}
		var group sync.WaitGroup
		errs := make([]error, hosts)
		for i, do := range leave {
			group.Go(func() { errs[i] = do() })
		}
		group.Wait()
		for i, err := range errs {
			if err != nil {
				t.Errorf("host %d: %v", i+1, err)
			}
		}
		for _, prefix := range []string{networksPrefix, endpointsPrefix, attachmentsPrefix, namesPrefix, macsPrefix, poolsPrefix, addressesPrefix, dockerPrefix} {
			if left := s.keys(t, prefix); len(left) > 0 {
				t.Fatalf("round %d: left below %s: %v", round, prefix, left)
			}
		}
	}
}
