package store

import (
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

// detachBatch is how many endpoints one transaction deletes: etcd allows 128
// operations in each.
const detachBatch = 30

// Detach undoes Attach: the host's endpoints in the network go, with their
// claims, and the attachment. A network that no operator made goes with its
// last attachment. An unknown Docker network is no error.
//
// The attachment goes first: an endpoint is only made where there is one, so
// that those there are can be deleted in peace, however many come and go on
// other hosts. The index that leads from the Docker network here goes last, so
// that a Detach that was cut short can be repeated.
func (s *Store) Detach(ctx context.Context, node, dockerNetwork string) error {
	d := detach{store: s, node: node, dockerNetwork: dockerNetwork}
	task := "detach Docker network " + overlay.ShortID(dockerNetwork)
	if _, err := s.update(ctx, task, d.leave); err != nil || d.done {
		return err
	}
	own, err := d.endpoints(ctx, task)
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(own, detachBatch) {
		_, err := s.update(ctx, task, func(ctx context.Context, c *change) error { return d.drop(ctx, c, batch) })
		if err != nil {
			return err
		}
	}
	_, err = s.update(ctx, task, d.finish)
	return err
}

// detach is one call of Detach.
type detach struct {
	store               *Store
	node, dockerNetwork string
	network             string
	// done says that nothing is left to do.
	done bool
}

// own reads the index and makes the change depend on the node being this host's.
func (d *detach) own(ctx context.Context, c *change) (item[owner], error) {
	key := dockerKey(d.node, d.dockerNetwork)
	found, _, err := d.store.read(ctx, get(key), get(nodeKey(d.node)))
	if err != nil {
		return item[owner]{}, err
	}
	index, err := only[owner](key, found[0])
	if err != nil || !index.exists() {
		return index, err
	}
	return index, d.store.expectOwner(c, d.node, found[1])
}

// leave removes the attachment, or with the last one the whole network.
func (d *detach) leave(ctx context.Context, c *change) error {
	index, err := d.own(ctx, c)
	if d.done = err == nil && !index.exists(); d.done || err != nil {
		return err
	}
	d.network = index.value.Network
	key := attachKey(d.network, d.node)
	found, rev, err := d.store.read(ctx, get(networkKey(d.network)), getAll(attachedTo(d.network)))
	if err != nil {
		return err
	}
	network, err := only[overlay.Network](networkKey(d.network), found[0])
	if err != nil {
		return err
	}
	other, shared := anotherThan(key, found[1])
	switch {
	case !network.exists():
	case !shared && !network.value.Durable:
		d.done = true
		drop(c, index)
		c.expectQuiet(attachedTo(d.network), rev)
		c.expectQuiet(endpointsOf(d.network), rev)
		c.removeAll(attachedTo(d.network))
		c.removeNetwork(network)
	default:
		// Two last hosts that leave at the same moment must not each count on the
		// other to remove the network.
		if !network.value.Durable {
			c.expectPresent(other)
		}
		c.remove(key)
	}
	return nil
}

// endpoints lists the host's endpoints in the network. None comes any more.
func (d *detach) endpoints(ctx context.Context, task string) (ids []string, err error) {
	err = d.store.retry(ctx, task, func(ctx context.Context) error {
		ids = nil
		_, err := d.store.each(ctx, endpointsOf(d.network), 0, func(kv *mvccpb.KeyValue) {
			if endpoint, err := parse[overlay.Endpoint](kv); err == nil && endpoint.value.Node == d.node {
				ids = append(ids, endpoint.value.ID)
			}
		})
		return err
	})
	return ids, err
}

// drop deletes a batch of endpoints.
func (d *detach) drop(ctx context.Context, c *change, ids []string) error {
	if index, err := d.own(ctx, c); err != nil || !index.exists() {
		return err
	}
	ops := []clientv3.Op{get(networkKey(d.network))}
	for _, id := range ids {
		ops = append(ops, get(endpointKey(d.network, id)))
	}
	found, _, err := d.store.read(ctx, ops...)
	if err != nil {
		return err
	}
	network, err := only[overlay.Network](networkKey(d.network), found[0])
	if err != nil {
		return err
	}
	for i, id := range ids {
		endpoint, err := only[overlay.Endpoint](endpointKey(d.network, id), found[i+1])
		if err != nil {
			return err
		}
		if !endpoint.exists() || endpoint.value.Node != d.node {
			continue
		}
		if err := d.store.dropEndpoint(ctx, c, network.value, endpoint, clientv3.NoLease); err != nil {
			return err
		}
	}
	return nil
}

// finish forgets the Docker network.
func (d *detach) finish(ctx context.Context, c *change) error {
	index, err := d.own(ctx, c)
	if err == nil {
		drop(c, index)
	}
	return err
}

// anotherThan returns one of the keys that is not that one; false for none.
func anotherThan(key string, found []*mvccpb.KeyValue) (string, bool) {
	for _, kv := range found {
		if string(kv.Key) != key {
			return string(kv.Key), true
		}
	}
	return "", false
}
