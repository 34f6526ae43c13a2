package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

// dockerNetwork is what a user types on one host:
// docker network create [--subnet --gateway --aux-address --internal]
// [--ipam-opt ovsnet.network] [-o ovsnet.network -o ovsnet.vni -o …mtu].
type dockerNetwork struct {
	id       string
	subnet   string
	gateway  string
	aux      string
	internal bool
	ipamName string
	name     string
	vni      uint32
	mtu      int
	foreign  bool
}

// docker makes the calls of one host's dockerd.
type docker struct {
	store *Store
	node  string
}

func optionalAddr(text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	return addr(text)
}

// create makes the calls of `docker network create`, and those that take it back
// when one fails, as Docker does.
func (d docker) create(ctx context.Context, n dockerNetwork) (network overlay.Network, pool overlay.Pool, err error) {
	r := AttachRequest{
		Node: d.node, DockerNetwork: n.id, Name: n.name, VNI: n.vni, MTU: n.mtu, DefaultMTU: 1450, Internal: n.internal, ForeignIPAM: n.foreign,
	}
	if n.foreign {
		r.Subnet = overlay.Subnet{Prefix: prefix(n.subnet), Gateway: optionalAddr(n.gateway)}
		network, err = d.store.Attach(ctx, r)
		return network, pool, err
	}
	ask := PoolRequest{Node: d.node, Network: n.ipamName, From: prefix("10.32.0.0/12")}
	if n.subnet != "" {
		ask.Prefix = prefix(n.subnet)
	}
	if pool, err = d.store.RequestPool(ctx, ask); err != nil {
		return network, pool, err
	}
	r.Subnet.Prefix = pool.Prefix
	var held []netip.Addr
	defer func() {
		if err == nil {
			return
		}
		for _, a := range held {
			err = errors.Join(err, d.store.ReleaseAddress(ctx, d.node, pool, a))
		}
		err = errors.Join(err, d.store.ReleasePool(ctx, d.node, pool))
	}()
	gateway, err := d.store.RequestAddress(ctx, AddressRequest{Node: d.node, Boot: "b", Pool: pool, Address: optionalAddr(n.gateway), Gateway: true})
	if err != nil {
		return network, pool, err
	}
	r.Subnet.Gateway = gateway.Addr()
	held = append(held, gateway.Addr())
	if n.aux != "" {
		if _, err := d.store.RequestAddress(ctx, AddressRequest{Node: d.node, Boot: "b", Pool: pool, Address: addr(n.aux)}); err != nil {
			return network, pool, err
		}
		r.Subnet.Aux = []netip.Addr{addr(n.aux)}
		held = append(held, addr(n.aux))
	}
	network, err = d.store.Attach(ctx, r)
	return network, pool, err
}

// remove makes the calls of `docker network rm`.
func (d docker) remove(ctx context.Context, id string, network overlay.Network, pool overlay.Pool) error {
	subnet, _ := network.IPv4()
	var failed error
	for _, a := range append([]netip.Addr{subnet.Gateway}, subnet.Aux...) {
		failed = errors.Join(failed, d.store.ReleaseAddress(ctx, d.node, pool, a))
	}
	return errors.Join(failed, d.store.ReleasePool(ctx, d.node, pool), d.store.Detach(ctx, d.node, id))
}

// run makes the calls of `docker run --network`.
func (d docker) run(ctx context.Context, id string, network overlay.Network, pool overlay.Pool, ip netip.Addr) (overlay.Endpoint, error) {
	given, err := d.store.RequestAddress(ctx, AddressRequest{Node: d.node, Boot: "b", Pool: pool, Address: ip})
	if err != nil {
		return overlay.Endpoint{}, err
	}
	e, err := d.store.CreateEndpoint(ctx, overlay.Endpoint{ID: id, Network: network.ID, Node: d.node, MAC: overlay.MACFromAddr(given.Addr()), IPv4: given.Addr()})
	if err != nil {
		err = errors.Join(err, d.store.ReleaseAddress(ctx, d.node, pool, given.Addr()))
	}
	return e, err
}

// stop makes the calls of `docker rm -f`.
func (d docker) stop(ctx context.Context, e overlay.Endpoint, pool overlay.Pool) error {
	return errors.Join(d.store.DeleteEndpoint(ctx, d.node, e.Network, e.ID), d.store.ReleaseAddress(ctx, d.node, pool, e.IPv4))
}

// quickNetwork attaches a host to a network with an address space of its own.
func quickNetwork(t *testing.T, s *Store, node, name, subnet string) overlay.Network {
	t.Helper()
	network, _, err := docker{s, node}.create(callContext(t), dockerNetwork{id: name + "-on-" + node, subnet: subnet, ipamName: name, name: name})
	if err != nil {
		t.Fatal(err)
	}
	return network
}

func poolOfNetwork(n overlay.Network) overlay.Pool {
	subnet, _ := n.IPv4()
	return overlay.Pool{Space: n.Space, Prefix: subnet.Prefix}
}

func quickEndpoint(t *testing.T, s *Store, n overlay.Network, node string, number int) overlay.Endpoint {
	t.Helper()
	e, err := docker{s, node}.run(callContext(t), fmt.Sprintf("%s-%s-e%d", n.Name, node, number), n, poolOfNetwork(n), netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}
