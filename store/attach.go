package store

import (
	"cmp"
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

// Attach makes a host's Docker network a network of the overlay, or joins it to
// one that exists, and tells which. It binds the subnet that RequestPool reserved
// for this host. It refuses (Conflict) a request that differs from the network
// it would join, that could mean several networks, or whose name, VNI or subnet
// another network has; a host has a network only once. A repeat has the same
// answer.
func (s *Store) Attach(ctx context.Context, r AttachRequest) (overlay.Network, error) {
	if err := r.validate(); err != nil {
		return overlay.Network{}, err
	}
	id, err := newID()
	if err != nil {
		return overlay.Network{}, err
	}
	task := attach{store: s, AttachRequest: r, id: id}
	rev, err := s.update(ctx, "attach "+r.object(), task.decide)
	if err != nil {
		return overlay.Network{}, err
	}
	if task.answer.Revision == 0 {
		task.answer.Revision = rev
	}
	return task.answer, nil
}

func (r AttachRequest) validate() error {
	if err := overlay.ValidateName("node", r.Node); err != nil {
		return err
	}
	if err := validateID("Docker network", r.DockerNetwork); err != nil {
		return err
	}
	if r.Name != "" {
		if err := validateNetworkName(r.Name); err != nil {
			return err
		}
	}
	return r.Subnet.Validate()
}

// attach is one call of Attach through all its tries.
type attach struct {
	AttachRequest
	store  *Store
	id     string
	answer overlay.Network
}

// decide is one try.
func (a *attach) decide(ctx context.Context, c *change) error {
	found, _, err := a.store.read(ctx, get(dockerKey(a.Node, a.DockerNetwork)), getAll(pendingOf(a.Node)), get(nodeKey(a.Node)))
	if err != nil {
		return err
	}
	if len(found[2]) == 0 {
		return overlay.Refuse(overlay.Missing, fmt.Sprintf("node %q", a.Node), "see ovsnet status on that host", "not registered")
	}
	if err := a.store.expectOwner(c, a.Node, found[2]); err != nil {
		return err
	}
	index, err := only[owner](dockerKey(a.Node, a.DockerNetwork), found[0])
	if err != nil {
		return err
	}
	if index.exists() {
		return a.repeat(ctx, index.value.Network)
	}
	var named item[overlay.Network]
	if a.Name != "" {
		if named, err = a.store.named(ctx, a.Name); err != nil {
			return err
		}
	}
	pending := a.pending(found[1])
	to, err := a.resolve(pending, present(named))
	if err != nil {
		return err
	}
	network, err := a.find(ctx, to)
	if err != nil {
		return err
	}
	if network.exists() {
		err = a.join(ctx, c, network, to)
	} else {
		err = a.create(ctx, c, to)
	}
	if err != nil {
		return err
	}
	a.record(c, index, to)
	return nil
}

// repeat answers for a Docker network that is attached already.
func (a *attach) repeat(ctx context.Context, id string) error {
	network, err := fetch[overlay.Network](ctx, a.store, networkKey(id))
	if err != nil {
		return err
	}
	if !network.exists() {
		return overlay.Refuse(overlay.Missing, a.object(), "remove the Docker network and create it again", "its network %s is gone", overlay.ShortID(id))
	}
	if a.Name != "" && network.value.Name != a.Name {
		return overlay.Refuse(overlay.Conflict, a.object(), "", "Docker network %s is network %q already", overlay.ShortID(a.DockerNetwork), network.value.Name)
	}
	if err := a.fits(network.value); err != nil {
		return err
	}
	a.answer = network.value
	a.answer.Revision = network.rev
	return nil
}

// pending picks this host's open requests for the subnet.
func (a *attach) pending(found []*mvccpb.KeyValue) []waiting {
	var list []waiting
	for _, kv := range found {
		request, err := parse[pendingPool](kv)
		if err != nil {
			continue
		}
		pool, err := parsePool(tail(pendingOf(a.Node), request.key))
		if err == nil && pool.Prefix == a.Subnet.Prefix {
			list = append(list, waiting{space: pool.Space, name: request.value.Name})
		}
	}
	return list
}

// find returns the network to join; one to be made has revision 0.
func (a *attach) find(ctx context.Context, to target) (item[overlay.Network], error) {
	if to.name != "" {
		return a.store.named(ctx, to.name)
	}
	return a.store.behind(ctx, poolKey(overlay.Pool{Space: to.space, Prefix: a.Subnet.Prefix}))
}

// create plans a new network. Where only the subnet says which network is meant,
// one that another host made of it meanwhile is not in the way but to be joined.
func (a *attach) create(ctx context.Context, c *change, to target) error {
	var err error
	a.answer, err = a.store.plan(ctx, c, a.network(to, a.id), a.Node)
	if to.name != "" || !overlay.IsKind(err, overlay.Conflict) {
		return err
	}
	if other, lookErr := a.find(ctx, to); lookErr != nil || !other.exists() {
		return cmp.Or(lookErr, err)
	}
	return errLost
}

// join checks that the host can have the network that exists.
func (a *attach) join(ctx context.Context, c *change, network item[overlay.Network], to target) error {
	a.answer = network.value
	a.answer.Revision = network.rev
	if err := a.fits(network.value); err != nil {
		return err
	}
	if network.value.Space != to.space {
		return overlay.Refuse(overlay.Conflict, fmt.Sprintf("network %q", network.value.Name), "create the network again",
			"another host made it meanwhile, in address space %q, and this host's Docker took its subnet from %q", network.value.Space, to.space)
	}
	other, err := fetch[overlay.Attachment](ctx, a.store, attachKey(network.value.ID, a.Node))
	if err != nil {
		return err
	}
	if other.value.DockerNetwork == a.DockerNetwork {
		// An earlier try, of which nobody knew whether it was made, was made after this one looked for it.
		return errLost
	}
	if other.exists() {
		called := overlay.ShortID(other.value.DockerNetwork)
		if other.value.DockerName != "" {
			called = other.value.DockerName + " (" + called + ")"
		}
		return overlay.Refuse(overlay.Conflict, fmt.Sprintf("network %q", network.value.Name), "use that Docker network, or remove it first",
			"node %q has it already as Docker network %s", a.Node, called)
	}
	c.expect(network.key, network.rev)
	return nil
}

// record writes that the host has the network.
func (a *attach) record(c *change, index item[owner], to target) {
	attachment := overlay.Attachment{Network: a.answer.ID, Node: a.Node, DockerNetwork: a.DockerNetwork, Created: now()}
	pool := overlay.Pool{Space: to.space, Prefix: a.Subnet.Prefix}
	if !a.ForeignIPAM {
		attachment.Pool = pool.ID()
		c.remove(pendingKey(a.Node, pool))
	}
	c.expectPresent(nodeKey(a.Node))
	write(c, put(index, owner{Network: a.answer.ID}), clientv3.NoLease)
	write(c, item[overlay.Attachment]{key: attachKey(a.answer.ID, a.Node), record: record[overlay.Attachment]{value: attachment}}, clientv3.NoLease)
}

// Attached returns what Attach tied together; an unknown Docker network is
// refused (Missing).
func (s *Store) Attached(ctx context.Context, node, dockerNetwork string) (overlay.Network, overlay.Attachment, error) {
	var network item[overlay.Network]
	var attachment item[overlay.Attachment]
	object := "Docker network " + overlay.ShortID(dockerNetwork)
	err := s.retry(ctx, "look up "+object, func(ctx context.Context) error {
		index, found, err := readVia(ctx, s, dockerKey(node, dockerNetwork), func(o owner) string { return o.Network },
			func(network string) []clientv3.Op {
				return []clientv3.Op{get(networkKey(network)), get(attachKey(network, node))}
			})
		if err != nil {
			return err
		}
		id := index.value.Network
		if network, err = only[overlay.Network](networkKey(id), found[0]); err != nil {
			return err
		}
		if attachment, err = only[overlay.Attachment](attachKey(id, node), found[1]); err != nil {
			return err
		}
		if !index.exists() || !network.exists() || !attachment.exists() {
			return overlay.Refuse(overlay.Missing, object, "remove it and create it again", "not known on node %q", node)
		}
		return nil
	})
	network.value.Revision, attachment.value.Revision = network.rev, attachment.rev
	return network.value, attachment.value, err
}

// Recognise notes which Docker daemon has the network; an unknown Docker network
// is no error.
func (s *Store) Recognise(ctx context.Context, node, dockerNetwork, daemon string) error {
	if err := validateID("Docker daemon", daemon); err != nil {
		return err
	}
	_, err := s.update(ctx, "note the daemon of Docker network "+overlay.ShortID(dockerNetwork), func(ctx context.Context, c *change) error {
		index, err := fetch[owner](ctx, s, dockerKey(node, dockerNetwork))
		if err != nil {
			return err
		}
		key := attachKey(index.value.Network, node)
		found, _, err := s.read(ctx, get(key), get(nodeKey(node)))
		if err != nil {
			return err
		}
		attachment, err := only[overlay.Attachment](key, found[0])
		if err != nil || attachment.value.DockerNetwork != dockerNetwork || attachment.value.Daemon == daemon {
			return err
		}
		if err := s.expectOwner(c, node, found[1]); err != nil {
			return err
		}
		attachment.value.Daemon = daemon
		write(c, attachment, clientv3.NoLease)
		return nil
	})
	return err
}

// present returns the network, or nil where there is none.
func present(n item[overlay.Network]) *overlay.Network {
	if !n.exists() {
		return nil
	}
	return &n.value
}
