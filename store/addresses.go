package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

// AddressRequest asks for an address of a pool.
type AddressRequest struct {
	// Node is the host that asks, and Boot its boot ID.
	Node string
	Boot string
	// Pool is where the address comes from.
	Pool overlay.Pool
	// Address is the one asked for; the zero Addr asks for a free one.
	Address netip.Addr
	// Gateway says that the address is for the network's gateway.
	Gateway bool
}

// addressTries bounds how often a free address is lost to another host.
const addressTries = 100

// RequestAddress reserves an address for up to a minute; the answer has the subnet's
// prefix length. A gateway has the same answer each time. A request of a host
// that is not attached to the pool's network yet is for the network itself, as
// Docker asks for auxiliary addresses before it creates the network. One of an
// attached host is for an endpoint: without Address it gets a free one, new each
// time; an address outside the subnet, the gateway's, or one that somebody has
// is refused (Invalid, Conflict), and an exhausted pool is (Exhausted).
func (s *Store) RequestAddress(ctx context.Context, r AddressRequest) (netip.Prefix, error) {
	if err := r.validate(); err != nil {
		return netip.Prefix{}, err
	}
	token, err := newID()
	if err != nil {
		return netip.Prefix{}, err
	}
	task := reserveAddress{store: s, AddressRequest: r, token: token}
	_, err = s.update(ctx, "reserve an address of "+r.Pool.Prefix.String(), task.decide)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(task.answer, r.Pool.Prefix.Bits()), nil
}

func (r AddressRequest) validate() error {
	if err := overlay.ValidateName("node", r.Node); err != nil {
		return err
	}
	if err := r.Pool.Validate(); err != nil {
		return err
	}
	if !r.Address.IsValid() {
		return nil
	}
	return overlay.Subnet{Prefix: r.Pool.Prefix}.Usable(r.Address)
}

// reserveAddress is one call of RequestAddress through all its tries.
type reserveAddress struct {
	AddressRequest
	store *Store
	token string
	// answer is also the free address that the last try was for.
	answer netip.Addr
	tries  int
}

// decide is one try.
func (a *reserveAddress) decide(ctx context.Context, c *change) error {
	pool, found, err := readVia(ctx, a.store, poolKey(a.Pool), func(p poolClaim) string { return p.Network },
		func(network string) []clientv3.Op {
			return []clientv3.Op{get(networkKey(network)), get(attachKey(network, a.Node))}
		})
	if err != nil {
		return err
	}
	if !pool.exists() {
		return overlay.Refuse(overlay.Missing, "subnet "+a.Pool.Prefix.String(), "create the network again",
			"nothing claims it in address space %q any more", a.Pool.Space)
	}
	// A network that binds the subnet meanwhile changes whose the address is.
	c.expect(pool.key, pool.rev)
	if pool.value.Network == "" {
		return a.decideForNew(ctx, c)
	}
	network, err := only[overlay.Network](networkKey(pool.value.Network), found[0])
	if err != nil {
		return err
	}
	if !network.exists() {
		return overlay.Refuse(overlay.Missing, "subnet "+a.Pool.Prefix.String(), "create the network again", "its network was just removed")
	}
	subnet := subnetOf(network.value, a.Pool.Prefix)
	switch {
	case a.Gateway:
		return a.answerGateway(network.value, subnet)
	case len(found[1]) == 0 && a.Address.IsValid():
		return a.answerAux(network.value, subnet)
	case a.Address == subnet.Gateway && a.Address.IsValid():
		return taken(a.Address, fmt.Sprintf("it is the gateway of network %q", network.value.Name))
	case a.Address.IsValid():
		return a.decideFixed(ctx, c, a.Address, reserved)
	}
	return a.decideFree(ctx, c)
}

// decideForNew serves a subnet whose network does not exist yet: everything
// asked for belongs to the network.
func (a *reserveAddress) decideForNew(ctx context.Context, c *change) error {
	switch {
	case a.Gateway && a.Address.IsValid():
		return a.decideFixed(ctx, c, a.Address, gateway)
	case a.Gateway:
		return a.decideGateway(ctx, c)
	case a.Address.IsValid():
		return a.decideFixed(ctx, c, a.Address, auxiliary)
	}
	return a.decideFree(ctx, c)
}

// answerGateway is the gateway of a network that exists.
func (a *reserveAddress) answerGateway(n overlay.Network, subnet overlay.Subnet) error {
	if a.Address.IsValid() && a.Address != subnet.Gateway {
		return refuseDifferent(n, "gateway", shown(subnet.Gateway), shown(a.Address))
	}
	if !subnet.Gateway.IsValid() {
		return refuseDifferent(n, "gateway", "none", "one")
	}
	a.answer = subnet.Gateway
	return nil
}

// answerAux is an auxiliary address of a network that exists and that this host
// is about to join.
func (a *reserveAddress) answerAux(n overlay.Network, subnet overlay.Subnet) error {
	if !slices.Contains(subnet.Aux, a.Address) {
		return refuseDifferent(n, "auxiliary addresses", fmt.Sprint(subnet.Aux), a.Address.String())
	}
	a.answer = a.Address
	return nil
}

// decideGateway chooses the gateway of a network that does not exist yet: the
// one that another host chose for it, or the first address.
func (a *reserveAddress) decideGateway(ctx context.Context, c *change) error {
	found, _, err := a.store.read(ctx, getAll(addressesOf(a.Pool)))
	if err != nil {
		return err
	}
	choice := overlay.First(a.Pool.Prefix)
	for _, kv := range found[0] {
		claim, err := parse[addressClaim](kv)
		addr, addrErr := netip.ParseAddr(tail(addressesOf(a.Pool), claim.key))
		if err == nil && addrErr == nil && claim.value.Kind == gateway {
			choice = addr
		}
	}
	return a.decideFixed(ctx, c, choice, gateway)
}

