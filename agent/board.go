package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// board is where the loop publishes what it reached and where others wait for
// it. It holds no part of the loop's own state.
type board struct {
	wakes chan struct{}

	mu      sync.Mutex
	state   State
	changed chan struct{}
	follow  map[string]time.Time
	// told are the problems of what works beside the rounds, by who tells them.
	told map[string][]Problem
}

// State is what the loop last published.
type State struct {
	// View is the newest view, but with the newest Snapshot that the loop may act
	// on; Held is why that is not the newest, or nil. Applied is the snapshot whose
	// flows are installed.
	View    View
	Held    error
	Applied *overlay.Snapshot
	// Ports are the OpenFlow ports of local endpoints in the installed flows.
	Ports map[string]flows.Port
	// Foreign are the flows on our bridge that are not ours, as last seen, and
	// Drift is how others' changes stand now.
	Foreign []flows.Installed
	Drift   Drift
	// Observed is what OVS showed last.
	Observed Observation
	// HostID is the identity remembered with the bridge; empty until it is made.
	HostID string
	// Links are the links as the packet filter was last made to fit them.
	Links map[string]Link
	// InUse are the networks of which a container on this host holds a link.
	InUse map[string]bool
	// Flows is the number of desired flows, and Local that of local endpoints.
	Flows, Local int
	// Problems are the objects that do not work.
	Problems []Problem
	// Unguarded is why the packet filter is not as it should be, or nil; Drops are
	// what it drops now.
	Unguarded error
	Drops     Drops
	// At is when the last round ended, Took how long it was, Added and Removed
	// how many flows it changed.
	At             time.Time
	Took           time.Duration
	Added, Removed int
	// Err is why the last round failed, or nil; Failures counts them in a row.
	Err      error
	Failures int
}

func newBoard() *board {
	return &board{wakes: make(chan struct{}, 1), changed: make(chan struct{}), follow: map[string]time.Time{}, told: map[string][]Problem{}}
}

// look returns the state and a channel that closes at the next one.
func (b *board) look() (State, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	state := b.state
	state.Problems = slices.Clone(state.Problems)
	for _, who := range slices.Sorted(maps.Keys(b.told)) {
		state.Problems = append(state.Problems, b.told[who]...)
	}
	return state, b.changed
}

// tell replaces the problems that who told before.
func (b *board) tell(who string, problems []Problem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told[who] = problems
}

// TellForgotten shows the problems of a Forgotten, in place of its last ones.
func (l *Loop) TellForgotten(problems []Problem) { l.board.tell("forgotten", problems) }

func (b *board) wake() {
	select {
	case b.wakes <- struct{}{}:
	default:
	}
}

// want notes that somebody is about to use a network.
func (b *board) want(network string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.follow[network] = time.Now()
}

// wanted reports whether somebody asked for the network after that time.
func (b *board) wanted(network string, after time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.follow[network]
	if ok && !at.After(after) {
		delete(b.follow, network)
	}
	return ok && at.After(after)
}

// publish makes what a round reached visible and wakes who waits for it.
func (l *Loop) publish(r round, err error) {
	b := l.board
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.state
	s.View, s.Held, s.Applied, s.Ports, s.Foreign = l.offered, l.held, l.applied, l.ports, l.foreign
	s.View.Snapshot = l.view.Snapshot
	s.HostID, s.InUse = l.host.ID, l.inUse
	s.Links, s.Unguarded, s.Drops = l.guarded.links, l.guarded.err, l.guarded.drops
	s.Flows, s.Local = l.compiler.Len(), len(l.local)
	s.At, s.Took, s.Added, s.Removed, s.Err = time.Now(), r.took, r.added, r.gone, err
	if r.observed != nil {
		s.Observed, s.Problems = *r.observed, r.problems
	}
	if err == nil {
		s.Failures = 0
	} else {
		s.Failures++
	}
	close(b.changed)
	b.changed = make(chan struct{})
	if err != nil {
		l.cfg.Logger.Warn("reconcile failed; it will be tried again", "error", err, "failures", s.Failures)
	} else if r.added+r.gone > 0 {
		l.cfg.Logger.Info("flows installed", "added", r.added, "removed", r.gone, "full", r.scope.full, "took", r.took)
	}
}

