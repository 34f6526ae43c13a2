package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/tests/lab"
)

const (
	// Each of a host's containers is connected and disconnected so many times: 200 endpoints on two hosts.
	raceContainers = 20
	raceRounds     = 5
	// loseOneIn is how rarely a piece of etcd's answers is lost, with its connection.
	loseOneIn = 15
	// settle is how long what a crash left may stay: the agent's grace, and then a minute for the address.
	settle = shortGrace + time.Minute + 2*statePatience
)

// 200 endpoints are created and removed at the same time on two hosts through Docker, both agents racing on one pool,
// with answers of etcd lost and dockerd killed between its two calls: no address is ever given twice, none is leaked,
// and the flows at the end are those of a second OVS programmed from empty. ("What it must show": 200 endpoints.)
func TestRace(t *testing.T) {
	l := up(t, lab.Options{})
	etcd, other := openCluster(t, l), newSpare(t)
	doors := loseAnswers(t, l)
	gate := keepGate(t, l.Host(2))
	createNetwork(t, l.Hosts(), "race", "--subnet", "10.66.0.0/24")
	seen := watchEndpoints(t, etcd)
	r := &race{gate: gate, killAfter: raceContainers * raceRounds / 2, revived: make(chan struct{}), held: map[string]string{}}
	r.run(t, l.Hosts())
	for i, d := range doors {
		t.Logf("on %s %d answers of etcd were lost", l.Host(i+1).Name, d.lost.Load())
		if d.lost.Load() == 0 {
			t.Errorf("no answer of etcd was lost on %s: the race proves nothing", l.Host(i+1).Name)
		}
	}
	t.Run("last round stays", func(t *testing.T) {
		within(t, settle, "etcd holds the last round's endpoints and nothing else", func() (string, bool) { return r.compare(t, etcd) })
		for _, h := range l.Hosts() {
			other.sameAsFresh(t, etcd, h)
		}
	})
	t.Run("nothing stays", func(t *testing.T) {
		r.leaveAll(t, l.Hosts())
		within(t, settle, "etcd holds no claim beyond the network's own", func() (string, bool) { return r.compare(t, etcd) })
		for _, h := range l.Hosts() {
			other.sameAsFresh(t, etcd, h)
			removeAfterRace(t, h, "race")
		}
		for _, prefix := range []string{"networks/", "names/", "vnis/", "pools/", "pending/", "addresses/", "macs/", "endpoints/", "attachments/", "docker/"} {
			if left := etcd.keys(t, prefix); len(left) > 0 {
				t.Errorf("after the network is removed etcd has, below %s: %v", prefix, left)
			}
		}
	})
	if duplicates := seen(); len(duplicates) > 0 {
		t.Errorf("in etcd's history two endpoints had one address: %v", duplicates)
	}
}

// loseAnswers restarts each agent so that it reaches etcd through a door on its own host that loses answers, and h2's
// so that a gatekeeper can stand before it.
func loseAnswers(t *testing.T, l *lab.Lab) []*door {
	t.Helper()
	var doors []*door
	for _, h := range l.Hosts() {
		d := openDoor(t, h, h, etcdAddress, func() bool { return rand.N(loseOneIn) == 0 })
		doors = append(doors, d)
		args := []string{"--grace", shortGrace.String()}
		if h == l.Host(2) {
			args = append(args, "--plugin-socket", behindSocket)
		}
		restartAgent(t, h, lab.AgentOptions{Etcd: d.url(), Args: args}, true)
	}
	return doors
}

// race is the state of the containers that come and go.
type race struct {
	gate *gatekeeper
	// killAfter is how many times the host of the gatekeeper connects before dockerd is killed there.
	killAfter int
	// revived is closed when dockerd runs there again.
	revived chan struct{}

	mu   sync.Mutex
	turn int
	// connected is how many endpoints there have been.
	connected int
	// held is who has an address as Docker says, from after it connected until before it disconnects.
	held map[string]string
}

