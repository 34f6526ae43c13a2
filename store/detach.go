package store

import (
	"context"
	"errors"
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
// that a Detach that was cut short can be repeated, and is found by
// FinishDetaches. Where the host has the network by another Docker network
// meanwhile, attachment and endpoints are that one's, and only the index goes.
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

// FinishDetaches carries on with every Detach on the node that was cut short,
// whoever made it: Docker does not repeat them. What cannot be read is left out.
func (s *Store) FinishDetaches(ctx context.Context, node string) error {
	const task = "find what was detached in part"
	var begun []string
	err := s.retry(ctx, task, func(ctx context.Context) error {
		begun = nil
		found, _, err := s.read(ctx, getAll(dockerOf(node)))
		if err != nil {
			return err
		}
		for _, kv := range found[0] {
			index, err := parse[owner](kv)
			if err != nil {
				continue
			}
			key := attachKey(index.value.Network, node)
			found, _, err := s.read(ctx, get(key))
			if err != nil {
				return err
			}
			attachment, err := only[overlay.Attachment](key, found[0])
			if id := tail(dockerOf(node), index.key); err == nil && attachment.value.DockerNetwork != id {
				begun = append(begun, id)
			}
		}
		return nil
	})
	for _, id := range begun {
		err = errors.Join(err, s.Detach(ctx, node, id))
	}
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
	found, rev, err := d.store.read(ctx, get(networkKey(d.network)), getAll(attachedTo(d.network)), get(key))
	if err != nil {
		return err
	}
	network, err := only[overlay.Network](networkKey(d.network), found[0])
	if err != nil {
		return err
	}
	own, err := only[overlay.Attachment](key, found[2])
	if err != nil {
		return err
	}
	other, shared := anotherThan(key, found[1])
	switch {
	case own.exists() && own.value.DockerNetwork != d.dockerNetwork:
		d.done = true
		drop(c, index)
	case !network.exists():
		drop(c, own)
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
		drop(c, own)
	}
	return nil
}

// endpoints lists the host's endpoints in the network.
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

// drop deletes a batch of endpoints, while there is no attachment that they
// could be of: the host may have the network again by now.
func (d *detach) drop(ctx context.Context, c *change, ids []string) error {
	if index, err := d.own(ctx, c); err != nil || !index.exists() {
		return err
	}
	attachment := attachKey(d.network, d.node)
	ops := []clientv3.Op{get(networkKey(d.network)), get(attachment)}
	for _, id := range ids {
		ops = append(ops, get(endpointKey(d.network, id)))
	}
	found, _, err := d.store.read(ctx, ops...)
	if err != nil || len(found[1]) > 0 {
		return err
	}
	c.expect(attachment, 0)
	network, err := only[overlay.Network](networkKey(d.network), found[0])
	if err != nil {
		return err
	}
	for i, id := range ids {
		endpoint, err := only[overlay.Endpoint](endpointKey(d.network, id), found[i+2])
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
