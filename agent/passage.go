package agent

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/flows/trace"
	"github.com/ovsnet/ovsnet/overlay"
)

// Tracer is the bridge as far as a trace looks at it.
type Tracer interface {
	// Trace and Ports return what `ovs-appctl ofproto/trace` and `dpif/show` print.
	Trace(ctx context.Context, packet string) (string, error)
	Ports(ctx context.Context) (string, error)
	// Find returns the flows of a table that have the cookie.
	Find(ctx context.Context, t flows.TableID, cookie uint64) ([]flows.Installed, error)
}

// Passage says what becomes of a packet on this host. A round that is changing
// flows meanwhile is no disagreement: then it is traced again once that has ended.
func (l *Loop) Passage(ctx context.Context, bridge string, t Tracer, q journey.Question) (journey.Passage, error) {
	for n := 1; ; n++ {
		b, changed, err := l.deciding()
		if err != nil {
			return journey.Passage{}, err
		}
		p, err := Passage(ctx, bridge, t, b, journey.ByAgent, q)
		if err != nil || len(p.Disagreements) == 0 || n == looks {
			return p, err
		}
		select {
		case <-changed:
		case <-time.After(lookPause):
			n = looks - 1
		case <-ctx.Done():
			return journey.Passage{}, ctx.Err()
		}
	}
}

// deciding is what decides about packets now; the channel closes when that changes.
func (l *Loop) deciding() (journey.Bridge, <-chan struct{}, error) {
	s, changed := l.board.look()
	if s.Applied == nil {
		refusal := overlay.Refuse(overlay.Unavailable, "flows of "+l.cfg.Node, "see ovsnet status", "the agent does not know yet which there should be")
		refusal.Err = s.Held
		return journey.Bridge{}, nil, refusal
	}
	return journey.Bridge{
		Snapshot: s.Applied, Route: l.cfg.Route, TunnelError: s.Observed.TunnelError,
		Host: flows.Host{Node: l.cfg.Node, Tunnel: s.Observed.Tunnel, Ports: s.Ports},
	}, changed, nil
}

// Passage says what becomes of a packet on a host whose bridge of that name the
// Tracer asks. An Open vSwitch that does not answer is part of what it says.
func Passage(ctx context.Context, bridge string, t Tracer, b journey.Bridge, by journey.Source, q journey.Question) (journey.Passage, error) {
	look, err := journey.NewLook(b, q)
	if err != nil {
		return journey.Passage{}, err
	}
	p, err := compared(ctx, bridge, t, by, look)
	if err != nil || len(p.Disagreements) == 0 {
		return p, err
	}
	return compared(ctx, bridge, t, by, look.Whole())
}

// compared holds a look against what Open vSwitch says.
func compared(ctx context.Context, bridge string, t Tracer, by journey.Source, look journey.Look) (journey.Passage, error) {
	seen, err := see(ctx, bridge, t, look)
	switch {
	case ctx.Err() != nil:
		return journey.Passage{}, ctx.Err()
	case err != nil:
		return look.Unseen(by, err.Error()), nil
	}
	return look.Passage(by, seen), nil
}

// see asks Open vSwitch about a packet.
func see(ctx context.Context, bridge string, t Tracer, look journey.Look) (journey.Seen, error) {
	var seen journey.Seen
	text, err := t.Ports(ctx)
	if err != nil {
		return seen, err
	}
	if _, seen.Datapath, err = trace.ParsePorts(text, bridge); err != nil {
		return seen, err
	}
	if text, err = t.Trace(ctx, look.Packet().String()); err != nil {
		return seen, err
	}
	if seen.OFProto, err = trace.ParseOFProto(text); err != nil {
		return seen, err
	}
	wanted := look.Wanted(seen.OFProto)
	found := make([][]flows.Installed, len(wanted))
	group, ctx := errgroup.WithContext(ctx)
	for i, w := range wanted {
		group.Go(func() (err error) {
			found[i], err = t.Find(ctx, w.Table, w.Cookie)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return seen, err
	}
	for _, list := range found {
		seen.Flows = append(seen.Flows, list...)
	}
	return seen, nil
}

// Passage asks what becomes of a packet on the agent's host.
func (i Inspector) Passage(ctx context.Context, q journey.Question) (journey.Passage, error) {
	return ask[journey.Passage](ctx, i, AboutPassage, q)
}

// Bridge is what a host's flows follow from, by what its OVS has and the cluster's
// records say.
func (o Observation) Bridge(s *overlay.Snapshot, node string, route flows.Route) journey.Bridge {
	b := journey.Bridge{Snapshot: s, Route: route, TunnelError: o.TunnelError, Host: flows.Host{Node: node, Tunnel: o.Tunnel, Ports: map[string]flows.Port{}}}
	for _, p := range o.Ports {
		if p.OFPort > 0 {
			b.Host.Ports[p.Endpoint] = flows.Port{Network: p.Network, OFPort: p.OFPort}
		}
	}
	return b
}