// run lets all containers race, and returns when all have stayed connected in their last round.
func (r *race) run(t *testing.T, hosts []*lab.Host) {
	t.Helper()
	for _, h := range hosts {
		for i := range raceContainers {
			run(t, h, "docker", "run", "-d", "--name", fmt.Sprint("c", i), lab.ImageName)
		}
	}
	began := time.Now()
	// Who waits for a kill waits in vain where another has failed.
	group, ctx := errgroup.WithContext(t.Context())
	for _, h := range hosts {
		for i := range raceContainers {
			group.Go(func() error { return r.compete(ctx, t, h, fmt.Sprint("c", i)) })
		}
	}
	group.Go(func() error { return r.revive(ctx, t) })
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d endpoints on %d hosts took %s", len(hosts)*raceContainers*raceRounds, len(hosts), time.Since(began).Round(time.Second))
}

// compete connects and disconnects one container. What Docker cannot do because it was killed is done again.
func (r *race) compete(ctx context.Context, t *testing.T, h *lab.Host, name string) error {
	for round := 0; round < raceRounds; {
		r.arm(h)
		err := r.connect(t, h, name, round < raceRounds-1)
		switch {
		case err == nil:
			round++
		case h != r.gate.host:
			return err
		default:
			select {
			case <-r.revived:
			case <-ctx.Done():
				return err
			case <-time.After(commandPatience):
				return fmt.Errorf("dockerd was not killed, but: %w", err)
			}
			if again := r.restart(t, h, name); again != nil {
				return fmt.Errorf("%w, after: %w", again, err)
			}
		}
	}
	return nil
}

// arm counts the turns of the gatekeeper's host and arms the gate at the one that was chosen.
func (r *race) arm(h *lab.Host) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h != r.gate.host {
		return
	}
	if r.turn++; r.turn == r.killAfter {
		r.gate.armed.Store(true)
	}
}

// connect is one turn of a container.
func (r *race) connect(t *testing.T, h *lab.Host, name string, leave bool) error {
	if _, err := try(t, h, "docker", "network", "connect", "race", name); err != nil {
		return err
	}
	addr, err := try(t, h, "docker", "inspect", "-f", "{{.NetworkSettings.Networks.race.IPAddress}}", name)
	if err != nil {
		return err
	}
	if addr == "" {
		return fmt.Errorf("%s on %s has no address, as it does not run", name, h.Name)
	}
	if err := r.hold(addr, h.Name+"/"+name); err != nil {
		t.Error(err)
	}
	r.progress(t)
	if !leave {
		return nil
	}
	r.drop(addr)
	_, err = try(t, h, "docker", "network", "disconnect", "race", name)
	return err
}

// progress shows that the race goes on, once in as many endpoints as there are containers on a host.
func (r *race) progress(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.connected++; r.connected%raceContainers == 0 {
		t.Logf("%d endpoints have been connected", r.connected)
	}
}

func (r *race) hold(addr, who string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other, taken := r.held[addr]; taken {
		return fmt.Errorf("%s got %s, which %s has", who, addr, other)
	}
	r.held[addr] = who
	return nil
}

func (r *race) drop(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, addr)
}

// revive starts dockerd again after the gatekeeper killed it. What its containers had held they have no more.
func (r *race) revive(ctx context.Context, t *testing.T) error {
	select {
	case err := <-r.gate.killed:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(3 * commandPatience):
		return fmt.Errorf("dockerd never made the call at which it was to be killed")
	}
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	if err := r.gate.host.Start(ctx, lab.Dockerd); err != nil {
		return err
	}
	if err := r.gate.host.WaitReady(ctx, lab.Dockerd); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.held, func(_, who string) bool { return strings.HasPrefix(who, r.gate.host.Name+"/") })
	close(r.revived)
	return nil
}

// restart runs a container again that ended with its dockerd, without the network that it was in or not.
func (r *race) restart(t *testing.T, h *lab.Host, name string) error {
	// Whether Docker thinks that it was connected depends on the moment of the kill.
	_, _ = try(t, h, "docker", "network", "disconnect", "-f", "race", name)
	_, err := try(t, h, "docker", "start", name)
	return err
}

