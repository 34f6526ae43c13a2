package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// listTimeout bounds reading all that is below one prefix.
	listTimeout = 30 * time.Second
	// pulseEvery is how often a watcher asks whether etcd answers, and
	// pulseTimeout how long it waits for that.
	pulseEvery   = 2 * time.Second
	pulseTimeout = 2 * time.Second
)

// feed is what is below one prefix, as it comes. Its fields but prefix belong to
// the watcher's goroutine.
type feed struct {
	prefix string
	cancel context.CancelFunc
	// known are the keys that were delivered, with their revisions.
	known map[string]int64
	// loaded says that the first list has come.
	loaded bool
	// stale says that what came was not of the watcher's cluster and was left out,
	// and rereading that all is being read again because of it.
	stale, rereading bool
	// probe is a feed that stays only if the host turns out to be a member.
	probe   bool
	waiters []chan struct{}
}

// delivery is what a feed brings: all there is at a revision, or what changed up
// to it.
type delivery struct {
	feed     *feed
	listed   bool
	found    []*mvccpb.KeyValue
	events   []*clientv3.Event
	revision int64
	// cluster is whose data etcd held at that revision, empty for nobody's; nil
	// where it was not looked up. It is for lists and deletions, which are what an
	// emptied etcd would bring; what another cluster writes meanwhile is read anew
	// once a pulse has told of it.
	cluster *string
}

// pulse is one look at whether etcd answers, and whose data it holds.
type pulse struct {
	answered bool
	// etcd is etcd's own ID of its cluster, which a restored one may share.
	etcd     uint64
	revision int64
	// cluster is as in delivery; nil where the schema record cannot be read.
	cluster *string
}

// announce tells those who wait for the first list that it has come.
func (f *feed) announce() {
	if !f.loaded {
		return
	}
	for _, waiter := range f.waiters {
		close(waiter)
	}
	f.waiters = nil
}

// networkOf returns the network of a prefix of endpoints.
func networkOf(prefix string) string {
	return strings.TrimSuffix(tail(endpointsPrefix, prefix), "/")
}

// read lists and watches until ctx ends, beginning again when the watch ended.
func (w *Watcher) read(ctx context.Context, f *feed) {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(connectMaxDelay), backoff.WithMaxElapsedTime(0))
	for {
		listed, err := w.listAndWatch(ctx, f)
		if ctx.Err() != nil {
			return
		}
		if listed {
			pause.Reset()
		}
		w.store.log.Debug("reading from etcd again", "prefix", f.prefix, "because", err)
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
			return
		}
	}
}

// listAndWatch delivers all there is below the prefix, and from the revision
// after that list on every change. It returns why that ended.
func (w *Watcher) listAndWatch(ctx context.Context, f *feed) (listed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all := delivery{feed: f, listed: true}
	if err := w.list(ctx, &all); err != nil {
		return false, err
	}
	if !w.deliver(ctx, all) {
		return true, ctx.Err()
	}
	client, err := w.store.connection(ctx)
	if err != nil {
		return true, err
	}
	// Without a leader a member has no news, and would not say so.
	changes := client.Watch(clientv3.WithRequireLeader(ctx), f.prefix, clientv3.WithPrefix(), clientv3.WithRev(all.revision+1), clientv3.WithFragment())
	for reply := range changes {
		if err := reply.Err(); err != nil {
			return true, err
		}
		changed := delivery{feed: f, events: reply.Events, revision: reply.Header.GetRevision()}
		if slices.ContainsFunc(reply.Events, func(e *clientv3.Event) bool { return e.Type == mvccpb.DELETE }) {
			if changed.cluster, err = w.clusterAt(ctx, changed.revision); err != nil {
				return true, err
			}
		}
		if !w.deliver(ctx, changed) {
			break
		}
	}
	return true, ctx.Err()
}

// clusterAt tells whose data etcd held at that revision.
func (w *Watcher) clusterAt(ctx context.Context, revision int64) (*string, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	client, err := w.store.connection(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := client.Get(ctx, schemaKey, clientv3.WithRev(revision))
	if err != nil {
		return nil, err
	}
	return clusterIn(reply.Kvs)
}

// clusterIn is the cluster that the schema record names; empty where there is none.
func clusterIn(found []*mvccpb.KeyValue) (*string, error) {
	record, err := only[schemaRecord](schemaKey, found)
	var other *formatError
	if err != nil && !errors.As(err, &other) {
		return nil, err
	}
	return &record.value.Cluster, nil
}

func (w *Watcher) list(ctx context.Context, all *delivery) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	rev, err := w.store.each(ctx, all.feed.prefix, 0, func(kv *mvccpb.KeyValue) { all.found = append(all.found, kv) })
	if err != nil {
		return err
	}
	all.revision = rev
	all.cluster, err = w.clusterAt(ctx, rev)
	return err
}

// deliver hands over to the watcher's goroutine; false when ctx ended.
func (w *Watcher) deliver(ctx context.Context, d delivery) bool {
	select {
	case w.deliveries <- d:
		return true
	case <-ctx.Done():
		return false
	}
}

// beat asks etcd for a sign of life until ctx ends: the watches themselves are
// silent both when nothing changes and when nobody answers.
func (w *Watcher) beat(ctx context.Context) {
	for {
		select {
		case w.pulses <- w.ask(ctx):
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(pulseEvery):
		case <-ctx.Done():
			return
		}
	}
}

// ask reads the schema record, because a feed that was begun in an emptied etcd
// may wait behind the revision at which the restored one has it.
func (w *Watcher) ask(ctx context.Context) pulse {
	ctx, cancel := context.WithTimeout(ctx, pulseTimeout)
	defer cancel()
	client, err := w.store.connection(ctx)
	if err != nil {
		return pulse{}
	}
	reply, err := client.Get(ctx, schemaKey)
	if err != nil {
		return pulse{}
	}
	p := pulse{answered: true, etcd: reply.Header.GetClusterId(), revision: reply.Header.GetRevision()}
	if p.cluster, err = clusterIn(reply.Kvs); err != nil {
		w.store.log.Warn("whose data etcd holds cannot be read", "error", err)
	}
	return p
}
