package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ovsnet/ovsnet/flows"
)

// reachFlows computes the desired flows and applies what differs.
func (l *Loop) reachFlows(ctx context.Context, r *round) error {
	host := flows.Host{Node: l.cfg.Node, Tunnel: l.tunnel, Ports: l.ports}
	var update flows.Delta
	if l.compared {
		update = l.compiler.Update(l.view.Snapshot, host)
	} else {
		l.compiler.Follow(l.view.Snapshot, host) // all flows are compared, whatever changed
		r.scope.full = true
	}
	began := l.drift.now()
	change, err := l.compare(ctx, r.scope, update)
	if err != nil {
		return err
	}
	if err := l.install(ctx, change); err != nil {
		return fmt.Errorf("install flows: %w", err)
	}
	r.added, r.gone = len(change.Add), len(change.Delete)+len(change.Evict)
	if l.compared {
		l.healed(r.scope.look, beyond(change, update))
	}
	l.compared = l.compared || r.scope.full
	l.applied = l.view.Snapshot
	if r.scope.evict || l.cfg.RemoveForeign && (r.scope.full || r.scope.look.asked()) {
		l.evict(ctx, r.scope.look)
	}
	if r.scope.look.asked() {
		l.drift.looked(r.scope.look, began)
	}
	if r.scope.audit && !r.scope.full {
		l.orderAudit()
	}
	return nil
}

// compare returns what has to change: the update alone, or what a dump of all
// flows or of some places shows.
func (l *Loop) compare(ctx context.Context, s scope, update flows.Delta) (flows.Delta, error) {
	switch {
	case s.full || s.look.all:
		installed, err := l.dump(ctx)
		if err != nil {
			return flows.Delta{}, err
		}
		change, foreign := flows.Diff(l.compiler.Flows(), installed)
		l.report(foreign)
		if s.full {
			return change, nil
		}
		return joined(without(beyond(change, update), s.look.resting), update), nil
	case len(s.look.places) > 0:
		return l.compareAt(ctx, s.look.places, update)
	}
	return update, nil
}

// compareAt looks at some places only; elsewhere the update holds.
func (l *Loop) compareAt(ctx context.Context, places map[flows.Where]hint, update flows.Delta) (flows.Delta, error) {
	var installed []flows.Installed
	for at := range places {
		list, err := l.parts.Flows.DumpAt(ctx, at)
		if err != nil {
			return flows.Delta{}, fmt.Errorf("dump flows at %s: %w", at, err)
		}
		installed = append(installed, list...)
	}
	looked := make(map[flows.Where]bool, len(places))
	for at := range places {
		looked[at] = true
	}
	change, foreign := flows.Diff(slices.Values(l.compiler.At(looked)), installed)
	l.report(append(foreign, slices.DeleteFunc(slices.Clone(l.foreign), func(f flows.Installed) bool { return looked[f.Where()] })...))
	return joined(change, without(update, looked)), nil
}

// joined is both changes, which have no key in common.
func joined(a, b flows.Delta) flows.Delta {
	return flows.Delta{Add: append(a.Add, b.Add...), Delete: append(a.Delete, b.Delete...), Evict: append(a.Evict, b.Evict...)}
}

// install applies a change, which is in the ledger before its events come.
func (l *Loop) install(ctx context.Context, change flows.Delta) error {
	if change.Empty() {
		return nil
	}
	bundle := l.drift.note(change, l.applied)
	if err := l.parts.Flows.Apply(ctx, change); err != nil {
		l.drift.withdraw(bundle)
		return err
	}
	return nil
}

// healed notes flows that somebody else had changed.
func (l *Loop) healed(from look, change flows.Delta) {
	if change.Empty() {
		return
	}
	l.drift.repaired(from, change)
	log := l.cfg.Logger.With("flows", len(change.Add)+len(change.Delete)+len(change.Evict))
	if len(change.Add) > 0 {
		f := change.Add[0]
		log = log.With("first", f.Key.String(), "for", flows.Reason(f, l.view.Snapshot))
	}
	for at, h := range from.places {
		log = log.With("change", h.kind.String(), "at", at.String(), "cookie", fmt.Sprintf("%#x", h.cookie))
		break
	}
	log.Warn("flows that somebody else changed are as they should be again")
}

// report keeps the foreign flows and tells of those that are new.
func (l *Loop) report(foreign []flows.Installed) {
	known := make(map[string]bool, len(l.foreign))
	for _, f := range l.foreign {
		known[f.String()] = true
	}
	var news []flows.Installed
	for _, f := range foreign {
		if !known[f.String()] {
			news = append(news, f)
		}
	}
	if l.foreign = foreign; len(news) > 0 {
		l.cfg.Logger.Warn("flows on the bridge that are not ovsnet's", "new", len(news), "all", len(foreign), "first", news[0].String())
	}
}

// evict removes the foreign flows that were reported, in a bundle of their own:
// what OVS may say to it is no reason not to install ours.
func (l *Loop) evict(ctx context.Context, from look) {
	if len(l.foreign) == 0 {
		return
	}
	change := flows.Delta{Evict: l.foreign}
	if err := l.install(ctx, change); err != nil {
		l.cfg.Logger.Warn("foreign flows cannot be removed", "flows", len(l.foreign), "error", err)
		return
	}
	l.drift.repaired(from, change)
	l.cfg.Logger.Warn("foreign flows removed", "flows", len(l.foreign), "first", l.foreign[0].String())
	l.foreign = nil
}

// without leaves out what is at those places.
func without(d flows.Delta, places map[flows.Where]bool) flows.Delta {
	return flows.Delta{
		Add:    slices.DeleteFunc(slices.Clone(d.Add), func(f flows.Flow) bool { return places[f.Where()] }),
		Delete: slices.DeleteFunc(slices.Clone(d.Delete), func(k flows.Key) bool { return places[k.Where()] }),
		Evict:  slices.DeleteFunc(slices.Clone(d.Evict), func(f flows.Installed) bool { return places[f.Where()] }),
	}
}

// beyond returns what of a change the update did not ask for.
func beyond(change, update flows.Delta) flows.Delta {
	asked := make(map[flows.Key]bool, len(update.Add)+len(update.Delete))
	for _, f := range update.Add {
		asked[f.Key] = true
	}
	for _, k := range update.Delete {
		asked[k] = true
	}
	return flows.Delta{
		Add:    slices.DeleteFunc(slices.Clone(change.Add), func(f flows.Flow) bool { return asked[f.Key] }),
		Delete: slices.DeleteFunc(slices.Clone(change.Delete), func(k flows.Key) bool { return asked[k] }),
		Evict:  change.Evict,
	}
}

// hinted takes what hints ask of the next round into its scope, and returns in
// how long others are due.
func (l *Loop) hinted() time.Duration {
	due, next := l.drift.take()
	l.todo.look = due
	return next
}