// leaveAll disconnects all containers, on all hosts at the same time.
func (r *race) leaveAll(t *testing.T, hosts []*lab.Host) {
	t.Helper()
	var group errgroup.Group
	for _, h := range hosts {
		for i := range raceContainers {
			group.Go(func() error {
				_, err := try(t, h, "docker", "network", "disconnect", "race", fmt.Sprint("c", i))
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	clear(r.held)
}

// removeAfterRace removes a network that no container is in. Docker counts the endpoints of a network in a record that two
// of its calls at once may both change, so after a race it may hold a network for used that it shows to be empty, until
// it starts again and counts: only then, and only if it says that its count was wrong, the removal is tried once more.
func removeAfterRace(t *testing.T, h *lab.Host, name string) {
	t.Helper()
	_, err := try(t, h, "docker", "network", "rm", name)
	if err == nil {
		return
	}
	inside := run(t, h, "docker", "network", "inspect", "-f", "{{len .Containers}}", name)
	if !strings.Contains(err.Error(), "has active endpoints") || strings.TrimSpace(inside) != "0" {
		t.Fatalf("%v; by docker network inspect there are %s containers in it", err, inside)
	}
	killProcess(t, h, lab.Dockerd)
	startProcess(t, h, lab.Dockerd, true)
	if log, err := h.Log(lab.Dockerd); err != nil || !strings.Contains(log, "inconsistent endpoint_cnt") {
		t.Errorf("Docker does not say that its own count of endpoints was wrong (%v)", err)
	}
	run(t, h, "docker", "network", "rm", name)
	t.Logf("Docker on %s had lost count of the network's endpoints, as it said when it started again", h.Name)
}

// compare says whether etcd holds exactly the endpoints that Docker has, with their claims and the network's own.
func (r *race) compare(t *testing.T, etcd cluster) (string, bool) {
	t.Helper()
	var addrs []string
	for key, value := range etcd.keys(t, "addresses/") {
		var claim struct{ Kind string }
		if err := json.Unmarshal([]byte(value), &claim); err != nil || claim.Kind != "gateway" && claim.Kind != "endpoint" {
			return fmt.Sprintf("a claim beyond: %s: %s", key, value), false
		}
		if claim.Kind == "endpoint" {
			addrs = append(addrs, key[strings.LastIndex(key, "/")+1:])
		}
	}
	slices.Sort(addrs)
	want := slices.Sorted(maps.Keys(r.held))
	endpoints, macs, pending := etcd.keys(t, "endpoints/"), etcd.keys(t, "macs/"), etcd.keys(t, "pending/")
	ok := slices.Equal(addrs, want) && len(endpoints) == len(want) && len(macs) == len(want) && len(pending) == 0
	return fmt.Sprintf("addresses %v, Docker has %v; %d endpoints, %d MACs, pending %v", addrs, want, len(endpoints), len(macs), pending), ok
}

// watchEndpoints follows etcd's history, and the function that it returns gives every address that two endpoints had at
// one moment of it.
func watchEndpoints(t *testing.T, etcd cluster) func() []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	events := etcd.raw.Watch(ctx, root+"endpoints/", clientv3.WithPrefix())
	var duplicates []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		addrOf, ownerOf := map[string]string{}, map[string]string{}
		for reply := range events {
			for _, event := range reply.Events {
				key := string(event.Kv.Key)
				delete(ownerOf, addrOf[key])
				delete(addrOf, key)
				if event.Type == clientv3.EventTypeDelete {
					continue
				}
				var e overlay.Endpoint
				if err := json.Unmarshal(event.Kv.Value, &e); err != nil {
					duplicates = append(duplicates, err.Error())
				}
				addr := e.IPv4.String()
				if other, taken := ownerOf[addr]; taken {
					duplicates = append(duplicates, fmt.Sprintf("%s of %s and %s", addr, other, key))
				}
				addrOf[key], ownerOf[addr] = addr, key
			}
		}
	}()
	return func() []string {
		cancel()
		<-done
		return duplicates
	}
}
