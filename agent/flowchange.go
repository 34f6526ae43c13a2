package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// FlowChange is one change of the bridge's flows, as `ovsnet flows watch -o
// json` prints it.
type FlowChange struct {
	At time.Time `json:"at"`
	// Change is "added", "altered", "removed", or "missed" where changes were left
	// out: by the flow monitor, while that was not followed, or, if Lost is not 0,
	// because they came faster than they were taken.
	Change string `json:"change"`
	// By is "ovsnet" or "other"; empty for "missed".
	By string `json:"by"`
	// Cause is why OVS removed a flow by itself: idle, hard, eviction.
	Cause string `json:"cause,omitempty"`
	// Table and TableName say where; the priority is not told by OVS.
	Table     flows.TableID `json:"table"`
	TableName string        `json:"table_name"`
	Match     string        `json:"match"`
	Actions   string        `json:"actions"`
	// Cookie is in hex.
	Cookie string `json:"cookie"`
	// Rule, Network, Endpoint and Node are those of the flow that ovsnet has there.
	Rule     string `json:"rule"`
	Network  string `json:"network"`
	Endpoint string `json:"endpoint"`
	Node     string `json:"node"`
	// Reason says in a line what the flow is for, or that it is not ovsnet's.
	Reason string `json:"reason"`
	// Lost is how many changes were left out before this.
	Lost uint64 `json:"lost,omitempty"`
}

// Watch tells changes of the flows as they happen, until ctx ends or tell fails.
func (l *Loop) Watch(ctx context.Context, tell func(FlowChange) error) error {
	from := l.drift.listen()
	defer l.drift.leave(from)
	known := purposes{loop: l, at: map[flows.Where]flows.Why{}}
	known.refresh(time.Now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-from.changes:
			if err := tell(known.describe(c)); err != nil {
				return err
			}
		}
		if lost := l.drift.takeLost(from); lost > 0 {
			if err := tell(FlowChange{At: time.Now(), Change: flows.Missed.String(), Lost: lost}); err != nil {
				return err
			}
		}
	}
}

// purposes knows what the flows of a host are for, also those that just went.
type purposes struct {
	loop *Loop
	at   map[flows.Where]flows.Why
	// made is what the purposes were last made of, at that time.
	made      *overlay.Snapshot
	refreshed time.Time
}

// refreshEvery bounds how often all flows are made for the sake of their
// purposes.
const refreshEvery = time.Second

// refresh learns the purposes of the flows that are wanted now.
func (p *purposes) refresh(now time.Time) {
	state := p.loop.State()
	if state.Applied == nil || state.Applied == p.made || now.Sub(p.refreshed) < refreshEvery {
		return
	}
	p.made, p.refreshed = state.Applied, now
	host := flows.Host{Node: p.loop.cfg.Node, Tunnel: state.Observed.Tunnel, Ports: state.Ports}
	for _, f := range flows.Compile(state.Applied, host, p.loop.cfg.Route) {
		p.at[f.Where()] = f.Why
	}
}

// describe tells a change in words.
func (p *purposes) describe(c change) FlowChange {
	f := c.event.Flow
	switch {
	case c.gap != "":
		return FlowChange{At: c.at, Change: flows.Missed.String(), Reason: c.gap}
	case c.event.Kind == flows.Missed:
		return FlowChange{At: c.at, Change: c.event.Kind.String(), Reason: "OVS left changes out; all flows are compared"}
	}
	line := FlowChange{
		At: c.at, Change: c.event.Kind.String(), By: "other", Table: f.Table, TableName: f.Table.String(),
		Match: f.Match.String() + f.Raw, Actions: fmt.Sprint(f.Actions), Cookie: fmt.Sprintf("%#x", f.Cookie),
	}
	if f.Unread != nil {
		line.Actions = "not understood: " + f.String()
	}
	if c.event.Reason != "delete" {
		line.Cause = c.event.Reason
	}
	if c.own {
		line.By = "ovsnet"
	}
	why, known := p.whyOf(c)
	if known && !c.own && c.event.Kind == flows.Added && f.Cookie != why.Cookie() {
		line.Change = flows.Altered.String() // an add over a flow of ours is told as an add
	}
	line.Rule, line.Network, line.Endpoint, line.Node = why.Rule.String(), why.Network, why.Endpoint, why.Node
	line.Reason = "not ovsnet's"
	if known {
		line.Reason = flows.Reason(flows.Flow{Why: why}, p.namesFor(c))
	}
	return line
}

// whyOf tells what the flow that ovsnet has or had there is for, if it has one.
func (p *purposes) whyOf(c change) (why flows.Why, known bool) {
	at, cookie := c.event.Flow.Where(), c.event.Flow.Cookie
	gone := c.event.Kind == flows.Removed
	if gone && !flows.Ours(cookie) {
		return flows.Why{}, false // at another priority than ours, or over it
	}
	if c.own && c.why.Rule != 0 {
		p.at[at] = c.why
	}
	if why, known = p.at[at]; !known && flows.Ours(cookie) {
		p.refresh(c.at)
		if why, known = p.at[at]; !known {
			why, known = flows.Why{Rule: flows.RuleOf(cookie)}, true
		}
	}
	if gone && c.own && cookie == why.Cookie() {
		delete(p.at, at) // what is not wanted any more need not be remembered
	}
	return why, known
}

// namesFor is the snapshot that has the names of what a change is about: those
// of before where it took away what is not wanted any more, else those of now.
func (p *purposes) namesFor(c change) *overlay.Snapshot {
	if c.before != nil && c.event.Kind == flows.Removed {
		return c.before
	}
	if s := p.loop.State().View.Snapshot; s != nil {
		return s
	}
	return overlay.NewSnapshot()
}
