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
	// Cluster is a random ID, made once with the record. Unlike etcd's own it goes
	// with the data into backups and out of them.
	Cluster string `json:"cluster,omitempty"`
}

// CheckSchema returns the ID of the cluster that etcd holds. cluster is the one
// that the host remembers; an empty one stands for none, and only then a missing
// schema record is created. It refuses (Conflict) an etcd whose records this
// build cannot share, or that holds another cluster than the one remembered.
// From then on the Store writes to no other cluster.
func (s *Store) CheckSchema(ctx context.Context, cluster string) (string, error) {
	s.schema.Store(0)
	s.setCluster(cluster)
	err := s.retry(ctx, "check the schema", func(ctx context.Context) error {
		_, err := s.checkedSchema(ctx)
		return err
	})
	return s.boundCluster(), err
}

// boundCluster is the only cluster that this Store writes to; empty for any.
func (s *Store) boundCluster() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cluster
}

func (s *Store) setCluster(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cluster = id
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
	bound := s.boundCluster()
	if found.exists() {
		if err := found.value.accepts(); err != nil {
			return 0, err
		}
	}
	if bound != "" && found.value.Cluster != bound {
		return 0, refuseCluster(found.value.Cluster, bound)
	}
	if found.value.Cluster == "" {
		return 0, s.createSchema(ctx, found)
	}
	s.setCluster(found.value.Cluster)
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

// createSchema gives the cluster its ID, with the first record or in one that
// has none. Its caller always tries again, since another host may have come
// first.
func (s *Store) createSchema(ctx context.Context, found item[schemaRecord]) error {
	client, err := s.connection(ctx)
	if err != nil {
		return err
	}
	record := found.value
	if !found.exists() {
		record = schemaRecord{Version: schemaVersion, OldestReader: schemaVersion}
	}
	if record.Cluster, err = newID(); err != nil {
		return err
	}
	var c change
	if write(&c, put(found, record), clientv3.NoLease); c.err != nil {
		return c.err
	}
	if _, err := client.Txn(ctx).If(c.when...).Then(c.then...).Commit(); err != nil {
		return err
	}
	return errLost
}

// refuseCluster refuses what etcd holds, which is not the cluster that it was.
func refuseCluster(has, was string) error {
	const remedy = "restore etcd's data, or correct --etcd; to begin anew start the agent once with --new-cluster"
	if has == "" {
		return overlay.Refuse(overlay.Conflict, "etcd", remedy, "it holds no cluster of ovsnet, this host belongs to cluster %s: its data was lost, or the address is another's", was)
	}
	return overlay.Refuse(overlay.Conflict, "etcd", remedy, "it holds cluster %s, this host belongs to cluster %s", has, was)
}

// accepts refuses a schema that this build can neither read nor write.
func (r schemaRecord) accepts() error {
	if r.OldestReader <= schemaVersion && r.Version >= schemaVersion {
		return nil
	}
	return overlay.Refuse(overlay.Conflict, "etcd schema", "run the same release of ovsnet on every host",
		"version %d, for builds of schema %d or newer; this build's is %d", r.Version, r.OldestReader, schemaVersion)
}
