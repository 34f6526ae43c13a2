package store

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// quick makes reservations of this store end soon, though not before a call on a busy machine has.
func quick(s *Store) *Store {
	s.ttl = 5 * time.Second
	return s
}

// request asks for an address of the network's pool as an endpoint's.
func request(t *testing.T, s *Store, node string, n overlay.Network, ip string) (netip.Addr, error) {
	t.Helper()
	given, err := s.RequestAddress(callContext(t), AddressRequest{Node: node, Boot: "b", Pool: poolOfNetwork(n), Address: optionalAddr(ip)})
	return given.Addr(), err
}

func TestRequestAddressRefuses(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	two, second := s.host(t, 2)
	network, _, err := docker{one, first}.create(callContext(t), dockerNetwork{id: "d1", subnet: "10.1.0.0/24", aux: "10.1.0.9", ipamName: "web", name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	quickNetwork(t, two, second, "web", "")
	if _, err := (docker{one, first}).run(callContext(t), "endpoint1", network, poolOfNetwork(network), addr("10.1.0.5")); err != nil {
		t.Fatal(err)
	}
	if _, err := request(t, one, first, network, "10.1.0.6"); err != nil {
		t.Fatal(err)
	}
	gone, err := docker{one, first}.run(callContext(t), "endpoint2", network, poolOfNetwork(network), addr("10.1.0.7"))
	if err != nil {
		t.Fatal(err)
	}
	if err := one.DeleteEndpoint(callContext(t), first, network.ID, gone.ID); err != nil {
		t.Fatal(err)
	}
	for ip, refusal := range map[string]string{
		"10.2.0.5":   "outside subnet 10.1.0.0/24",
		"10.1.0.0":   "network address",
		"10.1.0.255": "broadcast address",
		"10.1.0.1":   `gateway of network "web"`,
		"10.1.0.9":   "auxiliary address",
		"10.1.0.5":   `endpoint endpoint1 on node "h1" has it`,
		"10.1.0.6":   `node "h1" reserved it`,
		"10.1.0.7":   `node "h1" is just releasing it`,
	} {
		if _, err := request(t, two, second, network, ip); err == nil || !strings.Contains(err.Error(), refusal) {
			t.Errorf("%s: %v, want a refusal with %q", ip, err, refusal)
		}
	}
	for _, ip := range []string{"10.1.0.6", "10.1.0.7"} {
		if got, err := request(t, one, first, network, ip); err != nil || got != addr(ip) {
			t.Errorf("%s asked again by who has it: %s, %v", ip, got, err)
		}
	}
	missing := network
	missing.Space = "nowhere"
	if _, err := request(t, one, first, missing, ""); !overlay.IsKind(err, overlay.Missing) {
		t.Errorf("a pool that nobody claims: %v", err)
	}
}

// TestRequestAddressTakesOverNoReservation holds that what a container that takes any address was just given stays
// its own, also when another one on the same host asks for it by name.
func TestRequestAddressTakesOverNoReservation(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	network := quickNetwork(t, one, first, "web", "10.1.0.0/24")
	given, err := request(t, one, first, network, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := request(t, one, first, network, given.String()); !overlay.IsKind(err, overlay.Conflict) || !strings.Contains(err.Error(), `node "h1" reserved it`) {
		t.Errorf("%s: %v, want a conflict with who reserved it", given, err)
	}
}

// TestRequestAddressFree gives every address of a range once, then none, and
// again what came back.
func TestRequestAddressFree(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	two, second := s.host(t, 2)
	network := quickNetwork(t, one, first, "web", "10.1.0.0/28")
	quickNetwork(t, two, second, "web", "")
	seen := map[netip.Addr]bool{}
	for i := range 13 {
		store, node := one, first
		if i%3 == 0 {
			store, node = two, second
		}
		got, err := request(t, store, node, network, "")
		if err != nil || seen[got] || (overlay.Subnet{Prefix: prefix("10.1.0.0/28"), Gateway: addr("10.1.0.1")}).Usable(got) != nil {
			t.Fatalf("address %d: %s, %v", i, got, err)
		}
		seen[got] = true
	}
	_, err := request(t, one, first, network, "")
	wantKind(t, err, overlay.Exhausted)
	if err := two.ReleaseAddress(callContext(t), second, poolOfNetwork(network), addr("10.1.0.7")); err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{first, second} {
		if err := one.ReleaseAddress(callContext(t), node, poolOfNetwork(network), addr("10.1.0.7")); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := request(t, two, second, network, ""); err != nil || got != addr("10.1.0.7") {
		t.Errorf("after a release: %s, %v", got, err)
	}

	limited := poolOfNetwork(quickNetwork(t, one, first, "shop", "10.1.0.0/24"))
	limited.Range = prefix("10.1.0.128/25")
	given, err := one.RequestAddress(callContext(t), AddressRequest{Node: first, Pool: limited})
	if err != nil || given.String() != "10.1.0.128/24" {
		t.Errorf("of a range: %s, %v", given, err)
	}
}

// TestReservationExpires holds that what nobody binds goes by itself, and that
// what was bound meanwhile does not.
func TestReservationExpires(t *testing.T) {
	s := startServer(t)
	store, node := s.host(t, 1)
	quick(store)
	network := quickNetwork(t, store, node, "web", "10.1.0.0/24")
	if _, err := store.RequestPool(callContext(t), PoolRequest{Node: node, Network: "shop", From: prefix("10.32.0.0/12")}); err != nil {
		t.Fatal(err)
	}
	late, err := request(t, store, node, network, "")
	if err != nil {
		t.Fatal(err)
	}
	bound := quickEndpoint(t, store, network, node, 1)
	gone := quickEndpoint(t, store, network, node, 2)
	if err := store.DeleteEndpoint(callContext(t), node, network.ID, gone.ID); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{addressKey(poolOfNetwork(network), bound.IPv4): true, addressKey(poolOfNetwork(network), addr("10.1.0.1")): true}
	eventually(t, func() (bool, string) {
		left := s.keys(t, addressesPrefix)
		return len(left) == len(want) && len(s.keys(t, poolsPrefix)) == 1 && len(s.keys(t, pendingPrefix)) == 0, "reservations stay"
	})
	for key := range s.keys(t, addressesPrefix) {
		if !want[key] {
			t.Errorf("%s stays", key)
		}
	}
	// CreateEndpoint claims again what expired, unless somebody else has it.
	e := overlay.Endpoint{ID: "late", Network: network.ID, Node: node, MAC: overlay.MACFromAddr(late), IPv4: late}
	if _, err := store.CreateEndpoint(callContext(t), e); err != nil {
		t.Errorf("of an expired reservation: %v", err)
	}
	e = overlay.Endpoint{ID: "later", Network: network.ID, Node: node, MAC: overlay.MACFromAddr(addr("10.9.9.9")), IPv4: bound.IPv4}
	_, err = store.CreateEndpoint(callContext(t), e)
	wantKind(t, err, overlay.Conflict)
	audit(t, s)
}

// TestReleaseAddressSpares holds that a late or foreign release frees nothing
// that is somebody's.
func TestReleaseAddressSpares(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	two, second := s.host(t, 2)
	network := quickNetwork(t, one, first, "web", "10.1.0.0/24")
	pool := poolOfNetwork(network)
	quickNetwork(t, two, second, "web", "")
	e := quickEndpoint(t, one, network, first, 1)
	reserved, err := request(t, one, first, network, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range []netip.Addr{addr("10.1.0.1"), e.IPv4} {
		for _, node := range []string{first, second} {
			if err := one.ReleaseAddress(callContext(t), node, pool, ip); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := two.ReleaseAddress(callContext(t), second, pool, reserved); err != nil {
		t.Fatal(err)
	}
	if left := s.keys(t, addressesOf(pool)); len(left) != 3 {
		t.Errorf("left: %v, want gateway, endpoint and reservation", left)
	}
	audit(t, s)
}

// TestGateway holds that all hosts get the same one.
func TestGateway(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	two, second := s.host(t, 2)
	ask := func(store *Store, node, ip string) string {
		pool, err := store.RequestPool(callContext(t), PoolRequest{Node: node, Network: "web", Prefix: prefix("10.1.0.0/24")})
		if err != nil {
			t.Fatal(err)
		}
		given, err := store.RequestAddress(callContext(t), AddressRequest{Node: node, Pool: pool, Address: optionalAddr(ip), Gateway: true})
		if err != nil {
			return err.Error()
		}
		return given.String()
	}
	if got := ask(one, first, "10.1.0.254"); got != "10.1.0.254/24" {
		t.Errorf("asked for: %s", got)
	}
	for range 2 {
		if got := ask(two, second, ""); got != "10.1.0.254/24" {
			t.Errorf("before the network is there: %s", got)
		}
	}
	if _, _, err := (docker{one, first}).create(callContext(t), dockerNetwork{id: "d", ipamName: "web", gateway: "10.1.0.254"}); err != nil {
		t.Fatal(err)
	}
	if got := ask(two, second, ""); got != "10.1.0.254/24" {
		t.Errorf("of the network: %s", got)
	}
	if got := ask(two, second, "10.1.0.1"); !strings.Contains(got, "gateway 10.1.0.254, and 10.1.0.1 was asked for") {
		t.Errorf("another one: %s", got)
	}
}

// TestReleasePool holds that a host drops its own hold only.
func TestReleasePool(t *testing.T) {
	s := startServer(t)
	one, first := s.host(t, 1)
	two, second := s.host(t, 2)
	ask := PoolRequest{Node: first, Prefix: prefix("10.1.0.0/24")}
	pool, err := one.RequestPool(callContext(t), ask)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := one.RequestPool(callContext(t), ask); err != nil || again != pool {
		t.Errorf("a repeat answers %v, %v", again, err)
	}
	if err := two.ReleasePool(callContext(t), second, pool); err != nil {
		t.Fatal(err)
	}
	if len(s.keys(t, poolsPrefix)) != 1 {
		t.Error("another host's release freed it")
	}
	for range 2 {
		if err := one.ReleasePool(callContext(t), first, pool); err != nil {
			t.Fatal(err)
		}
	}
	if left := len(s.keys(t, poolsPrefix)) + len(s.keys(t, pendingPrefix)); left != 0 {
		t.Errorf("%d keys left after the release", left)
	}
	avoid := PoolRequest{Node: first, From: prefix("10.32.0.0/12"), Avoid: []netip.Prefix{prefix("10.32.0.0/23")}}
	if got, err := one.RequestPool(callContext(t), avoid); err != nil || got.Prefix != prefix("10.32.2.0/24") {
		t.Errorf("chosen %v, %v", got, err)
	}
	avoid.From = prefix("10.32.0.0/23")
	_, err = one.RequestPool(callContext(t), avoid)
	wantKind(t, err, overlay.Exhausted)
}
