package store

import (
	"context"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/ovsnet/ovsnet/overlay"
)

// Watcher follows what one host needs to know. Views come only when all that the
// host follows was read, and only when something changed.
type Watcher struct {
	store *Store
	node  string
	done  <-chan struct{}

	views      chan View
	commands   chan command
	deliveries chan delivery
	pulses     chan pulse

	// The rest belongs to the goroutine of run.
	state *assembly
	feeds map[string]*feed
	// starting lasts until everything was read that the host begins with.
	starting bool
	// pending is the newest view that nobody took yet; dirty says that it is old.
	pending *View
	dirty   bool
	last    pulse
	since   time.Time
	// cluster is the one that the state belongs to, once etcd had one; gone is why
	// etcd does not hold it now, or nil, and lost why the state may be behind it:
	// it lasts until all that was left out has been read.
	cluster    string
	gone, lost error
	// looked is the newest revision at which etcd's cluster was looked at: feeds
	// come in any order.
	looked int64
}

// command begins or ends to follow a network's endpoints.
type command struct {
	network string
	follow  bool
	loaded  chan struct{}
}

// Watch begins to follow nodes, networks, attachments and signs of life, and the
// endpoints of the networks in which the node has endpoints now. It ends with
// ctx.
func (s *Store) Watch(ctx context.Context, node string) *Watcher {
	w := &Watcher{
		store: s, node: node, done: ctx.Done(), views: make(chan View), commands: make(chan command),
		deliveries: make(chan delivery), pulses: make(chan pulse), state: newAssembly(), feeds: map[string]*feed{},
		starting: true, since: now(),
	}
	go w.run(ctx)
	return w
}

// Views delivers the newest view; older ones that nobody took are dropped. It is
// closed when the Watcher's ctx ends. While etcd is away the last view stays, and
// one more comes that says so.
func (w *Watcher) Views() <-chan View { return w.views }

// Follow begins to follow a network's endpoints, and returns when they are in
// the next view. When ctx ends before that, it is refused (Unavailable) and goes
// on in the background.
func (w *Watcher) Follow(ctx context.Context, network string) error {
	loaded := make(chan struct{})
	select {
	case w.commands <- command{network: network, follow: true, loaded: loaded}:
	case <-w.done:
		return overlay.Refuse(overlay.Unavailable, "network "+overlay.ShortID(network), "", "the agent is stopping")
	}
	select {
	case <-loaded:
		return nil
	case <-w.done:
		return overlay.Refuse(overlay.Unavailable, "network "+overlay.ShortID(network), "", "the agent is stopping")
	case <-ctx.Done():
		return w.store.unavailable(ctx, "list the endpoints of network "+overlay.ShortID(network), ctx.Err())
	}
}

// Unfollow ends Follow: the network's endpoints leave the views.
func (w *Watcher) Unfollow(network string) {
	select {
	case w.commands <- command{network: network}:
	case <-w.done:
	}
}

// run owns the watcher's state.
func (w *Watcher) run(ctx context.Context) {
	defer close(w.views)
	for _, prefix := range []string{schemaKey, nodesPrefix, alivePrefix, networksPrefix, attachmentsPrefix} {
		w.startFeed(ctx, &feed{prefix: prefix, known: map[string]int64{}})
	}
	go w.beat(ctx)
	for {
		var out chan View
		var view View
		if w.pending != nil {
			out, view = w.views, *w.pending
		}
		select {
		case <-ctx.Done():
			return
		case out <- view:
			w.pending = nil
		case c := <-w.commands:
			w.obey(ctx, c)
		case d := <-w.deliveries:
			w.take(d)
		case p := <-w.pulses:
			w.feel(ctx, p)
		}
		w.offer(ctx)
	}
}

// offer makes the next view if something changed and everything was read.
func (w *Watcher) offer(ctx context.Context) {
	w.catchUp(ctx)
	if w.starting && !w.begin(ctx) {
		return
	}
	if w.dirty {
		view := w.state.view(w.last.answered, w.since)
		view.Cluster, view.Lost = w.cluster, w.lost
		w.pending, w.dirty = &view, false
	}
	for _, f := range w.feeds {
		f.announce()
	}
}

// begin reports whether everything was read that the host begins with. Which
// networks the host has endpoints in shows only in the networks' endpoints, so
// those of all attached networks are read first.
func (w *Watcher) begin(ctx context.Context) bool {
	if !w.loaded() {
		return false
	}
	opened := false
	for a := range w.state.snapshot.Attachments() {
		prefix := endpointsOf(a.Network)
		if a.Node == w.node && w.feeds[prefix] == nil {
			w.startFeed(ctx, &feed{prefix: prefix, known: map[string]int64{}, probe: true})
			opened = true
		}
	}
	if opened {
		return false
	}
	w.starting = false
	for prefix, f := range w.feeds {
		if network := networkOf(prefix); f.probe && !w.state.snapshot.HasMember(network, w.node) {
			w.stopFeed(prefix, network)
		}
	}
	w.dirty = true
	return true
}

func (w *Watcher) loaded() bool {
	for _, f := range w.feeds {
		if !f.loaded {
			return false
		}
	}
	return true
}

// obey carries out a command.
func (w *Watcher) obey(ctx context.Context, c command) {
	prefix := endpointsOf(c.network)
	f := w.feeds[prefix]
	switch {
	case c.follow && f == nil:
		w.startFeed(ctx, &feed{prefix: prefix, known: map[string]int64{}, waiters: []chan struct{}{c.loaded}})
	case c.follow:
		f.probe = false
		f.waiters = append(f.waiters, c.loaded)
	case f != nil:
		w.stopFeed(prefix, c.network)
	}
}

