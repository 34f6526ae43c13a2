package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ovsnet/ovsnet/overlay"
)

// follower reads a Watcher's views.
type follower struct {
	t    *testing.T
	w    *Watcher
	last View
}

func follow(t *testing.T, s *Store, node string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := &follower{t: t, w: s.Watch(ctx, node)}
	t.Cleanup(func() {
		cancel()
		for range f.w.Views() {
			continue
		}
	})
	return f
}

// until reads views until one satisfies the condition.
func (f *follower) until(what string, condition func(View) bool) View {
	f.t.Helper()
	end := time.After(callTime)
	for {
		select {
		case view, open := <-f.w.Views():
			if !open {
				f.t.Fatal("the views ended")
			}
			if f.last = view; condition(view) {
				return view
			}
		case <-end:
			f.t.Fatalf("not in time: %s; last view: connected %v, problems %v, %d networks", what, f.last.Connected, f.last.Problems, count(f.last.Snapshot))
		}
	}
}

func count(s *overlay.Snapshot) int {
	n := 0
	if s != nil {
		for range s.Networks() {
			n++
		}
	}
	return n
}

// same holds that this view, or one that follows, shows what List shows; only are
// the networks whose endpoints are followed.
func (f *follower) same(s *Store, only ...string) {
	f.t.Helper()
	whole, err := s.List(callContext(f.t))
	if err != nil {
		f.t.Fatal(err)
	}
	edit := whole.Snapshot.Edit()
	for id := range whole.Snapshot.MemberNetworks() {
		followed := false
		for _, o := range only {
			followed = followed || o == id
		}
		if !followed {
			edit.ForgetEndpoints(id)
		}
	}
	want := edit.Snapshot()
	equal := func(v View) bool { return overlay.Diff(want, v.Snapshot).Empty() }
	if !equal(f.last) {
		f.until("the view that a list shows", equal)
	}
}

func TestWatchFollowsMembership(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	two, second := s.host(t, 2)
	web := quickNetwork(t, one, first, "web", "10.1.0.0/24")
	shop := quickNetwork(t, one, first, "shop", "10.2.0.0/24")
	bar := quickNetwork(t, two, second, "bar", "10.3.0.0/24")
	quickNetwork(t, two, second, "web", "")
	quickNetwork(t, two, second, "shop", "")
	quickEndpoint(t, one, web, first, 1)
	quickEndpoint(t, two, web, second, 2)
	quickEndpoint(t, two, shop, second, 3)
	quickEndpoint(t, two, bar, second, 4)

	f := follow(t, one, first)
	begin := f.until("first view", func(View) bool { return true })
	if !begin.Connected || begin.Snapshot.EndpointCount(web.ID) != 2 {
		t.Errorf("first view: connected %v, %d endpoints of web, want 2", begin.Connected, begin.Snapshot.EndpointCount(web.ID))
	}
	f.same(one, web.ID)

	if err := f.w.Follow(callContext(t), shop.ID); err != nil {
		t.Fatal(err)
	}
	f.until("shop", func(v View) bool { return v.Snapshot.EndpointCount(shop.ID) == 1 })
	if err := f.w.Follow(callContext(t), shop.ID); err != nil {
		t.Errorf("followed already: %v", err)
	}
	e := quickEndpoint(t, two, shop, second, 5)
	view := f.until("a new endpoint of shop", func(v View) bool { return v.Snapshot.EndpointCount(shop.ID) == 2 })
	if got, ok := view.Snapshot.Endpoint(shop.ID, e.ID); !ok || got.Revision != e.Revision || got.IPv4 != e.IPv4 {
		t.Errorf("endpoint %+v, want %+v", got, e)
	}
	f.same(one, web.ID, shop.ID)
	f.w.Unfollow(shop.ID)
	f.until("shop unfollowed", func(v View) bool { return v.Snapshot.EndpointCount(shop.ID) == 0 })
	if err := two.DeleteEndpoint(callContext(t), second, web.ID, "web-h2-e2"); err != nil {
		t.Fatal(err)
	}
	f.until("an endpoint of web gone", func(v View) bool { return v.Snapshot.EndpointCount(web.ID) == 1 })
	f.same(one, web.ID)

	// What this host does not follow, and what is no record, brings no view.
	quickEndpoint(t, two, bar, second, 6)
	if _, err := request(t, two, second, web, ""); err != nil {
		t.Fatal(err)
	}
	three, third := s.host(t, 3)
	view = f.until("h3", func(v View) bool { _, ok := v.Snapshot.Node(third); return ok })
	if n := len(overlay.Diff(begin.Snapshot, view.Snapshot).Nodes); n != 1 {
		t.Errorf("%d nodes changed", n)
	}
	live(t, three, third, testIdentity(3))
	f.until("h3 alive", func(v View) bool { return v.Alive[third].Host == testIdentity(3).Host })
	if len(begin.Alive) != 0 {
		t.Error("an old view changed")
	}
}

