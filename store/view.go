package store

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/ovsnet/ovsnet/overlay"
)

// View is what etcd says, as far as it was asked for.
type View struct {
	// Snapshot is complete and immutable.
	Snapshot *overlay.Snapshot
	// Cluster is the ID of the cluster that the Snapshot's records belong to; empty
	// until etcd has one.
	Cluster string
	// Lost is why etcd, though it answers, does not hold that cluster any more
	// (*overlay.Refusal, Conflict); nil while it does. The Snapshot is then the last
	// one of before.
	Lost error
	// Alive are the hosts whose agents show a sign of life, by node name. It must
	// not be changed.
	Alive map[string]Alive
	// Problems are the keys whose values cannot be used, by key.
	Problems []Problem
	// Connected says whether etcd answers now, and Since from when on it has, or
	// has not. A Snapshot stays as it was while etcd is away.
	Connected bool
	Since     time.Time
}

// Problem is a key whose value cannot be used. Its object is skipped.
type Problem struct {
	// Key is the key in etcd and Reason what is wrong with its value.
	Key    string
	Reason string
}

// assembly makes views of records as they arrive. It is used by one goroutine.
type assembly struct {
	snapshot *overlay.Snapshot
	problems map[string]string
	// alive is copied before it is changed when lent says that a view has it.
	alive map[string]Alive
	lent  bool
	// cluster is what the schema record says; empty where there is none.
	cluster string
}

func newAssembly() *assembly {
	return &assembly{snapshot: overlay.NewSnapshot(), alive: map[string]Alive{}, problems: map[string]string{}}
}

// view is what there is by now, in maps that no later change touches.
func (a *assembly) view(connected bool, since time.Time) View {
	a.lent = true
	v := View{Snapshot: a.snapshot, Alive: a.alive, Connected: connected, Since: since}
	for _, key := range slices.Sorted(maps.Keys(a.problems)) {
		v.Problems = append(v.Problems, Problem{Key: key, Reason: a.problems[key]})
	}
	return v
}

// set takes a record; one that cannot be used becomes a problem, and what its
// key held before is gone, except when a newer build wrote it: what that means
// this build cannot know, and flows must not follow from its ignorance.
func (a *assembly) set(edit *overlay.Editor, key string, kv *mvccpb.KeyValue) {
	if err := a.accept(edit, key, kv); err != nil {
		var other *formatError
		if !errors.As(err, &other) {
			a.unset(edit, key)
		}
		a.problems[key] = reason(err)
		return
	}
	delete(a.problems, key)
}

func (a *assembly) accept(edit *overlay.Editor, key string, kv *mvccpb.KeyValue) error {
	switch {
	case key == schemaKey:
		return accept(key, kv, func(s schemaRecord) { a.cluster = s.Cluster })
	case strings.HasPrefix(key, nodesPrefix):
		return accept(key, kv, func(n nodeRecord) { n.Revision = kv.ModRevision; edit.SetNode(n.Node) })
	case strings.HasPrefix(key, networksPrefix):
		return accept(key, kv, func(n overlay.Network) { n.Revision = kv.ModRevision; edit.SetNetwork(n) })
	case strings.HasPrefix(key, attachmentsPrefix):
		return accept(key, kv, func(at overlay.Attachment) { at.Revision = kv.ModRevision; edit.SetAttachment(at) })
	case strings.HasPrefix(key, endpointsPrefix):
		return accept(key, kv, func(e overlay.Endpoint) {
			e.Revision = kv.ModRevision
			a.share(key, &e)
			edit.SetEndpoint(e)
		})
	case strings.HasPrefix(key, alivePrefix):
		return accept(key, kv, func(alive Alive) { a.ownAlive()[tail(alivePrefix, key)] = alive })
	}
	return nil
}

// accept hands a record over if it can be used.
func accept[T any](key string, kv *mvccpb.KeyValue, use func(T)) error {
	value, err := parseValue[T](key, kv)
	if err == nil {
		use(value)
	}
	return err
}

// share gives an endpoint the strings that are there already, of its key, its
// network and its node, in place of its own: there are many endpoints.
func (a *assembly) share(key string, e *overlay.Endpoint) {
	e.ID = key[len(key)-len(e.ID):]
	if n, known := a.snapshot.Network(e.Network); known {
		e.Network = n.ID
	}
	if n, known := a.snapshot.Node(e.Node); known {
		e.Node = n.Name
	}
}

// unset forgets what was under the key.
func (a *assembly) unset(edit *overlay.Editor, key string) {
	delete(a.problems, key)
	switch {
	case key == schemaKey:
		a.cluster = ""
	case strings.HasPrefix(key, nodesPrefix):
		edit.DeleteNode(tail(nodesPrefix, key))
	case strings.HasPrefix(key, networksPrefix):
		edit.DeleteNetwork(tail(networksPrefix, key))
	case strings.HasPrefix(key, attachmentsPrefix):
		network, node, _ := strings.Cut(tail(attachmentsPrefix, key), "/")
		edit.DeleteAttachment(network, node)
	case strings.HasPrefix(key, endpointsPrefix):
		network, id, _ := strings.Cut(tail(endpointsPrefix, key), "/")
		edit.DeleteEndpoint(network, id)
	case strings.HasPrefix(key, alivePrefix):
		delete(a.ownAlive(), tail(alivePrefix, key))
	}
}

// ownAlive returns the map of hosts that are alive, for changing it.
func (a *assembly) ownAlive() map[string]Alive {
	if a.lent {
		a.alive, a.lent = maps.Clone(a.alive), false
	}
	return a.alive
}
