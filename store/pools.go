package store

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

// chosenBits is the prefix length of a subnet that the user left to us.
const chosenBits = 24

// PoolRequest asks for a subnet.
type PoolRequest struct {
	// Node is the host that asks.
	Node string
	// Network is the name given with --ipam-opt ovsnet.network, or empty.
	Network string
	// Prefix is the subnet asked for, and Range the part of it to give addresses
	// from; the zero Prefix where the user named none.
	Prefix netip.Prefix
	Range  netip.Prefix
	// From is where to choose a subnet when neither Prefix nor an existing
	// Network says which.
	From netip.Prefix
	// Avoid are the prefixes that a chosen subnet must not overlap.
	Avoid []netip.Prefix
}

// RequestPool reserves a subnet for this host for half a minute or more, in which Attach has
// to bind it. A Network that exists answers with its own subnet; one that does
// not gets an address space of its own. Without Network the space is the default
// one. A subnet that overlaps another there is refused (Conflict). A request
// that names a network or a subnet has the same answer each time; one that names
// neither has a new one.
func (s *Store) RequestPool(ctx context.Context, r PoolRequest) (overlay.Pool, error) {
	if err := r.validate(); err != nil {
		return overlay.Pool{}, err
	}
	token, err := newID()
	if err != nil {
		return overlay.Pool{}, err
	}
	var answer overlay.Pool
	_, err = s.update(ctx, "reserve a subnet", func(ctx context.Context, c *change) error {
		lease, err := s.hold(ctx)
		if err != nil {
			return err
		}
		if answer, err = s.choosePool(ctx, c, r, token, lease); err != nil {
			return err
		}
		answer.Range = r.Range
		if err := answer.Validate(); err != nil {
			return err
		}
		waiting, err := fetch[pendingPool](ctx, s, pendingKey(r.Node, answer))
		if err != nil {
			return err
		}
		write(c, put(waiting, pendingPool{Name: r.Network, At: now()}), lease)
		return nil
	})
	return answer, err
}

func (r PoolRequest) validate() error {
	if err := overlay.ValidateName("node", r.Node); err != nil {
		return err
	}
	if r.Network != "" {
		if err := validateNetworkName(r.Network); err != nil {
			return err
		}
	}
	if !r.Prefix.IsValid() {
		return nil
	}
	return overlay.Pool{Prefix: r.Prefix, Range: r.Range}.Validate()
}

// validateNetworkName refuses the one good name that is taken by the common
// address space, since a network's own space is called as the network is.
func validateNetworkName(name string) error {
	if name == overlay.DefaultSpace {
		return overlay.Refuse(overlay.Invalid, fmt.Sprintf("network %q", name), "choose another name", "this is what the common address space is called")
	}
	return overlay.ValidateName("network", name)
}

// choosePool decides which subnet answers the request and, where no network has
// bound it, claims it.
func (s *Store) choosePool(ctx context.Context, c *change, r PoolRequest, token string, lease clientv3.LeaseID) (overlay.Pool, error) {
	pool := overlay.Pool{Space: overlay.DefaultSpace, Prefix: r.Prefix}
	if r.Network != "" {
		network, err := s.named(ctx, r.Network)
		if err != nil {
			return pool, err
		}
		if network.exists() {
			c.expect(network.key, network.rev)
			return poolOf(network.value, r.Prefix)
		}
		c.expect(nameKey(r.Network), 0)
		pool.Space = r.Network
	}
	found, _, err := s.read(ctx, get(spaceKey(pool.Space)), getAll(poolsPrefix))
	if err != nil {
		return pool, err
	}
	claims := claimedPools(found[1])
	if !pool.Prefix.IsValid() {
		if pool.Prefix, err = r.choose(claims, pool.Space, token); err != nil {
			return pool, err
		}
	}
	return pool, s.claimPool(ctx, c, pool, claims, found[0], poolClaim{Node: r.Node, Token: token, At: now()}, lease)
}

// poolOf is the answer for a network that exists.
func poolOf(n overlay.Network, asked netip.Prefix) (overlay.Pool, error) {
	subnet, _ := n.IPv4()
	if asked.IsValid() && asked != subnet.Prefix {
		return overlay.Pool{}, overlay.Refuse(overlay.Conflict, fmt.Sprintf("network %q", n.Name), "leave out --subnet to join it, or choose another name",
			"it has subnet %s, %s was asked for", subnet.Prefix, asked)
	}
	return overlay.Pool{Space: n.Space, Prefix: subnet.Prefix}, nil
}

