package store

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// TestReservationsShareALease holds that one grant serves for many reservations, and that one which etcd lost is
// replaced within the call that meets it.
func TestReservationsShareALease(t *testing.T) {
	s := startServer(t)
	store, node := s.host(t, 1)
	network := quickNetwork(t, store, node, "web", "10.1.0.0/24")
	leaseOf := func() clientv3.LeaseID {
		t.Helper()
		given, err := request(t, store, node, network, "")
		if err != nil {
			t.Fatal(err)
		}
		reply, err := s.raw(t).Get(callContext(t), addressKey(poolOfNetwork(network), given))
		if err != nil || len(reply.Kvs) != 1 || reply.Kvs[0].Lease == 0 {
			t.Fatalf("%s: %v, %v", given, reply, err)
		}
		return clientv3.LeaseID(reply.Kvs[0].Lease)
	}
	first := leaseOf()
	if again := leaseOf(); again != first {
		t.Errorf("lease %x, and then %x", first, again)
	}
	if _, err := s.raw(t).Revoke(callContext(t), first); err != nil {
		t.Fatal(err)
	}
	if after := leaseOf(); after == first {
		t.Errorf("lease %x is used though it was revoked", first)
	}
	quick(store)
	store.unhold()
	short := leaseOf()
	eventually(t, func() (bool, string) { return store.held() == clientv3.NoLease, "it is used beyond half of its time" })
	if after := leaseOf(); after == short {
		t.Errorf("lease %x is used in its second half", short)
	}
}
