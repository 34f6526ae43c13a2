package store

import (
	"fmt"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

// TestGuessesAreOnlyGuesses holds that a network made anew on the same subnet, and one that is gone, are found out.
func TestGuessesAreOnlyGuesses(t *testing.T) {
	s := startServer(t)
	store, node := s.host(t, 1)
	ctx := callContext(t)
	d := docker{store, node}
	var before overlay.Network
	for i := range 2 {
		id := fmt.Sprintf("d%d", i)
		network, pool, err := d.create(ctx, dockerNetwork{id: id, subnet: "10.1.0.0/24"})
		if err != nil {
			t.Fatal(err)
		}
		if network.ID == before.ID {
			t.Fatalf("network %s again", network.ID)
		}
		for range 2 {
			attached, _, err := store.Attached(ctx, node, id)
			if err != nil || attached.ID != network.ID {
				t.Fatalf("%s is network %s, %v; want %s", id, attached.ID, err, network.ID)
			}
		}
		e, err := d.run(ctx, fmt.Sprintf("endpoint%d", i), network, pool, addr("10.1.0.5"))
		if err != nil {
			t.Fatal(err)
		}
		if err := store.DeleteEndpoint(ctx, node, network.ID, e.ID); err != nil {
			t.Fatal(err)
		}
		if err := store.ReleaseAddress(ctx, node, pool, e.IPv4); err != nil {
			t.Fatal(err)
		}
		if err := d.remove(ctx, id, network, pool); err != nil {
			t.Fatal(err)
		}
		_, _, err = store.Attached(ctx, node, id)
		wantKind(t, err, overlay.Missing)
		_, err = store.RequestAddress(ctx, AddressRequest{Node: node, Boot: "b", Pool: pool})
		wantKind(t, err, overlay.Missing)
		before = network
	}
}

func TestGuessesAreBounded(t *testing.T) {
	s := startServer(t)
	store, _ := s.host(t, 1)
	for i := range 3 * maxGuesses {
		store.remember(fmt.Sprint(i), "n")
	}
	if len(store.guesses) > maxGuesses {
		t.Errorf("%d guesses", len(store.guesses))
	}
}
