package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// Config is what a Loop is told once.
type Config struct {
	// Node is this host's name.
	Node string
	// Route says which VTEP to use towards a peer.
	Route flows.Route
	// Grace is how long an endpoint without a link, or a link without an
	// endpoint, is left alone before it is cleaned up.
	Grace time.Duration
	// FullEvery is how often all flows are dumped and compared although nothing
	// hints at a difference; more seldom where that takes more than a hundredth of it.
	FullEvery time.Duration
	// RemoveForeign says that flows on our bridge that are not ours are removed
	// once they were reported.
	RemoveForeign bool
	// RoundTimeout bounds one round, and less strictly those that follow one that
	// it was too short for.
	RoundTimeout time.Duration
	// Tidy, unless nil, is called after a round that compared many flows, which
	// takes much more memory for a moment than is needed afterwards.
	Tidy func()
	// Logger receives what the loop does.
	Logger *slog.Logger
}

// manyFlows is for how many flows a full comparison is followed by Tidy.
const manyFlows = 20000

// Loop makes this host match the newest snapshot. Run owns all of its state but
// board, through which other goroutines wait and look.
type Loop struct {
	cfg   Config
	parts Parts
	board *board

	// offered is the newest view, view the newest that may be acted on, and held
	// why they are not the same.
	offered, view View
	held          error
	host          HostIdentity

	applied  *overlay.Snapshot
	local    map[string]overlay.Endpoint
	ports    map[string]flows.Port
	tunnel   uint32
	peers    []netip.Addr
	compiler *flows.Compiler
	links    *patience
	follows  *patience
	foreign  []flows.Installed
	guarded  guarded
	drift    *drift
	// compared says that all flows were compared since they were last known to be
	// of nobody's making but ours, so what differs now is somebody else's doing.
	compared bool
	// inUse are the networks of which a container holds a link.
	inUse     map[string]bool
	releasing []overlay.Endpoint
	releases  *chore[[]overlay.Endpoint]
	readying  *chore[[]netip.Addr]
	audits    audits
	todo      scope
	// repairs are orders to compare all flows now and to leave no foreign one.
	repairs chan struct{}
	recheck time.Time
	retry   *backoff.ExponentialBackOff
	// late counts the rounds in a row that took longer than they may; each gives
	// the next one twice the time. Else a host with many flows and little time for
	// them would begin the same bundle for ever.
	late int
}

// maxLate bounds late, and with it a round to eight times RoundTimeout.
const maxLate = 3

// scope is how wide a round has to look.
type scope struct {
	// ports asks for a look at bridge, tunnel, links and OVS ports.
	ports bool
	// peers asks who the hosts are that flows lead to.
	peers bool
	// full asks for a dump of all flows besides, audit for one beside the rounds.
	full, audit bool
	// evict asks for foreign flows to be removed, which is for a full round.
	evict bool
	// look is where the flow monitor hints at changes that are not ours.
	look look
}

// NewLoop returns a Loop that does nothing until Run.
func NewLoop(cfg Config, parts Parts) *Loop {
	l := &Loop{
		cfg: cfg, parts: parts, board: newBoard(), drift: newDrift(),
		local: map[string]overlay.Endpoint{}, ports: map[string]flows.Port{},
		compiler: flows.NewCompiler(cfg.Route),
		links:    newPatience(cfg.Grace), follows: newPatience(cfg.Grace),
		guarded: newGuarded(),
		todo:    scope{ports: true, full: true}, repairs: make(chan struct{}, 1),
		retry: persistent(100*time.Millisecond, 2*time.Second),
	}
	l.releases = newChore(releaseTimeout, l.release)
	l.readying = newChore(readyTimeout, l.ready)
	l.audits.chore = newChore(cfg.RoundTimeout<<maxLate, l.audit)
	return l
}