// TestWatchGarbage writes what nobody can read under every watched prefix.
func TestWatchGarbage(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	web := quickNetwork(t, one, first, "web", "10.1.0.0/24")
	e := quickEndpoint(t, one, web, first, 1)
	f := follow(t, one, first)
	f.until("first view", func(v View) bool { return v.Snapshot.EndpointCount(web.ID) == 1 })
	good := s.keys(t, root)
	garbage := []string{nodeKey("h7"), aliveKey("h7"), networkKey("n7"), attachKey(web.ID, "h7"), endpointKey(web.ID, "e7"), endpointKey(web.ID, e.ID)}
	for _, key := range garbage {
		s.put(t, key, "\x00garbage")
	}
	view := f.until("problems", func(v View) bool { return len(v.Problems) == len(garbage) })
	if view.Snapshot.EndpointCount(web.ID) != 0 || count(view.Snapshot) != 1 {
		t.Errorf("%d endpoints, %d networks", view.Snapshot.EndpointCount(web.ID), count(view.Snapshot))
	}
	for _, p := range view.Problems {
		if !strings.Contains(p.Reason, "not a JSON object") {
			t.Errorf("%s: %s", p.Key, p.Reason)
		}
	}
	f.same(one, web.ID)
	listed, err := one.List(callContext(t))
	if err != nil || len(listed.Problems) != len(garbage) {
		t.Errorf("listed problems %v, %v", listed.Problems, err)
	}
	// The rest works.
	quickEndpoint(t, one, web, first, 2)
	quickNetwork(t, one, first, "shop", "10.1.0.0/24")
	// What is mended, or removed, is no problem any more.
	s.put(t, endpointKey(web.ID, e.ID), good[endpointKey(web.ID, e.ID)])
	for _, key := range garbage[:5] {
		if _, err := s.raw(t).Delete(callContext(t), key); err != nil {
			t.Fatal(err)
		}
	}
	f.until("mended", func(v View) bool {
		return len(v.Problems) == 0 && v.Snapshot.EndpointCount(web.ID) == 2 && count(v.Snapshot) == 2
	})
	f.same(one, web.ID)
}

// TestWatchRestart stops the server and starts it again on its data.
func TestWatchRestart(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	web := quickNetwork(t, one, first, "web", "10.1.0.0/24")
	quickEndpoint(t, one, web, first, 1)
	w := newWire(t, strings.TrimPrefix(s.url, "http://"))
	f := follow(t, openURL(t, w.url()), first)
	before := f.until("first view", func(v View) bool { return v.Connected })
	w.set(true)
	s.run.Close()
	away := f.until("disconnected", func(v View) bool { return !v.Connected })
	if away.Snapshot != before.Snapshot {
		t.Error("the last snapshot did not stay")
	}
	s.start(t)
	w.set(false)
	f.until("connected again", func(v View) bool { return v.Connected })
	quickEndpoint(t, one, web, first, 2)
	f.until("news after the restart", func(v View) bool { return v.Snapshot.EndpointCount(web.ID) == 2 })
	f.same(one, web.ID)
}

