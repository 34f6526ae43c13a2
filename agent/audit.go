package agent

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/ovsnet/ovsnet/flows"
)

// auditShare is how many times as long as an audit took passes until the next:
// it bounds audits to a hundredth of one processor, however many flows there are.
const auditShare = 100

// audit is one comparison of all flows although nothing hints at a difference.
type audit struct {
	// desired are the flows of when it was ordered, and foreign those of others
	// that were known then.
	desired iter.Seq[flows.Flow]
	foreign []flows.Installed
}

// audits compare beside the rounds, so that no change waits for them. What they
// find is a hint: a round looks there again before anything is changed.
type audits struct {
	*chore[audit]

	mu sync.Mutex
	// running says that one was ordered and has not ended; due is when the next may be.
	running bool
	due     time.Time
}

// begin reports whether an audit may be ordered now, which must then be done.
func (a *audits) begin(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running || now.Before(a.due) {
		return false
	}
	a.running = true
	return true
}

func (a *audits) ended(began, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running, a.due = false, now.Add(auditShare*now.Sub(began))
}

// orderAudit asks for an audit of what the round has just applied.
func (l *Loop) orderAudit() {
	if !l.audits.begin(time.Now()) {
		return
	}
	l.drift.auditBegins()
	foreign := l.foreign
	if l.cfg.RemoveForeign {
		foreign = nil // those that stayed are to be looked at again
	}
	l.audits.order(audit{desired: l.compiler.Claimed(), foreign: foreign})
}

// audit carries one out. Where it cannot, a round compares everything, and says
// why that fails.
func (l *Loop) audit(ctx context.Context, a audit) error {
	began := time.Now()
	defer func() { l.audits.ended(began, time.Now()) }()
	installed, err := l.dump(ctx)
	if err != nil {
		l.cfg.Logger.Warn("flows cannot be audited", "error", err)
		l.drift.auditFailed()
		return nil
	}
	change, foreign := flows.Diff(a.desired, installed)
	suspects := l.drift.auditEnds(placesOf(change), differing(a.foreign, foreign))
	l.cfg.Logger.Debug("all flows compared", "flows", len(installed), "suspects", suspects, "took", time.Since(began))
	l.tidy(len(installed))
	return nil
}

// placesOf are the places where a change is due.
func placesOf(d flows.Delta) []flows.Where {
	var places []flows.Where
	for _, f := range d.Add {
		places = append(places, f.Where())
	}
	for _, k := range d.Delete {
		places = append(places, k.Where())
	}
	for _, f := range d.Evict {
		places = append(places, f.Where())
	}
	return places
}

// differing are the places of foreign flows that only one of both lists has.
func differing(known, found []flows.Installed) []flows.Where {
	at := map[string]flows.Where{}
	for _, f := range known {
		at[f.String()] = f.Where()
	}
	var places []flows.Where
	for _, f := range found {
		if _, both := at[f.String()]; !both {
			places = append(places, f.Where())
		}
		delete(at, f.String())
	}
	for _, where := range at {
		places = append(places, where)
	}
	return places
}