// State returns what the loop last published.
func (l *Loop) State() State {
	state, _ := l.board.look()
	state.Drift = l.drift.state()
	return state
}

// Look returns what the loop last published, and a channel that closes at the
// next time.
func (l *Loop) Look() (State, <-chan struct{}) { return l.board.look() }

// Wake makes the loop look at links and ports now.
func (l *Loop) Wake() { l.board.wake() }

// Follow loads a network's endpoints, so that flows towards them are ready
// before a container joins. It returns when they are in the stream, or ctx's
// error.
func (l *Loop) Follow(ctx context.Context, network string) error {
	l.board.want(network)
	if err := l.parts.Views.Follow(ctx, network); err != nil {
		return fmt.Errorf("load the endpoints of network %s: %w", overlay.ShortID(network), err)
	}
	return nil
}

// HostID waits until the bridge exists and returns the host ID remembered with it.
func (l *Loop) HostID(ctx context.Context) (string, error) {
	for {
		state, changed := l.board.look()
		if state.HostID != "" {
			return state.HostID, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", errors.Join(fmt.Errorf("wait for the bridge: %w", ctx.Err()), state.Err)
		}
	}
}

// WaitEndpoint returns once this host's flows for at least that revision of the
// endpoint are installed with its port up, and the link of that index is guarded,
// and wakes the loop unless all is so. It returns the endpoint's own error, the
// tunnel's, or, when ctx ends, what is missing.
func (l *Loop) WaitEndpoint(ctx context.Context, endpoint overlay.Endpoint, link int) error {
	// The loop may have stopped following the network just before the endpoint
	// was written; this is cheap where it has not.
	if err := l.Follow(ctx, endpoint.Network); err != nil {
		return err
	}
	for woken := false; ; woken = true {
		state, changed := l.board.look()
		missing, err := state.missing(endpoint, link)
		if err != nil || missing == "" {
			return err
		}
		if !woken {
			l.board.wake()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			refusal := overlay.Refuse(overlay.Unavailable, "endpoint "+overlay.ShortID(endpoint.ID),
				"see ovsnet status on this host", "not ready in time: %s", missing)
			refusal.Err = state.Err
			return refusal
		}
	}
}

// missing says what the endpoint still lacks, empty when nothing; the error is
// what waiting cannot mend.
func (s State) missing(endpoint overlay.Endpoint, link int) (string, error) {
	for _, p := range s.Problems {
		if p.Object == endpointObject(endpoint.ID) {
			return "", overlay.Refuse(overlay.Unavailable, p.Object, "see ovsnet status on this host and the log of ovs-vswitchd", "%s", p.Reason)
		}
	}
	if s.Observed.TunnelError != "" {
		return "", overlay.Refuse(overlay.Unavailable, "tunnel port", "see ovsnet status on this host", "%s", s.Observed.TunnelError)
	}
	if s.Err != nil && s.HostID != "" && !s.Observed.Answered {
		return "ovs-vswitchd does not answer", nil
	}
	if s.Err != nil {
		return "the last round of the reconcile loop failed", nil
	}
	if s.Held != nil {
		return s.Held.Error(), nil
	}
	if s.Unguarded != nil {
		return s.Unguarded.Error(), nil
	}
	if s.Links[endpoint.PortName()].Index != link {
		return "its link has not been looked at", nil
	}
	if s.View.Snapshot == nil {
		return "etcd has not answered yet", nil
	}
	if s.Applied == nil {
		return "no flows are installed yet", nil
	}
	if known, ok := s.Applied.Endpoint(endpoint.Network, endpoint.ID); !ok || known.Revision < endpoint.Revision {
		return "its record has not come back from etcd", nil
	}
	if _, known := s.Applied.Network(endpoint.Network); !known {
		return "its network's record has not come back from etcd", nil
	}
	if s.Ports[endpoint.ID].OFPort == 0 && !s.Observed.Answered {
		return "ovs-vswitchd does not answer", nil
	}
	if s.Ports[endpoint.ID].OFPort == 0 {
		return "OVS has not assigned its port a number", nil
	}
	if s.Observed.Tunnel == 0 {
		return "OVS has not assigned the tunnel port a number", nil
	}
	return "", nil
}