// Run reconciles until ctx ends. Errors never end it: they are published and
// tried again.
func (l *Loop) Run(ctx context.Context) {
	gone := make(chan struct{}, 1)
	var beside sync.WaitGroup
	beside.Go(func() { l.watchSwitch(ctx, gone) })
	beside.Go(func() { l.releases.run(ctx) })
	beside.Go(func() { l.readying.run(ctx) })
	beside.Go(func() { l.audits.run(ctx) })
	defer beside.Wait()
	full := time.NewTicker(l.cfg.FullEvery)
	defer full.Stop()
	again := time.NewTimer(time.Hour)
	again.Stop()
	defer again.Stop()
	for {
		standing, changed := l.parts.Member.Standing()
		l.accept(standing)
		if next := l.reconcile(ctx); next > 0 {
			again.Reset(next)
		}
		select {
		case <-ctx.Done():
			return
		case l.offered = <-l.parts.Views.Views():
		case <-changed:
		case <-l.board.wakes:
			l.todo.ports = true
		case <-l.parts.Switch.Changes():
			l.todo.ports = true
		case <-gone:
			l.todo.full, l.compared = true, false
		case <-l.drift.wakes:
		case <-full.C:
			l.todo.ports, l.todo.audit = true, true
		case <-l.repairs:
			l.todo.full, l.todo.evict = true, true
		case <-again.C:
		}
	}
}

// reconcile does one round and returns in how long the next is due without an
// event; 0 for never.
func (l *Loop) reconcile(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.RoundTimeout<<l.late)
	defer cancel()
	if !l.recheck.IsZero() && !time.Now().Before(l.recheck) {
		l.todo.ports = true
	}
	hinted := l.hinted()
	r := round{started: time.Now(), scope: l.todo}
	err := l.round(ctx, &r)
	r.took = time.Since(r.started)
	l.publish(r, err)
	if r.scope.full {
		l.tidy(l.compiler.Len())
	}
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			l.late = min(l.late+1, maxLate)
		}
		// What the round was about to change is no difference that others made.
		l.todo, l.compared = scope{ports: true, full: true}, false
		return l.retry.NextBackOff()
	}
	l.retry.Reset()
	l.late = 0
	if l.view.Snapshot != nil {
		l.todo = scope{}
	}
	if l.recheck.IsZero() {
		return hinted
	}
	next := max(time.Until(l.recheck), time.Millisecond)
	if hinted > 0 {
		next = min(next, hinted)
	}
	return next
}

// tidy gives back what a comparison of so many flows took.
func (l *Loop) tidy(compared int) {
	if compared >= manyFlows && l.cfg.Tidy != nil {
		l.cfg.Tidy()
	}
}

// round is what one turn of the loop did, for status and log.
type round struct {
	started     time.Time
	took        time.Duration
	scope       scope
	added, gone int
	observed    *Observation
	problems    []Problem
}

// round brings bridge, ports and flows, in this order, to what is wanted.
func (l *Loop) round(ctx context.Context, r *round) error {
	var links map[string]Link
	if r.scope.ports || r.scope.full {
		var err error
		if links, err = l.parts.Links.List(ctx); err != nil {
			return fmt.Errorf("list links: %w", err)
		}
		l.recheck = time.Time{}
		l.reachGuard(ctx, links, r.scope.full || r.scope.audit)
		host, err := l.parts.Switch.EnsureHost(ctx, l.view.Snapshot != nil)
		if err != nil {
			return fmt.Errorf("bridge and tunnel: %w", err)
		}
		l.host = host
	}
	if l.view.Snapshot == nil {
		return nil // what is to do stays to do until etcd has answered
	}
	var plan portPlan
	if r.scope.ports || r.scope.full {
		var err error
		if plan, err = l.reachPorts(ctx, links, r); err != nil {
			return err
		}
	}
	if err := l.reachFlows(ctx, r); err != nil {
		return err
	}
	l.readyPeers(r)
	if r.scope.ports || r.scope.full {
		l.cleanUp(ctx, plan, r)
	}
	return nil
}

