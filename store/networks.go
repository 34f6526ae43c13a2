package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

const (
	// firstVNI is where VNIs are given from when none is asked for; the ones
	// below are left to people.
	firstVNI = 4096
	// maxAux keeps what makes a network within etcd's 128 operations for one
	// transaction.
	maxAux = 64
	// listed bounds how many endpoints a refusal names.
	listed = 20
)

// newID returns 32 random lower-case hex digits.
func newID() (string, error) {
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("make an ID: %w", err)
	}
	return hex.EncodeToString(raw), nil
}

// CreateNetwork makes an operator's network, which stays until RemoveNetwork. ID
// and, where it is 0, VNI are assigned; an empty Space is its own, and a missing
// gateway the subnet's first address. It refuses (Conflict) a name or VNI that is
// taken, and a subnet that overlaps another in the address space.
func (s *Store) CreateNetwork(ctx context.Context, n overlay.Network) (overlay.Network, error) {
	if n.Space == "" {
		n.Space = n.Name
	}
	if n.Space != overlay.DefaultSpace && n.Space != n.Name {
		return n, overlay.Refuse(overlay.Invalid, fmt.Sprintf("network %q", n.Name), "use its own or the default one", "address space %q belongs to another", n.Space)
	}
	n.Subnets = slices.Clone(n.Subnets)
	for i, subnet := range n.Subnets {
		if !subnet.Gateway.IsValid() && subnet.Prefix.IsValid() {
			n.Subnets[i].Gateway = overlay.First(subnet.Prefix)
		}
	}
	if n.Created.IsZero() {
		n.Created = now()
	}
	n.Durable = true
	var err error
	if n.ID, err = newID(); err != nil {
		return n, err
	}
	asked := n
	rev, err := s.update(ctx, fmt.Sprintf("create network %q", n.Name), func(ctx context.Context, c *change) error {
		same, err := s.named(ctx, asked.Name)
		if err != nil {
			return err
		}
		if same.value.ID == asked.ID {
			n = same.value
			n.Revision = same.rev
			return nil
		}
		if same.exists() {
			return overlay.Refuse(overlay.Conflict, fmt.Sprintf("network %q", n.Name), "choose another name, or join it", "it exists already")
		}
		n, err = s.plan(ctx, c, asked, "")
		return err
	})
	if rev != 0 {
		n.Revision = rev
	}
	return n, err
}

// plan writes a new network with everything it claims. node is the host that
// makes it, or empty for an operator.
func (s *Store) plan(ctx context.Context, c *change, n overlay.Network, node string) (overlay.Network, error) {
	if err := validateNetworkName(n.Name); err != nil {
		return n, err
	}
	found, _, err := s.read(ctx, get(nameKey(n.Name)), getKeys(vnisPrefix), getAll(poolsIn(n.Space)), get(spaceKey(n.Space)))
	if err != nil {
		return n, err
	}
	name, err := only[owner](nameKey(n.Name), found[0])
	if err != nil {
		return n, err
	}
	if name.exists() {
		// The callers looked before, so another host was faster.
		return n, errLost
	}
	if n.VNI, err = s.chooseVNI(ctx, n, found[1]); err != nil {
		return n, err
	}
	if err := n.Validate(); err != nil {
		return n, err
	}
	write(c, put(item[overlay.Network]{key: networkKey(n.ID)}, n), clientv3.NoLease)
	write(c, put(name, owner{Network: n.ID}), clientv3.NoLease)
	write(c, put(item[owner]{key: vniKey(n.VNI)}, owner{Network: n.ID}), clientv3.NoLease)
	space, err := s.hold(ctx)
	if err != nil {
		return n, err
	}
	claims := claimedPools(found[2])
	for _, subnet := range n.Subnets {
		pool := overlay.Pool{Space: n.Space, Prefix: subnet.Prefix}
		if err := s.claimPool(ctx, c, pool, claims, found[3], poolClaim{Network: n.ID, Node: node, At: n.Created}, space); err != nil {
			return n, err
		}
		if err := s.claimOwn(ctx, c, pool, subnet); err != nil {
			return n, err
		}
	}
	return n, nil
}

// chooseVNI checks the VNI that was asked for, or returns the lowest free one.
func (s *Store) chooseVNI(ctx context.Context, n overlay.Network, found []*mvccpb.KeyValue) (uint32, error) {
	used := map[uint32]bool{}
	for _, kv := range found {
		if number, err := strconv.ParseUint(tail(vnisPrefix, string(kv.Key)), 10, 32); err == nil {
			used[uint32(number)] = true
		}
	}
	if n.VNI != 0 && used[n.VNI] {
		return 0, s.refuseVNI(ctx, n)
	}
	if n.VNI != 0 {
		return n.VNI, nil
	}
	for vni := uint32(firstVNI); vni <= overlay.MaxVNI; vni++ {
		if !used[vni] {
			return vni, nil
		}
	}
	return 0, overlay.Refuse(overlay.Exhausted, fmt.Sprintf("network %q", n.Name), "remove networks", "no VNI is free")
}

// refuseVNI says which network has the VNI.
func (s *Store) refuseVNI(ctx context.Context, n overlay.Network) error {
	claim, err := fetch[owner](ctx, s, vniKey(n.VNI))
	if err != nil {
		return err
	}
	other, err := fetch[overlay.Network](ctx, s, networkKey(claim.value.Network))
	if err != nil {
		return err
	}
	return overlay.Refuse(overlay.Conflict, fmt.Sprintf("network %q", n.Name), "choose another VNI, or leave it out",
		"network %q has VNI %d", other.value.Name, n.VNI)
}

