package agent

import (
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// change is one event of the flow monitor, judged.
type change struct {
	at    time.Time
	event flows.Event
	// own says that the ledger explains it, and why then what the flow is for,
	// where the ledger knows that.
	own bool
	why flows.Why
	// before is what was applied before an own change.
	before *overlay.Snapshot
	// gap says, instead of all this, that changes are not seen, or were not.
	gap string
}

// What is said of times in which nobody tells of changes.
const (
	unseenNow  = "ovs-vswitchd does not answer: changes are not seen until it does"
	seenFromIt = "ovs-vswitchd answers: changes are seen from now on, and were not before"
)

// audience are those who watch changes as they happen.
type audience struct{ listeners map[*listener]bool }

// listener gets changes; lost counts those that came faster than it took them.
type listener struct {
	changes chan change
	lost    uint64
}

// maxWaiting is how many changes wait for one listener.
const maxWaiting = 4096

// tell passes a change on, waiting for nobody.
func (a *audience) tell(c change) {
	for l := range a.listeners {
		select {
		case l.changes <- c:
		default:
			l.lost++
		}
	}
}

// listen begins to pass changes on to a new listener. Where none are seen now, that
// is the first that it hears.
func (d *drift) listen() *listener {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &listener{changes: make(chan change, maxWaiting)}
	if d.audience.listeners == nil {
		d.audience.listeners = map[*listener]bool{}
	}
	d.audience.listeners[l] = true
	if !d.watching {
		l.changes <- change{at: d.now(), gap: unseenNow}
	}
	return l
}

// leave ends that.
func (d *drift) leave(l *listener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.audience.listeners, l)
}

// takeLost returns how many changes the listener lost since it was last asked.
func (d *drift) takeLost(l *listener) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	lost := l.lost
	l.lost = 0
	return lost
}
