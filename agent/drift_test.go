package agent

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// quarrel is a loop, whose rounds the test makes, beside somebody else who changes the same bridge, and a flow monitor
// that is late and not always complete.
type quarrel struct {
	*rapid.T
	host  *fakeHost
	loop  *Loop
	clock time.Time
	edit  *overlay.Editor
	// queue are the events that the monitor has not told yet.
	queue []flows.Event
	// foreign and lossy say that there were others' changes, and that events were lost.
	foreign, lossy bool
	// audits is how many were made.
	audits int
}

func newQuarrel(t *rapid.T, remove bool) *quarrel {
	q := &quarrel{T: t, host: newFakeHost(), edit: begin(), clock: time.Unix(1_000_000, 0)}
	cfg := config()
	cfg.RemoveForeign = remove
	q.loop = NewLoop(cfg, q.host.parts())
	q.loop.drift.now = func() time.Time { return q.clock }
	q.loop.drift.tell(flows.Event{Kind: flows.Began})
	q.host.events = func(e flows.Event) { q.queue = append(q.queue, e) }
	name := endpoint("a").PortName()
	q.host.links[name] = Link{Name: name}
	q.set("a", "h1", 2)
	q.set("b", "h2", 3)
	q.turn()
	q.deliver(len(q.queue))
	return q
}

func (q *quarrel) set(id, node string, last byte) {
	addr := netip.AddrFrom4([4]byte{10, 0, 0, last})
	q.edit.SetEndpoint(overlay.Endpoint{ID: id, Network: "n1", Node: node, MAC: overlay.MACFromAddr(addr), IPv4: addr, Revision: 1})
}

// turn is one turn of the loop, some time after the last.
func (q *quarrel) turn() {
	q.round()
	if err := q.loop.State().Err; err != nil {
		q.Fatal(err)
	}
}

func (q *quarrel) round() {
	q.clock = q.clock.Add(time.Duration(rapid.IntRange(0, 200).Draw(q.T, "ms")) * time.Millisecond)
	q.loop.offered = View{Snapshot: q.edit.Snapshot(), Connected: true, Cluster: "here"}
	q.loop.accept(Standing{Joined: true})
	q.loop.reconcile(q.Context())
}

// change is a change of ours: an endpoint elsewhere comes, goes or moves.
func (q *quarrel) change() {
	n := rapid.IntRange(3, 6).Draw(q.T, "endpoint")
	id := fmt.Sprintf("r%d", n)
	if rapid.Bool().Draw(q.T, "goes") {
		q.edit.DeleteEndpoint("n1", id)
	} else {
		q.set(id, rapid.SampledFrom([]string{"h2", "h3"}).Draw(q.T, "node"), byte(n+10))
	}
	q.turn()
}

// interfere is one change of somebody else's: to a flow that is there, to a place where one was or will be, or elsewhere.
func (q *quarrel) interfere() {
	q.foreign = true
	q.host.mu.Lock()
	defer q.host.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(q.host.table), flows.Key.Compare)
	keys = append(keys, flows.Key{Table: 3, Priority: 3}, flows.Key{Table: flows.Forward, Priority: 7})
	key := rapid.SampledFrom(keys).Draw(q.T, "key")
	f := q.host.table[key]
	f.Key = key
	switch rapid.IntRange(0, 5).Draw(q.T, "what") {
	case 0, 1:
		q.host.drop(key)
		return
	case 2:
		f.Actions = flows.NewActions(flows.Output(99))
	case 3:
		f.Cookie, f.Actions = 5, flows.NewActions(flows.Output(98))
	case 4:
		f.Priority++ // a twin
	case 5:
		f.Options = "hard_timeout=600 "
	}
	q.host.put(rapid.SampledFrom([]flows.EventKind{flows.Added, flows.Altered}).Draw(q.T, "kind"), f)
}

// deliver lets the monitor tell the oldest events.
func (q *quarrel) deliver(n int) {
	for range min(n, len(q.queue)) {
		q.loop.drift.tell(q.queue[0])
		q.queue = q.queue[1:]
	}
}

func (q *quarrel) deliverSome() { q.deliver(rapid.IntRange(0, 10).Draw(q.T, "delivered")) }

// lose makes the monitor leave events out, as it does when it falls behind.
func (q *quarrel) lose() {
	n := min(len(q.queue), rapid.IntRange(0, 10).Draw(q.T, "lost"))
	q.queue = append([]flows.Event{{Kind: flows.Missed}}, q.queue[n:]...)
	q.lossy = true
}

// contest keeps taking the flow to one endpoint away until its place rests, and once more; what the monitor has to tell
// of the last time may be lost, and the endpoint may move meanwhile.
func (q *quarrel) contest() {
	q.foreign = true
	q.set("r3", "h2", 13)
	q.turn()
	var key flows.Key
	for k, f := range q.host.table {
		if k.Table == flows.Forward && f.Why.Endpoint == "r3" {
			key = k
		}
	}
	for range freeRepairs + 3 {
		q.host.mu.Lock()
		q.host.drop(key)
		q.host.mu.Unlock()
		q.deliver(len(q.queue))
		q.turn()
	}
	q.host.mu.Lock()
	q.host.drop(key)
	q.host.mu.Unlock()
	if rapid.Bool().Draw(q.T, "lost") {
		q.queue, q.lossy = []flows.Event{{Kind: flows.Missed}}, true
	}
	q.deliver(len(q.queue))
	if rapid.Bool().Draw(q.T, "moves") {
		q.set("r3", "h3", 13)
	}
	q.turn()
}