// decideFixed claims one certain address.
func (a *reserveAddress) decideFixed(ctx context.Context, c *change, addr netip.Addr, as kind) error {
	claim, err := fetch[addressClaim](ctx, a.store, addressKey(a.Pool, addr))
	if err != nil {
		return err
	}
	if a.answer = addr; claim.value.Token == a.token {
		return nil
	}
	if claim.exists() && !a.mayRenew(claim.value, as) {
		return taken(addr, claim.value.String())
	}
	return a.reserve(ctx, c, claim, as)
}

// mayRenew reports whether a claim is one that this request repeats. A host's
// own reservation of an address by name is, as Docker may ask twice, and so is
// what its removed endpoint had; an address that was given to whoever asked for
// any is another container's. What belongs to a coming network is for all hosts
// that make it.
func (a *reserveAddress) mayRenew(old addressClaim, as kind) bool {
	if as == reserved {
		return old.Node == a.Node && (old.Kind == releasing || old.Kind == reserved && old.Fixed)
	}
	return old.Kind == as
}

// decideFree claims a free address: first the one after the last that this host
// got, which costs nothing to guess, and when that is taken a listed one.
func (a *reserveAddress) decideFree(ctx context.Context, c *change) error {
	if a.tries++; a.tries > addressTries {
		return overlay.Refuse(overlay.Unavailable, "address pool "+a.Pool.Prefix.String(), "try again", "lost %d free addresses to other hosts", addressTries)
	}
	var err error
	if !a.answer.IsValid() {
		a.answer, err = a.store.nextAddress(a.Pool, nil)
	} else {
		var found [][]*mvccpb.KeyValue
		if found, _, err = a.store.read(ctx, get(addressKey(a.Pool, a.answer)), getKeys(addressesOf(a.Pool))); err != nil {
			return err
		}
		last, parseErr := only[addressClaim](addressKey(a.Pool, a.answer), found[0])
		if last.value.Token == a.token && parseErr == nil {
			return nil
		}
		if len(found[0]) > 0 {
			a.answer, err = a.store.nextAddress(a.Pool, addressesIn(a.Pool, found[1]))
		}
	}
	if err != nil {
		return err
	}
	return a.reserve(ctx, c, item[addressClaim]{key: addressKey(a.Pool, a.answer)}, reserved)
}

func (a *reserveAddress) reserve(ctx context.Context, c *change, claim item[addressClaim], as kind) error {
	lease, err := a.store.hold(ctx)
	if err != nil {
		return err
	}
	write(c, put(claim, addressClaim{Kind: as, Node: a.Node, Boot: a.Boot, Token: a.token, Fixed: a.Address.IsValid(), At: now()}), lease)
	return nil
}

// nextAddress guesses a free address and moves this host's cursor there, so that
// two callers never guess the same.
func (s *Store) nextAddress(pool overlay.Pool, used []netip.Addr) (netip.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	addr, err := pool.NextFree(used, s.cursors[pool])
	if err == nil {
		s.cursors[pool] = addr
	}
	return addr, err
}

// addressesIn reads the addresses off the keys, sorted.
func addressesIn(pool overlay.Pool, found []*mvccpb.KeyValue) []netip.Addr {
	used := make([]netip.Addr, 0, len(found))
	for _, kv := range found {
		if addr, err := netip.ParseAddr(strings.TrimPrefix(string(kv.Key), addressesOf(pool))); err == nil {
			used = append(used, addr)
		}
	}
	slices.SortFunc(used, netip.Addr.Compare)
	return used
}

// ReleaseAddress drops this host's hold on the address: what it reserved, or what
// an endpoint of it had. An endpoint's address, the network's own, or another
// host's it leaves alone. It may be repeated.
func (s *Store) ReleaseAddress(ctx context.Context, node string, pool overlay.Pool, addr netip.Addr) error {
	_, err := s.update(ctx, "release address "+addr.String(), func(ctx context.Context, c *change) error {
		found, _, err := s.read(ctx, get(addressKey(pool, addr)), get(poolKey(pool)), get(nodeKey(node)))
		if err != nil {
			return err
		}
		if err := s.expectOwner(c, node, found[2]); err != nil {
			return err
		}
		claim, err := only[addressClaim](addressKey(pool, addr), found[0])
		if err != nil {
			return err
		}
		network, err := only[poolClaim](poolKey(pool), found[1])
		if err != nil {
			return err
		}
		if claim.value.Node == node && claim.value.Kind != bound && (!claim.value.shared() || network.value.Network == "") {
			drop(c, claim)
		}
		return nil
	})
	return err
}

// taken refuses an address that somebody has.
func taken(addr netip.Addr, who string) error {
	return overlay.Refuse(overlay.Conflict, "address "+addr.String(), "choose another", "taken: %s", who)
}

// subnetOf is the network's subnet with that prefix.
func subnetOf(n overlay.Network, prefix netip.Prefix) overlay.Subnet {
	i := slices.IndexFunc(n.Subnets, func(s overlay.Subnet) bool { return s.Prefix == prefix })
	if i < 0 {
		return overlay.Subnet{Prefix: prefix}
	}
	return n.Subnets[i]
}

func shown(addr netip.Addr) string {
	if !addr.IsValid() {
		return "none"
	}
	return addr.String()
}
