package store

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

// schemaVersion is the schema that this build writes.
const schemaVersion = 1

// schemaRecord says which builds may share this etcd.
type schemaRecord struct {
	// Version is the newest schema that was written.
	Version int `json:"version"`
	// OldestReader is the oldest schema whose builds may still take part.
	OldestReader int `json:"oldest_reader"`
}

// CheckSchema creates the schema record where there is none. It refuses an etcd
// whose records this build cannot share.
func (s *Store) CheckSchema(ctx context.Context) error {
	s.schema.Store(0)
	return s.retry(ctx, "check the schema", func(ctx context.Context) error {
		_, err := s.checkedSchema(ctx)
		return err
	})
}

// checkedSchema returns the revision of a schema record that this build may
// write under.
func (s *Store) checkedSchema(ctx context.Context) (int64, error) {
	if rev := s.schema.Load(); rev != 0 {
		return rev, nil
	}
	found, err := fetch[schemaRecord](ctx, s, schemaKey)
	if err != nil {
		return 0, err
	}
	if !found.exists() {
		return 0, s.createSchema(ctx, put(found, schemaRecord{Version: schemaVersion, OldestReader: schemaVersion}))
	}
	if err := found.value.accepts(); err != nil {
		return 0, err
	}
	s.schema.Store(found.rev)
	return found.rev, nil
}

// schemaStands reports whether the schema record that was found is still the
// one that was checked at that revision; another one is checked anew.
func (s *Store) schemaStands(checked int64, found []*mvccpb.KeyValue) bool {
	if len(found) > 0 && found[0].ModRevision == checked {
		return true
	}
	s.schema.CompareAndSwap(checked, 0)
	return false
}

// createSchema writes the first record. Its caller always tries again, since
// another host's may have come first.
func (s *Store) createSchema(ctx context.Context, first item[schemaRecord]) error {
	client, err := s.connection(ctx)
	if err != nil {
		return err
	}
	var c change
	if write(&c, first, clientv3.NoLease); c.err != nil {
		return c.err
	}
	if _, err := client.Txn(ctx).If(c.when...).Then(c.then...).Commit(); err != nil {
		return err
	}
	return errLost
}

// accepts refuses a schema that this build can neither read nor write.
func (r schemaRecord) accepts() error {
	if r.OldestReader <= schemaVersion && r.Version >= schemaVersion {
		return nil
	}
	return overlay.Refuse(overlay.Conflict, "etcd schema", "run the same release of ovsnet on every host",
		"version %d, for builds of schema %d or newer; this build's is %d", r.Version, r.OldestReader, schemaVersion)
}