// fail makes one round of ours whose bundle OVS does not take.
func (q *quarrel) fail() {
	q.set("r9", rapid.SampledFrom([]string{"h2", "h3"}).Draw(q.T, "node"), 19)
	q.host.failing("apply", errors.New("no answer"))
	q.round()
	q.host.failing("apply", nil)
	q.turn()
	q.lossy = true // a failed round is followed by a look at all flows
}

// audit compares all flows beside the rounds, with a change of ours meanwhile.
func (q *quarrel) audit() {
	q.loop.todo.audit = true
	q.turn()
	select {
	case a := <-q.loop.audits.orders:
		q.change()
		q.audits++
		_ = q.loop.audit(q.Context(), a)
	default:
	}
}

// repeat tells the next event twice.
func (q *quarrel) repeat() {
	if len(q.queue) > 0 {
		q.loop.drift.tell(q.queue[0])
		q.lossy = true
	}
}

// settle lets everything be told and looked at.
func (q *quarrel) settle() {
	q.host.between = nil
	for range 60 {
		q.deliver(len(q.queue))
		q.clock = q.clock.Add(longestContest)
		q.turn()
		if d := q.loop.drift; len(q.queue) == 0 && d.ours.empty() && d.theirs.empty() {
			return
		}
	}
	q.Fatalf("hints never end: %+v, %+v", q.loop.drift.ours, q.loop.drift.theirs)
}

// check compares the bridge with what is wanted on it.
func (q *quarrel) check(remove bool) {
	want := map[flows.Key]string{}
	for _, f := range flows.Compile(q.edit.Snapshot(), flows.Host{Node: "h1", Tunnel: 1, Ports: q.loop.State().Ports}, config().Route) {
		want[f.Key] = f.String()
	}
	for k, f := range q.host.table {
		switch line, wanted := want[k]; {
		case wanted && f.Options+f.String() != line:
			q.Fatalf("installed %s%s, want %s", f.Options, f, line)
		case !wanted && (flows.Ours(f.Cookie) || remove):
			q.Fatalf("left behind: %s", f)
		}
		delete(want, k)
	}
	if len(want) > 0 {
		q.Fatalf("missing: %v", want)
	}
	if foreign := len(q.loop.State().Foreign); !remove && foreign != len(q.host.table)-q.loop.compiler.Len() {
		q.Fatalf("%d foreign flows are reported, of %d flows %d are ours", foreign, len(q.host.table), q.loop.compiler.Len())
	}
}

// However our bundles, others' changes and late, lost or repeated events meet: when all is told, the flows are those
// that are wanted, what is foreign is known, and where nobody interfered nothing was ever repaired.
func TestDriftHeals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		remove := rapid.Bool().Draw(t, "remove")
		q := newQuarrel(t, remove)
		meddled := rapid.Bool().Draw(t, "somebody else is there")
		steps := []func(){q.change, q.change, q.deliverSome, q.deliverSome, q.turn, q.lose, q.repeat, q.fail, q.audit}
		if meddled {
			steps = append(steps, q.interfere, q.interfere, q.contest, q.contest)
			q.host.between = func() {
				if rapid.IntRange(0, 3).Draw(t, "in between") == 0 {
					q.interfere()
				}
			}
		}
		dumps, changes := q.host.dumps, q.host.applies
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			rapid.SampledFrom(steps).Draw(t, "step")()
		}
		q.settle()
		q.check(remove)
		if drift := q.loop.State().Drift; !q.foreign && drift.Repaired+drift.Evicted > 0 {
			t.Fatalf("%d repairs of nothing", drift.Repaired)
		}
		if looks := q.host.looks + q.host.dumps - dumps - q.audits; !q.foreign && !q.lossy && looks > 0 {
			t.Fatalf("%d looks at %d changes of our own", looks, q.host.applies-changes)
		}
	})
}

// A place that waits for its next repair keeps no other waiting.
func TestRestingPlaceHoldsNobodyUp(t *testing.T) {
	d := newDrift()
	clock := time.Unix(1_000_000, 0)
	d.now = func() time.Time { return clock }
	d.tell(flows.Event{Kind: flows.Began})
	removed := func(table flows.TableID) flows.Event {
		return flows.Event{Kind: flows.Removed, Flow: flows.Installed{Flow: flows.Flow{
			Key: flows.Key{Table: table, Priority: 1}, Cookie: flows.Why{Rule: flows.ToRemote}.Cookie()}}}
	}
	contested := removed(flows.Forward)
	d.contests[contested.Flow.Where()] = &Contest{Last: clock, Gap: longestContest}
	woken := func() bool {
		select {
		case <-d.wakes:
			return true
		default:
			return false
		}
	}
	d.tell(contested)
	if due, next := d.take(); !woken() || due.asked() || next != longestContest {
		t.Fatalf("the contested place: due %+v, next in %s", due, next)
	}
	d.tell(removed(flows.ArpResponder))
	if due, _ := d.take(); !woken() || len(due.places) != 1 {
		t.Errorf("another place: due %+v", due)
	}
	d.tell(contested)
	if woken() {
		t.Error("what is known already wakes again")
	}
}
