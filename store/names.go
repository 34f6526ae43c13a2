package store

import (
	"context"
	"fmt"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

// NameEndpoint writes what users call an endpoint of the node, of which the first
// is the container's name. An endpoint that is gone, or another node's, is no
// error: the name came too late. Equal names write nothing.
func (s *Store) NameEndpoint(ctx context.Context, node, network, id string, names []string) error {
	for _, name := range names {
		if err := overlay.ValidateName("endpoint", name); err != nil {
			return err
		}
	}
	_, err := s.update(ctx, "name endpoint "+overlay.ShortID(id), func(ctx context.Context, c *change) error {
		found, _, err := s.read(ctx, get(endpointKey(network, id)), get(nodeKey(node)))
		if err != nil {
			return err
		}
		endpoint, err := only[overlay.Endpoint](endpointKey(network, id), found[0])
		if err != nil || !endpoint.exists() || endpoint.value.Node != node || slices.Equal(endpoint.value.Names, names) {
			return err
		}
		if err := s.expectOwner(c, node, found[1]); err != nil {
			return err
		}
		named := endpoint.value
		named.Names = names
		write(c, put(endpoint, named), clientv3.NoLease)
		return nil
	})
	return err
}

// NameAttachment writes what the node's Docker calls a network. An attachment
// that is gone is no error.
func (s *Store) NameAttachment(ctx context.Context, node, network, name string) error {
	_, err := s.update(ctx, fmt.Sprintf("name network %s on node %q", overlay.ShortID(network), node), func(ctx context.Context, c *change) error {
		found, _, err := s.read(ctx, get(attachKey(network, node)), get(nodeKey(node)))
		if err != nil {
			return err
		}
		attachment, err := only[overlay.Attachment](attachKey(network, node), found[0])
		if err != nil || !attachment.exists() || attachment.value.DockerName == name {
			return err
		}
		if err := s.expectOwner(c, node, found[1]); err != nil {
			return err
		}
		named := attachment.value
		named.DockerName = name
		write(c, put(attachment, named), clientv3.NoLease)
		return nil
	})
	return err
}
