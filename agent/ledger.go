package agent

import (
	"slices"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// ledger is what this agent applied and the flow monitor has not told of yet.
// The monitor names no author, so an event is ours when the ledger has it.
//
// Nothing depends on the ledger being right. An event that it has is the last
// thing that we did at that place, or one that we have overtaken since, so what
// it tells is what we want; an event that it has not is a hint to look.
type ledger struct {
	expected map[flows.Where][]expectation
	bundle   uint64
	swept    time.Time
}

// expectation is one event that a bundle of ours brings.
type expectation struct {
	kind flows.EventKind
	// cookie and actions are those of an added flow; an evicted one has its cookie.
	cookie  uint64
	actions flows.Actions
	// anyOfOurs stands for a flow whose cookie was not looked at.
	anyOfOurs bool
	why       flows.Why
	// before is what was applied before the bundle, nil for nothing: it has the
	// names of what goes.
	before *overlay.Snapshot
	bundle uint64
	at     time.Time
}

// expectedFor is how long an event may take; a delete of a flow that somebody
// else removed a moment before brings none.
const expectedFor = 10 * time.Second

func newLedger() ledger { return ledger{expected: map[flows.Where][]expectation{}} }

// note writes down a bundle that is about to be applied after that snapshot, and
// returns its number.
func (l *ledger) note(change flows.Delta, before *overlay.Snapshot, now time.Time) uint64 {
	l.sweep(now)
	l.bundle++
	put := func(at flows.Where, e expectation) {
		e.bundle, e.before, e.at = l.bundle, before, now
		l.expected[at] = append(l.expected[at], e)
	}
	for _, k := range change.Delete {
		put(k.Where(), expectation{kind: flows.Removed, anyOfOurs: true})
	}
	for _, f := range change.Evict {
		put(f.Where(), expectation{kind: flows.Removed, cookie: f.Cookie})
	}
	for _, f := range change.Add {
		put(f.Where(), expectation{kind: flows.Added, cookie: f.Cookie, actions: f.Actions, why: f.Why})
	}
	return l.bundle
}

// withdraw strikes a bundle that was not applied.
func (l *ledger) withdraw(bundle uint64) {
	l.drop(func(e expectation) bool { return e.bundle == bundle })
}

// explain reports whether the event is of a bundle of ours, and what of it was
// expected. Events come in the order of the bundles, so what an older one should
// have brought to that place is not waited for any more.
func (l *ledger) explain(e flows.Event) (expectation, bool) {
	at := e.Flow.Where()
	list := l.expected[at]
	i := slices.IndexFunc(list, func(x expectation) bool { return x.fits(e) })
	if i < 0 {
		return expectation{}, false
	}
	found := list[i]
	list = slices.Delete(list, i, i+1)
	l.keep(at, slices.DeleteFunc(list, func(x expectation) bool { return x.bundle < found.bundle }))
	return found, true
}

// fits reports whether the event is what is expected.
func (x expectation) fits(e flows.Event) bool {
	switch {
	case x.kind != e.Kind:
		return false
	case x.anyOfOurs:
		return e.Reason == "delete" && flows.Ours(e.Flow.Cookie)
	case x.kind == flows.Removed:
		return e.Reason == "delete" && e.Flow.Cookie == x.cookie
	}
	return e.Flow.Cookie == x.cookie && e.Flow.Actions == x.actions && e.Flow.Options == "" && e.Flow.Unread == nil
}

// sweep strikes what has been expected for too long.
func (l *ledger) sweep(now time.Time) {
	if now.Sub(l.swept) < expectedFor {
		return
	}
	l.swept = now
	l.drop(func(e expectation) bool { return now.Sub(e.at) > expectedFor })
}

func (l *ledger) drop(which func(expectation) bool) {
	for at, list := range l.expected {
		l.keep(at, slices.DeleteFunc(list, which))
	}
}

func (l *ledger) keep(at flows.Where, list []expectation) {
	if len(list) > 0 {
		l.expected[at] = list
		return
	}
	delete(l.expected, at)
	if len(l.expected) == 0 {
		l.expected = map[flows.Where][]expectation{} // a map keeps the memory of its largest bundle
	}
}
