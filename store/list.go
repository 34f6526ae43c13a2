package store

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// page is how many records one reply carries.
const page = 2000

// List reads the whole cluster at one revision.
func (s *Store) List(ctx context.Context) (View, error) {
	var view View
	err := s.retry(ctx, "list the cluster", func(ctx context.Context) error {
		schema, err := fetch[schemaRecord](ctx, s, schemaKey)
		if err != nil {
			return err
		}
		if schema.exists() {
			if err := schema.value.accepts(); err != nil {
				return err
			}
		}
		a := newAssembly()
		edit := a.snapshot.Edit()
		var rev int64
		for _, prefix := range []string{nodesPrefix, alivePrefix, networksPrefix, attachmentsPrefix, endpointsPrefix} {
			if rev, err = s.each(ctx, prefix, rev, func(kv *mvccpb.KeyValue) { a.set(edit, string(kv.Key), kv) }); err != nil {
				return err
			}
		}
		edit.Seen(rev)
		a.snapshot = edit.Snapshot()
		view = a.view(true, now())
		view.Cluster = schema.value.Cluster
		return nil
	})
	return view, err
}

// each calls use for every record below the prefix as of that revision, or of
// now when it is 0, and returns the revision.
func (s *Store) each(ctx context.Context, prefix string, rev int64, use func(*mvccpb.KeyValue)) (int64, error) {
	client, err := s.connection(ctx)
	if err != nil {
		return 0, err
	}
	end := clientv3.GetPrefixRangeEnd(prefix)
	for from := prefix; ; {
		reply, err := client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(page), clientv3.WithRev(rev))
		if err != nil {
			return 0, err
		}
		if rev == 0 {
			rev = reply.Header.Revision
		}
		for _, kv := range reply.Kvs {
			use(kv)
		}
		if !reply.More {
			return rev, nil
		}
		from = string(reply.Kvs[len(reply.Kvs)-1].Key) + "\x00"
	}
}
