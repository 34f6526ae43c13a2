package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

// CreateEndpoint writes the endpoint and binds its addresses and MAC, and returns
// it with its Revision. The host must be attached to the network. Its addresses
// must be reserved by the endpoint's node, or free. A MAC or address that
// somebody else has is refused (Conflict), as is another endpoint of the same
// ID; a repeat has the same answer.
func (s *Store) CreateEndpoint(ctx context.Context, e overlay.Endpoint) (overlay.Endpoint, error) {
	if err := checkEndpoint(e); err != nil {
		return e, err
	}
	if e.Created.IsZero() {
		e.Created = now()
	}
	e.Revision = 0
	made := e
	rev, err := s.update(ctx, "create endpoint "+overlay.ShortID(e.ID), func(ctx context.Context, c *change) error {
		found, _, err := s.read(ctx, get(networkKey(e.Network)), get(attachKey(e.Network, e.Node)), get(endpointKey(e.Network, e.ID)), get(macKey(e.Network, e.MAC)), get(nodeKey(e.Node)))
		if err != nil {
			return err
		}
		if err := s.expectOwner(c, e.Node, found[4]); err != nil {
			return err
		}
		old, err := only[overlay.Endpoint](endpointKey(e.Network, e.ID), found[2])
		if err != nil {
			return err
		}
		if old.exists() {
			made = old.value
			made.Revision = old.rev
			return refuseOther(old.value, e)
		}
		network, err := only[overlay.Network](networkKey(e.Network), found[0])
		if err != nil {
			return err
		}
		if !network.exists() || len(found[1]) == 0 {
			return overlay.Refuse(overlay.Missing, "endpoint "+overlay.ShortID(e.ID), "create the Docker network again", "node %q is not attached to network %s", e.Node, overlay.ShortID(e.Network))
		}
		mac, err := only[owner](macKey(e.Network, e.MAC), found[3])
		if err != nil {
			return err
		}
		c.expect(network.key, network.rev)
		c.expectPresent(attachKey(e.Network, e.Node))
		// Before the MAC: where that follows from the address, only the address says what to change.
		if err := s.bindAddresses(ctx, c, network.value, e); err != nil {
			return err
		}
		if err := refuseMAC(mac, e); err != nil {
			return err
		}
		write(c, put(mac, owner{Endpoint: e.ID, Node: e.Node}), clientv3.NoLease)
		write(c, put(old, e), clientv3.NoLease)
		made = e
		return nil
	})
	if made.Revision == 0 {
		made.Revision = rev
	}
	return made, err
}

// refuseOther refuses another endpoint under an ID that is taken.
func refuseOther(old, fresh overlay.Endpoint) error {
	if old.Node == fresh.Node && old.MAC == fresh.MAC && old.IPv4 == fresh.IPv4 && old.IPv6 == fresh.IPv6 && old.ForeignIPAM == fresh.ForeignIPAM {
		return nil
	}
	return overlay.Refuse(overlay.Conflict, "endpoint "+overlay.ShortID(fresh.ID), "connect the container to the network again",
		"it exists with %s and MAC %s on node %q", old.Addrs(), old.MAC, old.Node)
}

func refuseMAC(claim item[owner], e overlay.Endpoint) error {
	if !claim.exists() || claim.value.Endpoint == e.ID {
		return nil
	}
	return overlay.Refuse(overlay.Conflict, "MAC address "+e.MAC.String(), "choose another, or leave it out",
		"endpoint %s on node %q has it in this network", overlay.ShortID(claim.value.Endpoint), claim.value.Node)
}

// bindAddresses claims the endpoint's addresses to stay.
func (s *Store) bindAddresses(ctx context.Context, c *change, n overlay.Network, e overlay.Endpoint) error {
	for _, addr := range e.Addrs() {
		i := slices.IndexFunc(n.Subnets, func(s overlay.Subnet) bool { return s.Prefix.Contains(addr) })
		if i < 0 {
			return overlay.Refuse(overlay.Invalid, "address "+addr.String(), "choose one of its subnets", "network %q has subnets %s only", n.Name, subnetText(n))
		}
		subnet := n.Subnets[i]
		if err := subnet.Usable(addr); err != nil {
			return err
		}
		pool := overlay.Pool{Space: n.Space, Prefix: subnet.Prefix}
		claim, err := fetch[addressClaim](ctx, s, addressKey(pool, addr))
		if err != nil {
			return err
		}
		if err := refuseAddress(claim, addr, e); err != nil {
			return err
		}
		if addr == subnet.Gateway {
			return taken(addr, fmt.Sprintf("it is the gateway of network %q", n.Name))
		}
		write(c, put(claim, addressClaim{Kind: bound, Node: e.Node, Endpoint: e.ID, At: e.Created}), clientv3.NoLease)
	}
	return nil
}

