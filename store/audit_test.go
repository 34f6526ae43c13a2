package store

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

// audit holds that claims and records fit each other: every record has all its
// claims, every claim that stays has its record, and only what may go by itself
// has a lease.
func audit(t *testing.T, s *server) {
	t.Helper()
	store := s.open(t)
	view, err := store.List(callContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range view.Problems {
		t.Errorf("audit: %s: %s", p.Key, p.Reason)
	}
	want := expectedClaims(view.Snapshot)
	for n := range view.Snapshot.MemberNetworks() {
		for e := range view.Snapshot.Endpoints(n) {
			_, attached := view.Snapshot.Attachment(n, e.Node)
			if _, exists := view.Snapshot.Network(n); !exists || !attached {
				t.Errorf("audit: endpoint %s on %s stays without its network or attachment", e.ID, e.Node)
			}
		}
	}
	reply, err := s.raw(t).Get(callContext(t), root, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range reply.Kvs {
		key := string(kv.Key)
		holder, wanted := want[key]
		claim := slices.ContainsFunc([]string{vtepsPrefix, namesPrefix, vnisPrefix, poolsPrefix, addressesPrefix, macsPrefix, dockerPrefix},
			func(prefix string) bool { return strings.HasPrefix(key, prefix) })
		switch {
		case wanted && kv.Lease != 0:
			t.Errorf("audit: %s has a lease and would go", key)
		case wanted && !strings.Contains(string(kv.Value), holder):
			t.Errorf("audit: %s is %s, want it to name %s", key, kv.Value, holder)
		case !wanted && claim && kv.Lease == 0:
			t.Errorf("audit: %s leaked: %s", key, kv.Value)
		}
		delete(want, key)
	}
	for key, holder := range want {
		t.Errorf("audit: %s of %s is missing", key, holder)
	}
}

// expectedClaims is every claim that the records need, with whom it must name.
func expectedClaims(s *overlay.Snapshot) map[string]string {
	want := map[string]string{}
	for n := range s.Nodes() {
		for _, vtep := range n.VTEPs {
			want[vtepKey(vtep)] = n.Name
		}
	}
	for n := range s.Networks() {
		want[nameKey(n.Name)] = n.ID
		want[vnisPrefix+strconv.Itoa(int(n.VNI))] = n.ID
		for _, subnet := range n.Subnets {
			pool := overlay.Pool{Space: n.Space, Prefix: subnet.Prefix}
			want[poolKey(pool)] = n.ID
			if subnet.Gateway.IsValid() {
				want[addressKey(pool, subnet.Gateway)] = string(gateway)
			}
			for _, a := range subnet.Aux {
				want[addressKey(pool, a)] = string(auxiliary)
			}
			for e := range s.Endpoints(n.ID) {
				want[addressKey(pool, e.IPv4)] = e.ID
				want[macKey(n.ID, e.MAC)] = e.ID
			}
		}
	}
	for a := range s.Attachments() {
		want[dockerKey(a.Node, a.DockerNetwork)] = a.Network
	}
	return want
}