// reachPorts makes the ports that are missing and learns every port's number.
func (l *Loop) reachPorts(ctx context.Context, links map[string]Link, r *round) (portPlan, error) {
	seen, err := l.parts.Switch.Observe(ctx)
	if err != nil {
		return portPlan{}, fmt.Errorf("observe OVS: %w", err)
	}
	plan := planPorts(l.local, links, seen.Ports, l.links, time.Now())
	if len(plan.ensure) > 0 {
		refused, err := l.parts.Switch.EnsurePorts(ctx, plan.ensure)
		if err != nil {
			return portPlan{}, fmt.Errorf("make ports: %w", err)
		}
		r.problems = append(r.problems, refused...)
		if seen, err = l.parts.Switch.Observe(ctx); err != nil {
			return portPlan{}, fmt.Errorf("observe OVS: %w", err)
		}
	}
	r.observed = &seen
	l.inUse = plan.inUse
	for _, p := range plan.unrecorded {
		r.problems = append(r.problems, unrecordedProblem(p))
	}
	if !plan.recheck.IsZero() {
		l.due(plan.recheck)
	}
	l.tunnel, l.ports = seen.Tunnel, map[string]flows.Port{}
	for _, p := range seen.Ports {
		if p.OFPort > 0 {
			l.ports[p.Endpoint] = flows.Port{Network: p.Network, OFPort: p.OFPort}
		}
		if p.Error != "" {
			r.problems = append(r.problems, Problem{Object: endpointObject(p.Endpoint), Reason: "OVS cannot open port " + p.Name + ": " + p.Error})
		}
	}
	return plan, nil
}

// endpointObject is how problems name an endpoint.
func endpointObject(id string) string { return "endpoint " + overlay.ShortID(id) }

// answerTimeout is how long ovs-vswitchd may take to show that it is there.
const answerTimeout = 5 * time.Second

// dump reads all flows, after a sign of life: how long a dump takes follows from
// the flows, so only that tells an ovs-vswitchd that hangs from one with many.
func (l *Loop) dump(ctx context.Context) ([]flows.Installed, error) {
	alive, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := l.parts.Switch.Ping(alive); err != nil {
		return nil, err
	}
	installed, err := l.parts.Flows.Dump(ctx)
	if err != nil {
		return nil, fmt.Errorf("dump flows: %w", err)
	}
	return installed, nil
}

// cleanUp removes what no flow uses any more. A failure is that object's
// problem: it is reported, tried again soon, and keeps nothing else.
func (l *Loop) cleanUp(ctx context.Context, plan portPlan, r *round) {
	attempt := func(object string, err error) {
		if err != nil {
			r.problems = append(r.problems, Problem{Object: object, Reason: "cannot be cleaned up: " + err.Error()})
			l.due(time.Now().Add(l.cfg.Grace / 12))
		}
	}
	if len(plan.remove) > 0 {
		attempt("ports "+strings.Join(plan.remove, ", "), l.parts.Switch.RemovePorts(ctx, plan.remove))
	}
	for _, name := range plan.dropLinks {
		l.cfg.Logger.Warn("removing a link that no container took", "link", name)
		attempt("link "+name, l.parts.Links.Delete(ctx, name))
	}
	if same := func(a, b overlay.Endpoint) bool { return a.ID == b.ID }; !slices.EqualFunc(plan.release, l.releasing, same) {
		l.releasing = plan.release
		l.releases.order(plan.release)
	}
	l.unfollow(time.Now())
}

// due asks for another round at that time, unless one is due before.
func (l *Loop) due(at time.Time) {
	if l.recheck.IsZero() || at.Before(l.recheck) {
		l.recheck = at
	}
}

// unfollow ends the watching of networks that have had no endpoint here for
// the grace period.
func (l *Loop) unfollow(now time.Time) {
	inUse := map[string]bool{}
	for _, e := range l.local {
		inUse[e.Network] = true
	}
	l.follows.begin()
	defer l.follows.end()
	for network := range l.view.Snapshot.MemberNetworks() {
		if inUse[network] || l.board.wanted(network, now.Add(-l.cfg.Grace)) {
			continue
		}
		over, due := l.follows.over(network, now)
		if over {
			l.parts.Views.Unfollow(network)
		} else {
			l.due(due)
		}
	}
}