// choose picks a subnet where the user named none: the one that this very call
// or another host's for the same new network claimed, else a free one.
func (r PoolRequest) choose(claims []claimedPool, space, token string) (netip.Prefix, error) {
	avoid := r.Avoid
	for _, claim := range claims {
		if claim.pool.Space == space && (claim.value.Token == token || r.Network != "" && claim.value.Network == "") {
			return claim.pool.Prefix, nil
		}
		avoid = append(avoid[:len(avoid):len(avoid)], claim.pool.Prefix)
	}
	return overlay.FreeSubnet(r.From, chosenBits, avoid)
}

// claimedPool is a claim of a subnet with what its key says. A claim whose value
// cannot be read still claims; err says what is wrong with it.
type claimedPool struct {
	item[poolClaim]
	pool overlay.Pool
	err  error
}

// claimedPools reads the claims in all address spaces; keys that are no subnets
// are left to List and Watch to report.
func claimedPools(found []*mvccpb.KeyValue) []claimedPool {
	var claims []claimedPool
	for _, kv := range found {
		pool, err := parsePool(strings.TrimPrefix(string(kv.Key), poolsPrefix))
		if err != nil {
			continue
		}
		claim := claimedPool{pool: pool}
		claim.item, claim.err = parse[poolClaim](kv)
		claims = append(claims, claim)
	}
	return claims
}

// claimPool writes the claim of a subnet, for a network to stay and else under
// the lease, unless the same was bound by a network already. The key of the
// address space is always leased: it matters only while two claims race, and so
// spaces nobody uses leave nothing behind.
func (s *Store) claimPool(ctx context.Context, c *change, pool overlay.Pool, claims []claimedPool, space []*mvccpb.KeyValue, fresh poolClaim, lease clientv3.LeaseID) error {
	stay := lease
	if fresh.Network != "" {
		stay = clientv3.NoLease
	}
	for _, claim := range claims {
		switch {
		case claim.pool.Space != pool.Space || !claim.pool.Prefix.Overlaps(pool.Prefix):
		case claim.pool.Prefix != pool.Prefix:
			return s.refuseOverlap(ctx, pool, claim)
		case claim.err != nil:
			return claim.err
		case claim.value.Network != "" && fresh.Network != "":
			return s.refuseOverlap(ctx, pool, claim)
		case claim.value.Network != "":
			c.expect(claim.key, claim.rev)
			return nil
		default:
			// Same subnet, not bound yet: whoever comes later renews it.
			write(c, put(claim.item, fresh), stay)
			return nil
		}
	}
	token, err := only[owner](spaceKey(pool.Space), space)
	if err != nil {
		return err
	}
	write(c, put(token, owner{Node: fresh.Node}), lease)
	write(c, put(item[poolClaim]{key: poolKey(pool)}, fresh), stay)
	return nil
}

// refuseOverlap says whose subnet is in the way.
func (s *Store) refuseOverlap(ctx context.Context, pool overlay.Pool, claim claimedPool) error {
	who := fmt.Sprintf("subnet %s that node %q is making a network of", claim.pool.Prefix, claim.value.Node)
	if claim.value.Network != "" {
		network, err := fetch[overlay.Network](ctx, s, networkKey(claim.value.Network))
		if err != nil && mayPass(err) {
			return err
		}
		who = fmt.Sprintf("subnet %s of network %q", claim.pool.Prefix, network.value.Name)
	}
	verb := "overlaps"
	if claim.pool.Prefix == pool.Prefix {
		verb = "is"
	}
	return overlay.Refuse(overlay.Conflict, "subnet "+pool.Prefix.String(), "choose another, or give the network an address space of its own with --ipam-opt ovsnet.network=NAME -o ovsnet.network=NAME",
		"it %s %s in address space %q", verb, who, pool.Space)
}

// ReleasePool drops this host's hold on the subnet: its pending request and, when
// no network bound the subnet, the reservation it made. It may be repeated.
func (s *Store) ReleasePool(ctx context.Context, node string, pool overlay.Pool) error {
	if err := overlay.ValidateName("node", node); err != nil {
		return err
	}
	_, err := s.update(ctx, "release subnet "+pool.Prefix.String(), func(ctx context.Context, c *change) error {
		found, _, err := s.read(ctx, get(pendingKey(node, pool)), get(poolKey(pool)), get(nodeKey(node)))
		if err != nil {
			return err
		}
		if err := s.expectOwner(c, node, found[2]); err != nil {
			return err
		}
		if len(found[0]) > 0 {
			c.remove(pendingKey(node, pool))
		}
		claim, err := only[poolClaim](poolKey(pool), found[1])
		if err != nil {
			return err
		}
		if claim.value.Network == "" && claim.value.Node == node {
			drop(c, claim)
		}
		return nil
	})
	return err
}

// now is the time that records are stamped with.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
