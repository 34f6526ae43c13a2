package main

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/ovsdb"
	"github.com/ovsnet/ovsnet/store"
)

const (
	// settling is how long counters may take to move after a packet, and countPause
	// how long is waited between two looks at them.
	settling   = 2 * time.Second
	countPause = 200 * time.Millisecond
)

// live traces, and sends the packet that was traced.
type live struct {
	walker journey.Walker
	hosts  *agent.Hosts
}

// traceLive prints a trace and what became of a packet that was really sent. What
// cannot be sent is told after the trace.
func traceLive(ctx context.Context, c *cli.Context, s *store.Store, snapshot *overlay.Snapshot, ends [2]overlay.Endpoint, wish journey.Wish) error {
	from, to := ends[0], ends[1]
	db := ovsdb.Dial(ovsdb.Config{Endpoint: c.String("ovsdb")})
	defer db.Close()
	hosts := tracedHosts(ctx, c, s, snapshot, db)
	l := live{journey.Walker{Snapshot: snapshot, RouteOf: routeOf, Hosts: hosts}, hosts}
	var token [journey.TokenSize]byte
	if _, err := rand.Read(token[:]); err != nil {
		return err
	}
	probe, err := journey.NewProbe(from, to, wish, token)
	if err != nil {
		return err
	}
	t, err := l.walker.Trace(ctx, from, to, wish)
	if err != nil {
		return err
	}
	sent, unsent := l.send(ctx, t, from, to, probe)
	t.Live = sent
	if err := printTrace(c, t); err != nil {
		return err
	}
	if unsent != nil {
		return unsent
	}
	if !sent.Delivered {
		return errSaid
	}
	return judged(t.Verdict)
}

// send sends the probe, and holds the counters of the flows on its way against those
// of the trace before it.
func (l live) send(ctx context.Context, t journey.Trace, from, to overlay.Endpoint, probe journey.Probe) (*journey.Live, error) {
	sent, err := l.hosts.Live(ctx, from.Node, to.Node, probe)
	if err != nil {
		return nil, err
	}
	before := t.Walks[len(t.Walks)-1]
	packets, err := journey.Packets(from, to, probe.Wish())
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(settling); ; {
		after, err := l.walker.Walk(ctx, from, to, packets[len(packets)-1])
		if err != nil {
			return nil, err
		}
		sent.Moved = journey.Counters(before, after)
		if journey.Settled(sent.Moved) || time.Now().After(deadline) {
			break
		}
		select {
		case <-time.After(countPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	sent.Judge(t)
	return &sent, nil
}
