package agent

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// drift is what the flow monitor told that the ledger does not explain, and
// where the loop therefore has to look. It decides nothing about flows.
//
// Places where a flow of ours was touched are urgent, others only change what
// is reported; each kind has its bounded list and its pace, so a storm of one
// neither holds up the other nor takes more than its share of the processor.
type drift struct {
	wakes chan struct{}
	now   func() time.Time

	mu           sync.Mutex
	ledger       ledger
	ours, theirs hints
	contests     map[flows.Where]*Contest
	counts       DriftCounts
	watching     bool
	audience     audience
	// touched are the places that bundles of ours changed since an audit began; nil
	// while there is none.
	touched map[flows.Where]bool
}

// DriftCounts count since the agent's start.
type DriftCounts struct {
	// Own and Foreign are changes that the monitor told, by who made them; Missed
	// is how often it fell behind.
	Own, Foreign, Missed uint64
	// Looks are those that hints asked for; Repaired are flows that were brought
	// back, put right or taken away, Evicted the foreign ones that were removed.
	Looks, Repaired, Evicted uint64
}

// Drift is how others' changes of the flows stand.
type Drift struct {
	DriftCounts
	// Watching says whether the flow monitor is followed now.
	Watching bool
	// Contests are the places that somebody keeps changing, the busiest first.
	Contests []Contest
}

// hints are places to look at.
type hints struct {
	places map[flows.Where]hint
	// all stands for every flow: there are too many places, or they are unknown.
	all  bool
	pace pace
}

// hint is the last foreign change at a place.
type hint struct {
	kind   flows.EventKind
	cookie uint64
}

const (
	// maxHints bounds the places of one kind that are remembered one by one.
	maxHints = 64
	// maxPlaces is how many places are worth a dump of their own each.
	maxPlaces = 8
	// urgentPace and lazyPace are the longest times between looks.
	urgentPace = 50 * time.Millisecond
	lazyPace   = time.Second
)

func newDrift() *drift {
	return &drift{
		wakes: make(chan struct{}, 1), now: time.Now, ledger: newLedger(), contests: map[flows.Where]*Contest{},
		ours:   hints{places: map[flows.Where]hint{}, pace: pace{longest: urgentPace}},
		theirs: hints{places: map[flows.Where]hint{}, pace: pace{longest: lazyPace}},
	}
}

// tell takes one event of the flow monitor.
func (d *drift) tell(e flows.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	news := false
	switch e.Kind {
	case flows.Began:
		if !d.watching {
			d.audience.tell(change{at: d.now(), gap: seenFromIt})
		}
		d.watching = true
		d.ledger = newLedger()
		return
	case flows.Missed:
		d.counts.Missed++
		d.ledger = newLedger()
		news = d.ours.addAll()
		d.audience.tell(change{at: d.now(), event: e})
	default:
		news = d.judge(e)
	}
	if news {
		d.wake()
	}
}

// wake makes the loop look at the hints.
func (d *drift) wake() {
	select {
	case d.wakes <- struct{}{}:
	default:
	}
}

// judge tells whose change it is, and remembers where to look if it is not ours;
// it reports whether that is a new place.
func (d *drift) judge(e flows.Event) bool {
	found, own := d.ledger.explain(e)
	d.audience.tell(change{at: d.now(), event: e, own: own, why: found.why, before: found.before})
	if own {
		d.counts.Own++
		return false
	}
	d.counts.Foreign++
	at := e.Flow.Where()
	kind := &d.theirs
	if _, contested := d.contests[at]; contested || flows.Ours(e.Flow.Cookie) {
		kind = &d.ours
	}
	_, known := kind.places[at]
	if !known && len(kind.places) >= maxHints {
		return kind.addAll()
	}
	kind.places[at] = hint{kind: e.Kind, cookie: e.Flow.Cookie}
	return !known
}

// ended notes that the monitor is not followed any more.
func (d *drift) ended() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watching {
		d.audience.tell(change{at: d.now(), gap: unseenNow})
	}
	d.watching = false
}

// addAll asks for a look at all flows; it reports whether nobody had.
func (h *hints) addAll() bool {
	news := !h.all
	h.all = true
	return news
}

func (h *hints) empty() bool { return len(h.places) == 0 && !h.all }

// look is where a round must look because of hints.
type look struct {
	places map[flows.Where]hint
	// all asks for a dump of all flows.
	all bool
	// ours and theirs say for which kinds of hints it is.
	ours, theirs bool
	// resting are contested places whose next repair is not due yet.
	resting map[flows.Where]bool
}

// asked reports whether there is anything to look at.
func (l look) asked() bool { return l.all || len(l.places) > 0 }

// take returns what is due to be looked at now, and when something else will
// be, 0 for never.
func (d *drift) take() (look, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	due := look{places: map[flows.Where]hint{}}
	var next time.Time
	later := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	due.ours = d.take1(&d.ours, &due, now, later)
	due.theirs = d.take1(&d.theirs, &due, now, later)
	if len(due.places) > maxPlaces {
		due.all = true
	}
	if due.all {
		due.resting = d.rest(now, later)
	}
	if next.IsZero() {
		return due, 0
	}
	return due, max(next.Sub(now), time.Millisecond)
}