// TestWatchCompaction cuts the wire, and mends it when the revisions that were
// missed exist no more.
func TestWatchCompaction(t *testing.T) {
	s := startServer(t)
	near, first := s.host(t, 1)
	web := quickNetwork(t, near, first, "web", "10.1.0.0/24")
	gone := quickEndpoint(t, near, web, first, 1)
	quickEndpoint(t, near, web, first, 2)
	w := newWire(t, strings.TrimPrefix(s.url, "http://"))
	f := follow(t, openURL(t, w.url()), first)
	f.until("first view", func(v View) bool { return v.Snapshot.EndpointCount(web.ID) == 2 })
	w.set(true)
	f.until("disconnected", func(v View) bool { return !v.Connected })

	if err := (docker{near, first}).stop(callContext(t), gone, poolOfNetwork(web)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		quickEndpoint(t, near, web, first, 10+i)
	}
	quickNetwork(t, near, first, "shop", "10.1.0.0/24")
	register(t, near, 2)
	if err := near.RemoveNode(callContext(t), nodeName(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.raw(t).Compact(callContext(t), s.run.Server.KV().Rev()); err != nil {
		t.Fatal(err)
	}
	w.set(false)
	f.until("caught up", func(v View) bool { return v.Snapshot.EndpointCount(web.ID) == 4 && count(v.Snapshot) == 2 })
	f.same(near, web.ID)
	quickEndpoint(t, near, web, first, 20)
	f.until("watching on", func(v View) bool { return v.Snapshot.EndpointCount(web.ID) == 5 })
}

// TestWatchAnotherCluster puts an emptied etcd behind the same address, whose
// revisions begin anew, and then brings back the data.
func TestWatchAnotherCluster(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	quickNetwork(t, one, first, "web", "10.1.0.0/24")
	w := newWire(t, strings.TrimPrefix(s.url, "http://"))
	f := follow(t, openURL(t, w.url()), first)
	f.until("first view", func(v View) bool { return count(v.Snapshot) == 1 })
	kept := s.keys(t, root)
	w.set(true)
	s.run.Close()
	f.until("disconnected", func(v View) bool { return !v.Connected })
	s.dir += ".new"
	s.start(t)
	w.set(false)
	if v := f.until("lost", func(v View) bool { return v.Connected && v.Lost != nil }); count(v.Snapshot) != 1 {
		t.Errorf("%d networks are left", count(v.Snapshot))
	}
	schema := kept[schemaKey]
	delete(kept, schemaKey)
	for key, value := range kept {
		s.put(t, key, value)
	}
	s.put(t, schemaKey, schema)
	f.until("back", func(v View) bool { return v.Lost == nil })
	f.same(one)
}

// TestWatchDataPutBack empties an etcd by another data directory and puts the old one back: the emptied one has other
// people's keys, so that its revision is beyond the one that last wrote the schema record, and no event tells of that.
func TestWatchDataPutBack(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	quickNetwork(t, one, first, "web", "10.1.0.0/24")
	for range 300 {
		s.put(t, "/others/key", "")
	}
	w := newWire(t, strings.TrimPrefix(s.url, "http://"))
	f := follow(t, openURL(t, w.url()), first)
	f.until("first view", func(v View) bool { return count(v.Snapshot) == 1 })
	kept, etcd := s.dir, s.run.Server.Cluster().ID()
	swap := func(dir string) {
		t.Helper()
		w.set(true)
		s.run.Close()
		f.until("disconnected", func(v View) bool { return !v.Connected })
		s.dir = dir
		s.start(t)
		if now := s.run.Server.Cluster().ID(); now != etcd {
			t.Fatalf("etcd's cluster ID is %s, and was %s", now, etcd)
		}
	}
	swap(kept + ".new")
	for range 60 {
		s.put(t, "/others/key", "")
	}
	w.set(false)
	f.until("lost", func(v View) bool { return v.Connected && v.Lost != nil })
	for range 10 {
		s.put(t, "/others/key", "") // time in which every feed begins to wait
	}
	swap(kept)
	w.set(false)
	f.until("back", func(v View) bool { return v.Connected && v.Lost == nil })
	quickNetwork(t, one, first, "shop", "10.2.0.0/24")
	f.until("news", func(v View) bool { return count(v.Snapshot) == 2 })
	f.same(one)
}

// TestWatchAway begins while etcd is away.
func TestWatchAway(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	web := quickNetwork(t, one, first, "web", "10.1.0.0/24")
	w := newWire(t, strings.TrimPrefix(s.url, "http://"))
	w.set(true)
	far := openURL(t, w.url())
	f := follow(t, far, first)
	short, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	err := f.w.Follow(short, web.ID)
	wantKind(t, err, overlay.Unavailable)
	select {
	case v := <-f.w.Views():
		t.Errorf("a view before anything was read: %+v", v)
	default:
	}
	w.set(false)
	f.until("first view", func(v View) bool { return count(v.Snapshot) == 1 && v.Connected })
}

// TestListPages reads more than one page, at one revision.
func TestListPages(t *testing.T) {
	s := startServer(t)
	store := s.open(t)
	raw := s.raw(t)
	const nodes = page + 100
	for i := range nodes {
		value := fmt.Sprintf(`{"v":1,"name":"n%d","vteps":["10.0.%d.%d"]}`, i, i/250, i%250+1)
		if _, err := raw.Put(callContext(t), nodeKey(fmt.Sprintf("n%d", i)), value); err != nil {
			t.Fatal(err)
		}
	}
	view, err := store.List(callContext(t))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range view.Snapshot.Nodes() {
		n++
	}
	if n != nodes || len(view.Problems) > 0 {
		t.Errorf("%d nodes, problems %v", n, view.Problems)
	}
}

// TestWatchEnds holds that nothing of a Watcher outlives its ctx and its Store.
func TestWatchEnds(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	web := quickNetwork(t, one, first, "web", "10.1.0.0/24")
	quickEndpoint(t, one, web, first, 1)
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(context.Background())
	other, err := Open(Config{Endpoints: []string{s.url}})
	if err != nil {
		t.Fatal(err)
	}
	w := other.Watch(ctx, first)
	<-w.Views()
	cancel()
	for range w.Views() {
		continue
	}
	wantKind(t, w.Follow(callContext(t), web.ID), overlay.Unavailable)
	w.Unfollow(web.ID)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, before)
}