// startFeed begins to read what is below the feed's prefix.
func (w *Watcher) startFeed(ctx context.Context, f *feed) {
	ctx, f.cancel = context.WithCancel(ctx)
	w.feeds[f.prefix] = f
	go w.read(ctx, f)
}

// stopFeed ends a network's feed and forgets what it brought.
func (w *Watcher) stopFeed(prefix, network string) {
	w.feeds[prefix].cancel()
	delete(w.feeds, prefix)
	for key := range w.state.problems {
		if strings.HasPrefix(key, prefix) {
			delete(w.state.problems, key)
		}
	}
	edit := w.state.snapshot.Edit()
	edit.ForgetEndpoints(network)
	w.state.snapshot = edit.Snapshot()
	w.dirty = true
}

// take applies what a feed brought.
func (w *Watcher) take(d delivery) {
	f := w.feeds[d.feed.prefix]
	if f != d.feed {
		return
	}
	w.answers(true)
	if d.cluster != nil {
		w.sees(*d.cluster, d.revision)
	}
	// Without a cluster nothing is complete: what is read may be an etcd whose data
	// is only coming back.
	other := w.gone != nil || w.cluster == "" || d.cluster != nil && *d.cluster != w.cluster
	if other && (d.cluster != nil || f.prefix != schemaKey) {
		f.stale, f.rereading = true, false
		return
	}
	edit := w.state.snapshot.Edit()
	changed := false
	if d.listed {
		changed = w.takeList(edit, f, d.found)
		f.loaded, f.stale, f.rereading = true, false, false
	}
	for _, event := range d.events {
		changed = w.takeEvent(edit, f, event.Kv, event.Type == mvccpb.DELETE) || changed
	}
	if changed {
		edit.Seen(d.revision)
		w.state.snapshot = edit.Snapshot()
		w.dirty = true
	}
	if f.prefix == schemaKey {
		w.sees(w.state.cluster, d.revision)
	}
}

// sees notes which cluster etcd holds; the first one is the watcher's. What
// another brings is left out: an etcd that lost its data would have every host
// take down what it has.
func (w *Watcher) sees(cluster string, revision int64) {
	if revision < w.looked {
		return
	}
	w.looked = revision
	if w.cluster == "" && cluster != "" {
		w.cluster, w.dirty = cluster, true
	}
	before := w.gone
	w.gone = nil
	if w.cluster != "" && cluster != w.cluster {
		w.gone = refuseCluster(cluster, w.cluster)
	}
	if w.gone == nil || before != nil {
		return
	}
	// Nobody knows since when it is so: what came last may be another's already.
	for _, f := range w.feeds {
		f.stale, f.rereading = true, false
	}
	if w.lost == nil {
		w.lost, w.dirty = w.gone, true
	}
}

// catchUp reads again what was left out once the cluster is there.
func (w *Watcher) catchUp(ctx context.Context) {
	if w.cluster == "" || w.gone != nil {
		return
	}
	behind := false
	for _, f := range w.feeds {
		if f.stale && !f.rereading {
			w.restartFeed(ctx, f)
		}
		behind = behind || f.stale
	}
	if w.lost != nil && !behind {
		w.lost, w.dirty = nil, true
	}
}

// takeList applies the difference between what is known and a whole list.
func (w *Watcher) takeList(edit *overlay.Editor, f *feed, found []*mvccpb.KeyValue) (changed bool) {
	first := len(f.known) == 0
	present := map[string]bool{}
	for i, kv := range found {
		if !first {
			present[string(kv.Key)] = true
		}
		changed = w.takeEvent(edit, f, kv, false) || changed
		found[i] = nil // it may be large, and goes as it is read
	}
	if first {
		return changed // nothing was there that could be gone
	}
	for key := range f.known {
		if !present[key] {
			delete(f.known, key)
			w.state.unset(edit, key)
			changed = true
		}
	}
	return changed
}

// takeEvent applies one key's change and reports whether it was news. A list may
// bring back an older revision than is known, when etcd was restored.
func (w *Watcher) takeEvent(edit *overlay.Editor, f *feed, kv *mvccpb.KeyValue, deleted bool) bool {
	key := string(kv.Key)
	known, had := f.known[key]
	switch {
	case deleted && !had, !deleted && known == kv.ModRevision:
		return false
	case deleted:
		delete(f.known, key)
		w.state.unset(edit, key)
	default:
		f.known[key] = kv.ModRevision
		w.state.set(edit, key, kv)
	}
	return true
}

// answers notes whether etcd answers, which a view says too.
func (w *Watcher) answers(yes bool) {
	if yes != w.last.answered {
		w.last.answered, w.since, w.dirty = yes, now(), true
	}
}

// feel notes whether etcd answers, and whose data it holds. One that is another
// cluster than before, or an older state of it, would never send the events that
// the feeds wait for.
func (w *Watcher) feel(ctx context.Context, p pulse) {
	w.answers(p.answered)
	if !p.answered {
		return
	}
	if w.last.etcd != 0 && (p.etcd != w.last.etcd || p.revision < w.last.revision) {
		w.store.log.Warn("etcd is not what it was; reading everything again", "revision", p.revision, "before", w.last.revision)
		w.looked = 0
		for _, f := range w.feeds {
			w.restartFeed(ctx, f)
		}
	}
	w.last = p
	if p.cluster != nil {
		w.sees(*p.cluster, p.revision)
	}
}

// restartFeed reads all there is below the feed's prefix again.
func (w *Watcher) restartFeed(ctx context.Context, f *feed) {
	f.cancel()
	w.startFeed(ctx, &feed{prefix: f.prefix, known: f.known, loaded: f.loaded, stale: f.stale, rereading: true, probe: f.probe, waiters: f.waiters})
}
