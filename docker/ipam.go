package docker

import (
	"context"
	"net/netip"

	"github.com/docker/go-plugins-helpers/ipam"

	"github.com/ovsnet/ovsnet/overlay"
)

// requestPool gives Docker a subnet. It never answers one that overlaps a
// route of this host: where Docker named no subnet it would ask again, for
// ever.
func (p *Plugin) requestPool(ctx context.Context, request ipam.RequestPoolRequest) (ipam.RequestPoolResponse, error) {
	ask, err := parsePoolRequest(request)
	if err != nil {
		return ipam.RequestPoolResponse{}, err
	}
	occupied, err := p.Routes.Occupied(ctx)
	if err != nil {
		return ipam.RequestPoolResponse{}, p.away(ctx, "this host's routes", err)
	}
	if ask.Prefix.IsValid() {
		if err := refuseOverlap("subnet "+ask.Prefix.String(), "it", ask.Prefix, occupied); err != nil {
			return ipam.RequestPoolResponse{}, err
		}
	}
	ask.Node, ask.From, ask.Avoid = p.Node, p.AddressPool, prefixes(occupied)
	pool, err := p.Pools.RequestPool(ctx, ask)
	if err != nil {
		return ipam.RequestPoolResponse{}, p.away(ctx, "etcd", explainExhausted(err, p.AddressPool, occupied))
	}
	if err := refuseOverlap(networkObject(ask.Network), "its subnet "+pool.Prefix.String(), pool.Prefix, occupied); err != nil {
		ctx, cancel := undo(ctx)
		defer cancel()
		return ipam.RequestPoolResponse{}, and(err, p.Pools.ReleasePool(ctx, p.Node, pool))
	}
	return ipam.RequestPoolResponse{PoolID: pool.ID(), Pool: pool.Prefix.String(), Data: map[string]string{}}, nil
}

// parsePoolRequest reads what Docker knows of the subnet.
func parsePoolRequest(request ipam.RequestPoolRequest) (PoolRequest, error) {
	if request.V6 {
		return PoolRequest{}, refuseIPv6()
	}
	if request.AddressSpace != addressSpace && request.AddressSpace != "" {
		return PoolRequest{}, overlay.Refuse(overlay.Invalid, "address space "+request.AddressSpace, "leave it out", "ovsnet has one, %s", addressSpace)
	}
	name, err := parsePoolOptions(request.Options)
	if err != nil {
		return PoolRequest{}, err
	}
	ask := PoolRequest{Network: name}
	if request.Pool == "" {
		if request.SubPool != "" {
			return PoolRequest{}, overlay.Refuse(overlay.Invalid, "--ip-range "+request.SubPool, "give the --subnet too", "a range of no subnet")
		}
		return ask, nil
	}
	if ask.Prefix, err = parsePrefix("subnet", request.Pool); err != nil {
		return PoolRequest{}, err
	}
	if request.SubPool != "" {
		if ask.Range, err = parsePrefix("--ip-range", request.SubPool); err != nil {
			return PoolRequest{}, err
		}
	}
	return ask, overlay.Pool{Prefix: ask.Prefix, Range: ask.Range}.Validate()
}

func prefixes(occupied []Occupied) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(occupied))
	for _, o := range occupied {
		list = append(list, o.Prefix)
	}
	return list
}

// explainExhausted names what on this host lies across the address pool, where
// that may be why no subnet of it is left.
func explainExhausted(err error, from netip.Prefix, occupied []Occupied) error {
	taken, overlaps := overlapping(from, occupied)
	if !overlaps || !overlay.IsKind(err, overlay.Exhausted) {
		return err
	}
	return &overlay.Refusal{Kind: overlay.Exhausted, Object: "address pool " + from.String(),
		Cause: "it overlaps this host's " + taken.What, Remedy: "name a --subnet, or set another --address-pool", Err: err}
}

func (p *Plugin) releasePool(ctx context.Context, request ipam.ReleasePoolRequest) (none, error) {
	pool, err := overlay.ParsePoolID(request.PoolID)
	if err != nil {
		return none{}, err
	}
	return none{}, p.away(ctx, "etcd", p.Pools.ReleasePool(ctx, p.Node, pool))
}

// requestAddress gives Docker an address: a gateway, an auxiliary address, or
// an endpoint's before the endpoint has an ID.
func (p *Plugin) requestAddress(ctx context.Context, request ipam.RequestAddressRequest) (ipam.RequestAddressResponse, error) {
	pool, addr, err := parsePoolAddress(request.PoolID, request.Address)
	if err != nil {
		return ipam.RequestAddressResponse{}, err
	}
	given, err := p.Pools.RequestAddress(ctx, AddressRequest{
		Node: p.Node, Boot: p.Boot, Pool: pool, Address: addr, Gateway: request.Options[optionAddressType] == labelGateway,
	})
	if err != nil {
		return ipam.RequestAddressResponse{}, p.away(ctx, "etcd", err)
	}
	return ipam.RequestAddressResponse{Address: given.String(), Data: map[string]string{}}, nil
}

// optionAddressType is how Docker tells a gateway's address from others (moby's
// libnetwork/ipamapi).
const optionAddressType = "RequestAddressType"

// parsePoolAddress reads a pool and an address that can be an endpoint's in it;
// the zero Addr where none is named.
func parsePoolAddress(poolID, address string) (overlay.Pool, netip.Addr, error) {
	pool, err := overlay.ParsePoolID(poolID)
	if err != nil || address == "" {
		return pool, netip.Addr{}, err
	}
	addr, err := parseAddr("address", address)
	if err != nil {
		return pool, netip.Addr{}, err
	}
	return pool, addr, overlay.Subnet{Prefix: pool.Prefix}.Usable(addr)
}

func (p *Plugin) releaseAddress(ctx context.Context, request ipam.ReleaseAddressRequest) (none, error) {
	pool, addr, err := parsePoolAddress(request.PoolID, request.Address)
	if err != nil {
		return none{}, err
	}
	if !addr.IsValid() {
		return none{}, overlay.Refuse(overlay.Invalid, "address", "", "none was named")
	}
	return none{}, p.away(ctx, "etcd", p.Pools.ReleaseAddress(ctx, p.Node, pool, addr))
}
