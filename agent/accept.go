package agent

import (
	"errors"

	"github.com/ovsnet/ovsnet/overlay"
)

// accept makes the newest view the one that the loop acts on, unless something
// says that it must not be: then the last accepted one stays, and ports and
// flows are kept as that says. A host that has another's name, or reads another
// cluster, would find none of its endpoints there and take down all it has.
func (l *Loop) accept(standing Standing) {
	if l.offered.Snapshot == nil {
		l.held = l.offered.Lost
		return
	}
	if l.held = heldBack(l.offered, standing, l.host.Cluster); l.held != nil || l.view.Snapshot == l.offered.Snapshot {
		return
	}
	before := overlay.NewSnapshot()
	if l.view.Snapshot != nil {
		before = l.view.Snapshot
	}
	l.view = l.offered
	changes := overlay.Diff(before, l.view.Snapshot)
	if len(changes.Nodes) > 0 {
		l.todo.ports = true // the packet filter follows the hosts' VTEPs
	}
	l.todo.peers = l.todo.peers || movesPeers(before, l.view.Snapshot, changes, l.cfg.Node)
	for _, c := range changes.Endpoints {
		was, is := c.Before != nil && c.Before.Node == l.cfg.Node, c.After != nil && c.After.Node == l.cfg.Node
		switch {
		case is:
			l.local[c.After.ID] = *c.After
		case was:
			delete(l.local, c.Before.ID)
		}
		// One that got a name keeps its port.
		l.todo.ports = l.todo.ports || was != is
	}
}

// heldBack is why a view must not be acted on; nil when it may. cluster is the
// one that the host remembers, empty for none.
func heldBack(view View, standing Standing, cluster string) error {
	switch {
	case !standing.Joined && standing.Blocked != nil, refused(standing.Blocked):
		return standing.Blocked
	case view.Lost != nil:
		return view.Lost
	case cluster != "" && view.Cluster != cluster:
		return overlay.Refuse(overlay.Conflict, "etcd", "set --etcd to this host's cluster, or restore its data",
			"it holds cluster %q, and this host belongs to %q", view.Cluster, cluster)
	}
	return nil
}

// refused reports whether the host was told that it must not take part, and not
// only that etcd does not answer now.
func refused(blocked error) bool {
	var r *overlay.Refusal
	return errors.As(blocked, &r) && r.Kind != overlay.Unavailable
}