// claimOwn claims the gateway and the auxiliary addresses of a new network,
// whether a host reserved them or not.
func (s *Store) claimOwn(ctx context.Context, c *change, pool overlay.Pool, subnet overlay.Subnet) error {
	if len(subnet.Aux) > maxAux {
		return overlay.Refuse(overlay.Invalid, "subnet "+subnet.Prefix.String(), "use --ip-range to keep more", "%d auxiliary addresses, at most %d can be kept", len(subnet.Aux), maxAux)
	}
	if err := (overlay.Subnet{Prefix: subnet.Prefix, Gateway: subnet.Gateway, Aux: subnet.Aux}).Validate(); err != nil {
		return err
	}
	wanted := map[netip.Addr]kind{}
	for _, addr := range subnet.Aux {
		wanted[addr] = auxiliary
	}
	if subnet.Gateway.IsValid() {
		wanted[subnet.Gateway] = gateway
	}
	for addr, as := range wanted {
		claim, err := fetch[addressClaim](ctx, s, addressKey(pool, addr))
		if err != nil {
			return err
		}
		if claim.exists() && !claim.value.shared() {
			return taken(addr, claim.value.String())
		}
		write(c, put(claim, addressClaim{Kind: as, At: now()}), clientv3.NoLease)
	}
	return nil
}

// named returns the network of that name; one that is absent has revision 0.
func (s *Store) named(ctx context.Context, name string) (item[overlay.Network], error) {
	return s.behind(ctx, nameKey(name))
}

// behind returns the network whose claim is under the key; where nothing claims
// it, or no network does, it has revision 0.
func (s *Store) behind(ctx context.Context, key string) (item[overlay.Network], error) {
	claim, err := fetch[owner](ctx, s, key)
	if err != nil || claim.value.Network == "" {
		return item[overlay.Network]{}, err
	}
	found, _, err := s.read(ctx, get(networkKey(claim.value.Network)), get(key))
	if err != nil {
		return item[overlay.Network]{}, err
	}
	network, err := only[overlay.Network](networkKey(claim.value.Network), found[0])
	if err != nil || network.exists() {
		return network, err
	}
	if len(found[1]) == 0 || found[1][0].ModRevision != claim.rev {
		// It was removed between the two reads.
		return network, errLost
	}
	return network, overlay.Refuse(overlay.Conflict, "etcd key "+key, "delete it with etcdctl del", "it claims for network %s, which does not exist", claim.value.Network)
}

// RemoveNetwork removes a network that nothing uses. It refuses (InUse) one with
// endpoints, listing them, or with hosts whose Docker has it; an unknown one is
// Missing.
func (s *Store) RemoveNetwork(ctx context.Context, name string) error {
	if err := overlay.ValidateName("network", name); err != nil {
		return err
	}
	removing := ""
	_, err := s.update(ctx, fmt.Sprintf("remove network %q", name), func(ctx context.Context, c *change) error {
		network, err := s.named(ctx, name)
		if err != nil {
			return err
		}
		if network.value.ID != removing && removing != "" {
			return nil
		}
		if !network.exists() {
			return overlay.Refuse(overlay.Missing, fmt.Sprintf("network %q", name), "see ovsnet network ls", "no such network")
		}
		removing = network.value.ID
		if err := s.refuseUsed(ctx, network.value); err != nil {
			return err
		}
		c.expectNone(endpointsOf(network.value.ID))
		c.expectNone(attachedTo(network.value.ID))
		c.removeNetwork(network)
		return nil
	})
	return err
}

// refuseUsed refuses the removal of a network that something stands on.
func (s *Store) refuseUsed(ctx context.Context, n overlay.Network) error {
	found, _, err := s.read(ctx, getAll(endpointsOf(n.ID)), getAll(attachedTo(n.ID)))
	if err != nil {
		return err
	}
	object := fmt.Sprintf("network %q", n.Name)
	if users := found[0]; len(users) > 0 {
		return overlay.Refuse(overlay.InUse, object, "disconnect or remove these containers first", "it has %d endpoints: %s", len(users), listUsers(users, func(kv *mvccpb.KeyValue) string {
			e, err := parse[overlay.Endpoint](kv)
			if err != nil {
				return tail(endpointsOf(n.ID), e.key) + " (cannot be read)"
			}
			return fmt.Sprintf("%s (%s) on %s", e.value.Label(), e.value.IPv4, e.value.Node)
		}))
	}
	if users := found[1]; len(users) > 0 {
		return overlay.Refuse(overlay.InUse, object, "docker network rm it there first", "%d hosts have it: %s", len(users), listUsers(users, func(kv *mvccpb.KeyValue) string {
			a, err := parse[overlay.Attachment](kv)
			if err != nil {
				return tail(attachedTo(n.ID), a.key) + " (cannot be read)"
			}
			return fmt.Sprintf("%s as Docker network %s", a.value.Node, overlay.ShortID(a.value.DockerNetwork))
		}))
	}
	return nil
}

func listUsers(users []*mvccpb.KeyValue, label func(*mvccpb.KeyValue) string) string {
	var words []string
	for i, kv := range users {
		if i == listed {
			words = append(words, "…")
			break
		}
		words = append(words, label(kv))
	}
	return strings.Join(words, ", ")
}

// removeNetwork deletes a network with everything below it and all it claims.
func (c *change) removeNetwork(n item[overlay.Network]) {
	drop(c, n)
	c.remove(nameKey(n.value.Name))
	c.remove(vniKey(n.value.VNI))
	c.removeAll(endpointsOf(n.value.ID))
	c.removeAll(macsOf(n.value.ID))
	for _, subnet := range n.value.Subnets {
		pool := overlay.Pool{Space: n.value.Space, Prefix: subnet.Prefix}
		c.remove(poolKey(pool))
		c.removeAll(addressesOf(pool))
	}
}
