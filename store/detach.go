package store

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

// detachBatch is how many endpoints one transaction deletes: etcd allows 128
// operations in each.
const detachBatch = 30

// Detach undoes Attach: the host's endpoints in the network go, with their
// claims, and then the attachment. A network that no operator made goes with its
// last attachment. An unknown Docker network is no error.
func (s *Store) Detach(ctx context.Context, node, dockerNetwork string) error {
	for again := true; again; {
		_, err := s.update(ctx, "detach Docker network "+overlay.ShortID(dockerNetwork), func(ctx context.Context, c *change) (err error) {
			again, err = s.detachStep(ctx, c, node, dockerNetwork)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// detachStep deletes a batch of the host's endpoints; when none is left, the
// attachment and, with the last one, the network. It reports whether another
// step is needed.
func (s *Store) detachStep(ctx context.Context, c *change, node, dockerNetwork string) (again bool, err error) {
	index, err := fetch[owner](ctx, s, dockerKey(node, dockerNetwork))
	if err != nil || !index.exists() {
		return false, err
	}
	id := index.value.Network
	found, rev, err := s.read(ctx, get(networkKey(id)), getAll(attachedTo(id)), getAll(endpointsOf(id)))
	if err != nil {
		return false, err
	}
	network, err := only[overlay.Network](networkKey(id), found[0])
	if err != nil {
		return false, err
	}
	others := othersThan(attachKey(id, node), found[1])
	if network.exists() && !network.value.Durable && others == 0 {
		drop(c, index)
		c.expectQuiet(attachedTo(id), rev)
		c.expectQuiet(endpointsOf(id), rev)
		c.removeAll(attachedTo(id))
		c.removeNetwork(network)
		return false, nil
	}
	deleted := 0
	for _, kv := range found[2] {
		endpoint, err := parse[overlay.Endpoint](kv)
		if err != nil || endpoint.value.Node != node {
			continue
		}
		if deleted++; deleted > detachBatch {
			break
		}
		if err := s.dropEndpoint(ctx, c, network.value, endpoint, clientv3.NoLease); err != nil {
			return false, err
		}
	}
	if deleted > 0 {
		return true, nil
	}
	c.expectQuiet(endpointsOf(id), rev)
	drop(c, index)
	c.remove(attachKey(id, node))
	return false, nil
}

// othersThan counts the keys that are not that one.
func othersThan(key string, found []*mvccpb.KeyValue) int {
	n := 0
	for _, kv := range found {
		if string(kv.Key) != key {
			n++
		}
	}
	return n
}
