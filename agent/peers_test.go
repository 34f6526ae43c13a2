package agent

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

// restless changes a snapshot at random, with few objects, so that changes meet.
type restless struct {
	random *rand.Rand
	now    *overlay.Snapshot
	local  map[string]overlay.Endpoint
}

func (r *restless) pick(prefix string, of int) string { return fmt.Sprint(prefix, r.random.IntN(of)) }

func (r *restless) step() {
	edit := r.now.Edit()
	for range 1 + r.random.IntN(3) {
		switch r.random.IntN(6) {
		case 0:
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(r.random.IntN(6))})
			edit.SetNode(overlay.Node{Name: r.pick("h", 5), VTEPs: []netip.Addr{addr}})
		case 1:
			edit.DeleteNode(r.pick("h", 5))
		case 2:
			edit.DeleteEndpoint(r.pick("n", 3), r.pick("e", 12))
		default:
			edit.SetEndpoint(overlay.Endpoint{ID: r.pick("e", 12), Network: r.pick("n", 3), Node: r.pick("h", 5), Revision: r.random.Int64()})
		}
	}
	r.now = edit.Snapshot()
	r.local = map[string]overlay.Endpoint{}
	for e := range r.now.EndpointsOn("h0") {
		r.local[e.Network+e.ID] = e
	}
}

// Who is reached is not looked up again for what cannot change it, and always for
// what does.
func TestPeersAreLookedUpWhenTheyMove(t *testing.T) {
	route := func(n overlay.Node) (netip.Addr, bool) {
		if len(n.VTEPs) == 0 {
			return netip.Addr{}, false
		}
		return n.VTEPs[0], true
	}
	r := &restless{random: rand.New(rand.NewPCG(1, 2)), now: overlay.NewSnapshot()}
	spared := 0
	for range 5000 {
		before, peers := r.now, peersOf(r.now, r.local, "h0", route)
		r.step()
		moves := movesPeers(before, r.now, overlay.Diff(before, r.now), "h0")
		if now := peersOf(r.now, r.local, "h0", route); !moves && !slices.Equal(peers, now) {
			t.Fatalf("the peers became %v, from %v, unseen", now, peers)
		}
		if !moves {
			spared++
		}
	}
	if spared < 500 {
		t.Errorf("only %d of 5000 changes were found to leave the peers as they are", spared)
	}
}