// rest leaves the resting places, and only them, for when they are due: a look at
// all flows passes them over, and may have been asked for because of them.
func (d *drift) rest(now time.Time, later func(time.Time)) map[flows.Where]bool {
	d.ours.all, d.theirs.all = false, false
	resting := map[flows.Where]bool{}
	kept := map[flows.Where]hint{}
	for at, c := range d.contests {
		if !c.rests(now) {
			continue
		}
		resting[at] = true
		kept[at] = hint{kind: c.Kind, cookie: c.Cookie}
		if h, told := d.ours.places[at]; told {
			kept[at] = h
		}
		later(c.Last.Add(c.Gap))
	}
	d.ours.places = kept
	clear(d.theirs.places)
	return resting
}

// take1 moves what is due of one kind into the look.
func (d *drift) take1(h *hints, into *look, now time.Time, later func(time.Time)) bool {
	if h.empty() {
		return false
	}
	if now.Before(h.pace.next) {
		later(h.pace.next)
		return false
	}
	into.all = into.all || h.all
	any := h.all
	for at, what := range h.places {
		if c, contested := d.contests[at]; contested && c.rests(now) {
			later(c.Last.Add(c.Gap))
			continue
		}
		into.places[at] = what
		delete(h.places, at)
		any = true
	}
	return any
}

// looked notes a look and how many flows it repaired.
func (d *drift) looked(l look, began time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Looks++
	if l.ours {
		d.ours.pace.looked(began, d.now())
	}
	if l.theirs {
		d.theirs.pace.looked(began, d.now())
	}
}

// repaired notes that these flows were not as they should be, and now are.
func (d *drift) repaired(l look, change flows.Delta) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.Repaired += uint64(len(change.Add) + len(change.Delete))
	d.counts.Evicted += uint64(len(change.Evict))
	if len(change.Add)+len(change.Delete)+len(change.Evict) > maxHints {
		return // one great change is no contest about a place
	}
	for _, k := range change.Delete {
		d.contest(l, k.Where(), flows.Flow{})
	}
	for _, f := range change.Evict {
		d.contest(l, f.Where(), flows.Flow{})
	}
	for _, f := range change.Add {
		d.contest(l, f.Where(), f)
	}
}

func (d *drift) contest(l look, at flows.Where, want flows.Flow) {
	now := d.now()
	c, known := d.contests[at]
	if !known {
		d.forget(now)
		c = &Contest{Where: at}
		d.contests[at] = c
	}
	c.Flow = want
	if h, told := l.places[at]; told {
		c.Kind, c.Cookie = h.kind, h.cookie
	}
	c.repaired(now)
}

// forget makes room for one more contest.
func (d *drift) forget(now time.Time) {
	for at, c := range d.contests {
		if now.Sub(c.Last) > contestOver {
			delete(d.contests, at)
		}
	}
	if len(d.contests) >= maxContests {
		clear(d.contests)
	}
}

// note writes a bundle that is about to be applied after that snapshot into the
// ledger.
func (d *drift) note(change flows.Delta, before *overlay.Snapshot) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.touched != nil {
		for _, at := range placesOf(change) {
			d.touched[at] = true
		}
	}
	return d.ledger.note(change, before, d.now())
}

// auditBegins notes that all flows are being compared with what is applied now.
func (d *drift) auditBegins() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.touched = map[flows.Where]bool{}
}

// auditEnds takes the places of ours and of others where the flows were not as
// they should be, and returns how many of them no bundle of ours explains: there
// the loop has to look.
func (d *drift) auditEnds(ours, theirs []flows.Where) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	suspects := d.suspect(&d.ours, ours) + d.suspect(&d.theirs, theirs)
	d.touched = nil
	if suspects > 0 {
		d.wake()
	}
	return suspects
}

func (d *drift) suspect(kind *hints, places []flows.Where) int {
	suspects := 0
	for _, at := range places {
		if d.touched[at] {
			continue
		}
		if suspects++; len(kind.places) >= maxHints {
			kind.addAll()
			continue
		}
		if _, told := kind.places[at]; !told {
			kind.places[at] = hint{kind: flows.Missed}
		}
	}
	return suspects
}

// auditFailed asks for a look at all flows in a round.
func (d *drift) auditFailed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.touched = nil
	d.ours.addAll()
	d.wake()
}

// withdraw strikes a bundle that was not applied.
func (d *drift) withdraw(bundle uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ledger.withdraw(bundle)
}

// state is how things stand.
func (d *drift) state() Drift {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Drift{DriftCounts: d.counts, Watching: d.watching}
	now := d.now()
	for _, c := range d.contests {
		if c.Times >= freeRepairs && now.Sub(c.Last) < contestOver {
			s.Contests = append(s.Contests, *c)
		}
	}
	slices.SortFunc(s.Contests, func(a, b Contest) int {
		return cmp.Or(b.Times-a.Times, cmp.Compare(a.Where.String(), b.Where.String()))
	})
	return s
}
