package docker

import (
	"net/netip"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

// testStorage is what the plugin relies on in everything that it may be given
// as a store. The store is empty, and node h1 is registered.
func testStorage(t *testing.T, s storage) {
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	kind := func(err error, want overlay.Kind) {
		t.Helper()
		if !overlay.IsKind(err, want) {
			t.Errorf("got %v, want a refusal of kind %d", err, want)
		}
	}
	from := netip.MustParsePrefix("10.32.0.0/12")
	avoid := netip.MustParsePrefix("10.32.0.0/24")
	first, err := s.RequestPool(ctx, PoolRequest{Node: "h1", From: from, Avoid: []netip.Prefix{avoid}})
	check(err)
	second, err := s.RequestPool(ctx, PoolRequest{Node: "h1", From: from, Avoid: []netip.Prefix{avoid}})
	check(err)
	if first.Prefix.Overlaps(second.Prefix) || first.Prefix.Overlaps(avoid) || first.Space != overlay.DefaultSpace || first.Prefix.Bits() != 24 {
		t.Errorf("chose %v and %v", first, second)
	}
	check(s.ReleasePool(ctx, "h1", second))
	check(s.ReleasePool(ctx, "h1", second))

	gateway, err := s.RequestAddress(ctx, AddressRequest{Node: "h1", Boot: "b", Pool: first, Gateway: true})
	check(err)
	again, err := s.RequestAddress(ctx, AddressRequest{Node: "h1", Boot: "b", Pool: first, Gateway: true})
	check(err)
	if gateway != again || gateway.Bits() != 24 || !first.Prefix.Contains(gateway.Addr()) {
		t.Errorf("the gateway is %v, then %v", gateway, again)
	}

	_, _, err = s.Attached(ctx, "h1", "n1")
	kind(err, overlay.Missing)
	attach := AttachRequest{Node: "h1", DockerNetwork: "n1", DefaultMTU: 1450, Subnet: overlay.Subnet{Prefix: first.Prefix, Gateway: gateway.Addr()}}
	made, err := s.Attach(ctx, attach)
	check(err)
	repeated, err := s.Attach(ctx, attach)
	check(err)
	found, attachment, err := s.Attached(ctx, "h1", "n1")
	check(err)
	if made.ID == "" || made.MTU != 1450 || repeated.ID != made.ID || found.ID != made.ID || attachment.Pool == "" {
		t.Errorf("attached %+v, then %+v, and found %+v %+v", made, repeated, found, attachment)
	}

	one, err := s.RequestAddress(ctx, AddressRequest{Node: "h1", Boot: "b", Pool: first})
	check(err)
	two, err := s.RequestAddress(ctx, AddressRequest{Node: "h1", Boot: "b", Pool: first})
	check(err)
	if one == two || one == gateway || two == gateway {
		t.Errorf("the addresses are %v, %v and %v", gateway, one, two)
	}
	testStoredEndpoint(t, s, found, one.Addr())
	check(s.ReleaseAddress(ctx, "h1", first, one.Addr()))
	check(s.ReleaseAddress(ctx, "h1", first, one.Addr()))
	reused, err := s.RequestAddress(ctx, AddressRequest{Node: "h1", Boot: "b", Pool: first, Address: one.Addr()})
	check(err)
	if reused != one {
		t.Errorf("asked for %v, got %v", one, reused)
	}
	for _, addr := range []netip.Addr{one.Addr(), two.Addr(), gateway.Addr()} {
		check(s.ReleaseAddress(ctx, "h1", first, addr))
	}
	check(s.ReleasePool(ctx, "h1", first))
	check(s.Detach(ctx, "h1", "n1"))
	_, _, err = s.Attached(ctx, "h1", "n1")
	kind(err, overlay.Missing)
	if err := s.Detach(ctx, "h1", "n1"); err != nil {
		kind(err, overlay.Missing)
	}
}

// testStoredEndpoint writes, reads and removes an endpoint.
func testStoredEndpoint(t *testing.T, s storage, in overlay.Network, addr netip.Addr) {
	ctx := t.Context()
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
