package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// injured returns a host whose transactions often happen and are answered with
// an error, and whose reservations are short.
func (s *server) injured(t *testing.T, number int, rate float64, seed uint64) docker {
	t.Helper()
	store := s.open(t)
	store.ttl = time.Second // some of these expire while others ask
	meddle(store, &faults{dice: rand.New(rand.NewPCG(seed, uint64(number))), rate: rate / 2})
	register(t, store, number)
	return docker{store, nodeName(number)}
}

// TestRace has hosts that race for the addresses of one small pool, lose every
// fifth answer of etcd, crash between Docker's calls and repeat calls: no
// address is given twice, and none leaks.
func TestRace(t *testing.T) {
	const hosts, workers, rounds = 3, 6, 12
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := startServer(t)
	r := &race{t: t, holders: map[netip.Addr]string{}}
	var fleet []docker
	for number := 1; number <= hosts; number++ {
		fleet = append(fleet, s.injured(t, number, 0.2, seed))
	}
	before := s.keys(t, root)
	var together sync.WaitGroup
	for h, d := range fleet {
		network, pool, err := d.create(callContext(t), dockerNetwork{id: "d", subnet: "10.1.0.0/26", ipamName: "web", name: "web"})
		if err != nil {
			t.Fatal(err)
		}
		for worker := range workers {
			w := &raceWorker{race: r, docker: d, network: network, pool: pool,
				dice: rand.New(rand.NewPCG(seed, uint64(h*100+worker))), name: fmt.Sprintf("h%dw%d", h, worker)}
			together.Go(func() { w.work(rounds) })
		}
	}
	together.Wait()
	audit(t, s)
	for _, d := range fleet {
		if err := d.store.Detach(callContext(t), d.node, "d"); err != nil {
			t.Error(err)
		}
	}
	eventually(t, func() (bool, string) {
		left := added(before, s.keys(t, root))
		return len(left) == 0, fmt.Sprintf("left: %v", left)
	})
	t.Logf("%d endpoints, %d refusals", r.made, r.refused)
	if r.made < hosts*workers*rounds/5 || r.refused == 0 {
		t.Error("hardly anything was tried")
	}
}

// race is what the workers share: who has which address.
type race struct {
	t *testing.T

	mu            sync.Mutex
	holders       map[netip.Addr]string
	made, refused int
}

type raceWorker struct {
	*race
	docker
	network overlay.Network
	pool    overlay.Pool
	dice    *rand.Rand
	name    string
}

// work starts and stops containers, one at a time for each worker, half of them
// in a way that Docker should not.
func (w *raceWorker) work(rounds int) {
	var held []overlay.Endpoint
	for round := range rounds {
		switch w.dice.IntN(6) {
		case 0:
			// dockerd is killed between its two calls.
			_, err := w.store.RequestAddress(callContext(w.t), AddressRequest{Node: w.node, Pool: w.pool})
			w.note(err)
		case 1, 2, 3:
			if e, ok := w.start(fmt.Sprintf("%s-%d", w.name, round)); ok {
				held = append(held, e)
			}
		default:
			if len(held) > 0 {
				w.end(held[0])
				held = held[1:]
			}
		}
	}
	for _, e := range held {
		w.end(e)
	}
}

func (w *raceWorker) start(id string) (overlay.Endpoint, bool) {
	var wanted netip.Addr
	if w.dice.IntN(4) == 0 {
		wanted = netip.AddrFrom4([4]byte{10, 1, 0, byte(2 + w.dice.IntN(60))})
	}
	e, err := w.run(callContext(w.t), id, w.network, w.pool, wanted)
	if w.note(err); err != nil {
		return e, false
	}
	w.mu.Lock()
	if other := w.holders[e.IPv4]; other != "" {
		w.t.Errorf("%s is given to %s and to %s", e.IPv4, other, id)
	}
	w.holders[e.IPv4] = id
	w.made++
	w.mu.Unlock()
	if w.dice.IntN(3) == 0 {
		again, err := w.store.CreateEndpoint(callContext(w.t), e)
		if err != nil || again.Revision != e.Revision {
			w.t.Errorf("a repeat answers %+v, %v, want %+v", again, err, e)
		}
	}
	return e, true
}

func (w *raceWorker) end(e overlay.Endpoint) {
	w.mu.Lock()
	delete(w.holders, e.IPv4)
	w.mu.Unlock()
	err := w.store.DeleteEndpoint(callContext(w.t), w.node, w.network.ID, e.ID)
	// The release may come twice, or not at all.
	for range w.dice.IntN(3) {
		err = errors.Join(err, w.store.ReleaseAddress(callContext(w.t), w.node, w.pool, e.IPv4))
	}
	if err != nil {
		w.t.Error(err)
	}
}

// note counts refusals, of which only those belong here that a full pool or a
// taken address gives.
func (w *raceWorker) note(err error) {
	if err == nil {
		return
	}
	if !overlay.IsKind(err, overlay.Conflict) && !overlay.IsKind(err, overlay.Exhausted) {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused++
}

// TestLostAnswers makes every kind of change while most answers are lost.
func TestLostAnswers(t *testing.T) {
	for round := range 10 {
		s := startServer(t)
		seed := uint64(round)
		d := s.injured(t, 1, 0.6, seed)
		n, err := d.store.CreateNetwork(callContext(t), overlay.Network{Name: "ops", MTU: 1450, Subnets: []overlay.Subnet{{Prefix: prefix("10.9.0.0/24")}}})
		if err != nil || n.Revision == 0 {
			t.Fatalf("seed %d: %+v, %v", seed, n, err)
		}
		web, pool, err := d.create(callContext(t), dockerNetwork{id: "d", ipamName: "web", name: "web", aux: "10.32.0.9"})
		if err != nil || web.Revision == 0 {
			t.Fatalf("seed %d: %+v, %v", seed, web, err)
		}
		chosen, _, err := d.create(callContext(t), dockerNetwork{id: "d2"})
		if err != nil || chosen.Name != "net-10.32.1.0-24" {
			t.Fatalf("seed %d: %+v, %v", seed, chosen, err)
		}
		for i := range 3 {
			e, err := d.run(callContext(t), fmt.Sprint("e", i), web, pool, netip.Addr{})
			if want := addr("10.32.0.2"); err != nil || e.Revision == 0 || i == 0 && e.IPv4 != want {
				t.Fatalf("seed %d: %+v, %v", seed, e, err)
			}
		}
		if got := len(s.keys(t, addressesOf(pool))); got != 5 {
			t.Errorf("seed %d: %d addresses, want gateway, auxiliary and 3", seed, got)
		}
		audit(t, s)
		for what, err := range map[string]error{
			"network": d.store.RemoveNetwork(callContext(t), "ops"),
			"node":    d.store.RemoveNode(callContext(t), d.node),
		} {
			if err != nil {
				t.Errorf("seed %d: remove %s: %v", seed, what, err)
			}
		}
		if left := s.keys(t, networksPrefix); len(left) > 0 {
			t.Errorf("seed %d: left %v", seed, left)
		}
	}
}

// TestLostRaceNamesTheTask has conditions that never hold.
func TestLostRaceNamesTheTask(t *testing.T) {
	s := startServer(t)
	store := s.open(t)
	begin(t, store)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err := store.update(ctx, "win", func(_ context.Context, c *change) error {
		c.expect(root+"never", 77)
		c.remove(root + "never")
		return nil
	})
	wantKind(t, err, overlay.Unavailable)
	if !errors.Is(err, errLost) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %q does not say why", err)
	}
}