// refuseAddress refuses an address that somebody else has. Nobody else reserves
// for an endpoint whose addresses come from another IPAM driver.
func refuseAddress(claim item[addressClaim], addr netip.Addr, e overlay.Endpoint) error {
	mine := claim.value.Node == e.Node && (claim.value.Kind == reserved || claim.value.Kind == releasing)
	switch {
	case !claim.exists() || claim.value.Kind == bound && claim.value.Endpoint == e.ID || mine && !e.ForeignIPAM:
		return nil
	case e.ForeignIPAM:
		return overlay.Refuse(overlay.Conflict, "address "+addr.String(), "create the network with --ipam-driver ovsnet, so that all hosts share one pool",
			"another IPAM driver chose it and it is taken: %s", claim.value)
	}
	return taken(addr, claim.value.String())
}

// GetEndpoint returns an endpoint with its Revision; false where there is none.
func (s *Store) GetEndpoint(ctx context.Context, network, id string) (overlay.Endpoint, bool, error) {
	var found item[overlay.Endpoint]
	err := s.retry(ctx, "look up endpoint "+overlay.ShortID(id), func(ctx context.Context) (err error) {
		found, err = fetch[overlay.Endpoint](ctx, s, endpointKey(network, id))
		return err
	})
	found.value.Revision = found.rev
	return found.value, found.exists() && err == nil, err
}

// DeleteEndpoint removes an endpoint of the node; an unknown one is no error. Its
// address stays claimed until ReleaseAddress, or for up to a minute, unless another
// IPAM driver chose it.
func (s *Store) DeleteEndpoint(ctx context.Context, node, network, id string) error {
	_, err := s.update(ctx, "delete endpoint "+overlay.ShortID(id), func(ctx context.Context, c *change) error {
		found, _, err := s.read(ctx, get(endpointKey(network, id)), get(networkKey(network)), get(nodeKey(node)))
		if err != nil {
			return err
		}
		if err := s.expectOwner(c, node, found[2]); err != nil {
			return err
		}
		endpoint, err := only[overlay.Endpoint](endpointKey(network, id), found[0])
		if err != nil || !endpoint.exists() {
			return err
		}
		if endpoint.value.Node != node {
			return overlay.Refuse(overlay.Conflict, "endpoint "+overlay.ShortID(id), "remove the container there", "it is on node %q", endpoint.value.Node)
		}
		header, err := only[overlay.Network](networkKey(network), found[1])
		if err != nil {
			return err
		}
		lease, err := s.hold(ctx)
		if err != nil {
			return err
		}
		return s.dropEndpoint(ctx, c, header.value, endpoint, lease)
	})
	return err
}

// dropEndpoint deletes an endpoint with its claims. With a lease its addresses
// stay claimed as releasing under it.
func (s *Store) dropEndpoint(ctx context.Context, c *change, n overlay.Network, e item[overlay.Endpoint], lease clientv3.LeaseID) error {
	drop(c, e)
	c.remove(macKey(e.value.Network, e.value.MAC))
	for _, addr := range e.value.Addrs() {
		i := slices.IndexFunc(n.Subnets, func(s overlay.Subnet) bool { return s.Prefix.Contains(addr) })
		if i < 0 {
			continue
		}
		claim, err := fetch[addressClaim](ctx, s, addressKey(overlay.Pool{Space: n.Space, Prefix: n.Subnets[i].Prefix}, addr))
		if err != nil {
			return err
		}
		switch {
		case claim.value.Kind != bound || claim.value.Endpoint != e.value.ID:
		case e.value.ForeignIPAM || lease == clientv3.NoLease:
			drop(c, claim)
		default:
			write(c, put(claim, addressClaim{Kind: releasing, Node: e.value.Node, Endpoint: e.value.ID, At: now()}), lease)
		}
	}
	return nil
}
