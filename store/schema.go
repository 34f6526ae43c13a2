package store

import (
	"context"
	"errors"

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

// Remembered is what a host remembers of itself; the zero value is a host that
// remembers nothing.
type Remembered struct {
	// Cluster is the ID of the cluster that the host belongs to; empty for none.
	Cluster string
	// Node is the host's name, Host its Identity's.
	Node, Host string
}

// errNoCluster is under the refusal to write to an etcd without a cluster.
var errNoCluster = errors.New("it holds no cluster of ovsnet")

// CheckSchema returns the ID of the cluster that etcd holds. It refuses
// (Conflict) an etcd whose records this build cannot share, or that holds another
// cluster than the one remembered. From then on the Store writes to no other
// cluster.
//
// It is the only call that begins a cluster, for a host that remembers none, in
// an etcd without hosts: where there are hosts and no schema record, their data
// is only coming back. A schema record of a build that knew no IDs gets the one
// that one of its hosts remembers, or a new one where that host remembers none.
func (s *Store) CheckSchema(ctx context.Context, host Remembered) (string, error) {
	s.schema.Store(0)
	s.setCluster(host.Cluster)
	err := s.retry(ctx, "check the schema", func(ctx context.Context) error {
		found, err := fetch[schemaRecord](ctx, s, schemaKey)
		if err != nil {
			return err
		}
		if found.value.Cluster == "" {
			if err := s.name(ctx, found, host); err != nil {
				return err
			}
		}
		_, err = s.checkedSchema(ctx)
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
// write under. It never makes one: whoever names no cluster could not tell a
// fresh etcd from one that lost its data.
func (s *Store) checkedSchema(ctx context.Context) (int64, error) {
	if rev := s.schema.Load(); rev != 0 {
		return rev, nil
	}
	found, err := fetch[schemaRecord](ctx, s, schemaKey)
	if err != nil {
		return 0, err
	}
	if found.exists() {
		if err := found.value.accepts(); err != nil {
			return 0, err
		}
	}
	bound := s.boundCluster()
	if bound != "" && found.value.Cluster != bound {
		return 0, refuseCluster(found.value.Cluster, bound)
	}
	if !found.exists() {
		return 0, &overlay.Refusal{Kind: overlay.Unavailable, Object: "etcd", Cause: "nothing is written", Err: errNoCluster,
			Remedy: "start the first host's agent, which begins one, or restore etcd's data, or correct --etcd"}
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

// name gives the cluster an ID, with the first record or in one that has none,
// if the host may. After a write its caller must try again, since another host
// may have come first.
func (s *Store) name(ctx context.Context, found item[schemaRecord], host Remembered) error {
	record := found.value
	if !found.exists() {
		record = schemaRecord{Version: schemaVersion, OldestReader: schemaVersion}
	}
	if err := record.accepts(); err != nil {
		return err
	}
	hosts, _, err := s.read(ctx, get(nodeKey(host.Node)), clientv3.OpGet(nodesPrefix, clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithKeysOnly()))
	if err != nil {
		return err
	}
	own, err := only[nodeRecord](nodeKey(host.Node), hosts[0])
	if err != nil {
		return err
	}
	member := found.exists() && own.exists() && own.value.Host == host.Host
	switch fresh := len(hosts[1]) == 0; {
	case host.Cluster != "" && !member:
		return refuseCluster("", host.Cluster)
	case !fresh && !member:
		return overlay.Refuse(overlay.Conflict, "etcd", "finish restoring it, with the key "+schemaKey+" last; where the hosts run an older build, upgrade one of them first",
			"it has hosts of a cluster and not the cluster's ID")
	}
	if record.Cluster = host.Cluster; record.Cluster == "" {
		if record.Cluster, err = newID(); err != nil {
			return err
		}
	}
	var c change
	if write(&c, put(found, record), clientv3.NoLease); c.err != nil {
		return c.err
	}
	client, err := s.connection(ctx)
	if err != nil {
		return err
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
