package docker

import (
	"net/netip"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

// testStorage is what the plugin relies on in everything that it may be given
// as a store. The store is empty, and node h1 is registered.
func testStorage(t *testing.T, s storage) {
	c := contract{t, s}
	pool := c.choosePool()
	gateway := c.gateway(pool)
	in := c.attach(overlay.Subnet{Prefix: pool.Prefix, Gateway: gateway.Addr()})
	one, two := c.address(AddressRequest{Pool: pool}), c.address(AddressRequest{Pool: pool})
	if one == two || one == gateway || two == gateway {
		t.Errorf("the addresses are %v, %v and %v", gateway, one, two)
	}
	c.endpoint(in, one.Addr())
	c.release(pool, one.Addr(), one.Addr())
	if reused := c.address(AddressRequest{Pool: pool, Address: one.Addr()}); reused != one {
		t.Errorf("asked for %v, got %v", one, reused)
	}
	c.release(pool, one.Addr(), two.Addr(), gateway.Addr())
	c.check(s.ReleasePool(t.Context(), "h1", pool))
	c.check(s.Detach(t.Context(), "h1", "n1"))
	c.unattached()
	if err := s.Detach(t.Context(), "h1", "n1"); err != nil && !overlay.IsKind(err, overlay.Missing) {
		t.Errorf("a second Detach: %v", err)
	}
}

// contract checks a store piece by piece.
type contract struct {
	*testing.T
	store storage
}

func (c contract) check(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// choosePool asks for two subnets without naming them, and keeps one.
func (c contract) choosePool() overlay.Pool {
	avoid := netip.MustParsePrefix("10.32.0.0/24")
	ask := PoolRequest{Node: "h1", From: netip.MustParsePrefix("10.32.0.0/12"), Avoid: []netip.Prefix{avoid}}
	first, err := c.store.RequestPool(c.Context(), ask)
	c.check(err)
	second, err := c.store.RequestPool(c.Context(), ask)
	c.check(err)
	if first.Prefix.Overlaps(second.Prefix) || first.Prefix.Overlaps(avoid) || first.Space != overlay.DefaultSpace || first.Prefix.Bits() != 24 {
		c.Errorf("chose %v and %v", first, second)
	}
	for range 2 {
		c.check(c.store.ReleasePool(c.Context(), "h1", second))
	}
	return first
}

func (c contract) address(ask AddressRequest) netip.Prefix {
	c.Helper()
	ask.Node, ask.Boot = "h1", "boot-h1"
	given, err := c.store.RequestAddress(c.Context(), ask)
	c.check(err)
	return given
}

func (c contract) gateway(pool overlay.Pool) netip.Prefix {
	first, again := c.address(AddressRequest{Pool: pool, Gateway: true}), c.address(AddressRequest{Pool: pool, Gateway: true})
	if first != again || first.Bits() != 24 || !pool.Prefix.Contains(first.Addr()) {
		c.Errorf("the gateway is %v, then %v", first, again)
	}
	return first
}

func (c contract) release(pool overlay.Pool, addrs ...netip.Addr) {
	c.Helper()
	for _, addr := range addrs {
		c.check(c.store.ReleaseAddress(c.Context(), "h1", pool, addr))
	}
}

func (c contract) unattached() {
	c.Helper()
	if _, _, err := c.store.Attached(c.Context(), "h1", "n1"); !overlay.IsKind(err, overlay.Missing) {
		c.Errorf("got %v, want a refusal because nothing is attached", err)
	}
}

// attach makes a network, twice.
func (c contract) attach(subnet overlay.Subnet) overlay.Network {
	c.unattached()
	ask := AttachRequest{Node: "h1", DockerNetwork: "n1", DefaultMTU: 1450, Subnet: subnet}
	made, err := c.store.Attach(c.Context(), ask)
	c.check(err)
	repeated, err := c.store.Attach(c.Context(), ask)
	c.check(err)
	found, attachment, err := c.store.Attached(c.Context(), "h1", "n1")
	c.check(err)
	if made.ID == "" || made.MTU != 1450 || repeated.ID != made.ID || found.ID != made.ID || attachment.Pool == "" {
		c.Errorf("attached %+v, then %+v, and found %+v %+v", made, repeated, found, attachment)
	}
	return found
}

// endpoint writes, reads and removes an endpoint.
func (c contract) endpoint(in overlay.Network, addr netip.Addr) {
	ctx, t, s := c.Context(), c.T, c.store
	if _, found, err := s.GetEndpoint(ctx, in.ID, "e1"); found || err != nil {
		t.Errorf("found an endpoint before there was one (%v)", err)
	}
	e := overlay.Endpoint{ID: "e1", Network: in.ID, Node: "h1", IPv4: addr, MAC: overlay.MACFromAddr(addr)}
	wrote, err := s.CreateEndpoint(ctx, e)
	if err != nil || wrote.Revision == 0 {
		t.Fatalf("wrote %+v (%v)", wrote, err)
	}
	if repeated, err := s.CreateEndpoint(ctx, e); err != nil || repeated.Revision < wrote.Revision {
		t.Errorf("a repeat wrote %+v after %+v (%v)", repeated, wrote, err)
	}
	e2 := e
	e2.ID = "e2"
	if _, err := s.CreateEndpoint(ctx, e2); !overlay.IsKind(err, overlay.Conflict) {
		t.Errorf("a second endpoint with the same address: %v", err)
	}
	if got, found, err := s.GetEndpoint(ctx, in.ID, "e1"); !found || err != nil || got.MAC != e.MAC || got.Revision == 0 {
		t.Errorf("got %+v %t (%v)", got, found, err)
	}
	for range 2 {
		if err := s.DeleteEndpoint(ctx, "h1", in.ID, "e1"); err != nil {
			t.Error(err)
		}
	}
	if _, found, err := s.GetEndpoint(ctx, in.ID, "e1"); found || err != nil {
		t.Errorf("the endpoint outlives its removal (%v)", err)
	}
}

func TestFakeStore(t *testing.T) {
	s := newFakeStore()
	testStorage(t, s)
	s.empty(t)
}
