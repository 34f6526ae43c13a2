package agent

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ovsnet/ovsnet/overlay"
)

// guarded is how the packet filter stands, as far as the loop asked for it.
type guarded struct {
	// links and vteps are what it was asked to fit last, and err is why it does not.
	links map[string]Link
	vteps []netip.Addr
	err   error
	// again is when what failed is due once more.
	again time.Time
	retry *backoff.ExponentialBackOff
	drops Drops
}

func newGuarded() guarded { return guarded{retry: persistent(time.Second, 30*time.Second)} }

// reachGuard makes the packet filter fit the links that are there, whoever they
// are for, and the hosts that are known. Where they are those of the last time it
// looks only if it is to compare, since what others do to the filter wakes nobody.
// It needs neither Open vSwitch nor etcd, and its failure fails no round:
// containers that run go on, and none can join.
func (l *Loop) reachGuard(ctx context.Context, links map[string]Link, compare bool) {
	g, now := &l.guarded, time.Now()
	vteps := vtepsOf(l.view.Snapshot)
	// The rules for a link go with it, so one that was made anew under its name is another.
	alike := func(a, b Link) bool { return a.Index == b.Index }
	same := maps.EqualFunc(links, g.links, alike) && slices.Equal(vteps, g.vteps) && (vteps == nil) == (g.vteps == nil)
	if g.err != nil && same && now.Before(g.again) {
		l.due(g.again)
		return
	}
	if g.err == nil && same && !compare {
		return
	}
	g.links, g.vteps = links, vteps
	dropped, err := l.parts.Guard.Ensure(ctx, slices.Sorted(maps.Keys(links)), vteps)
	if err != nil {
		g.err, g.again = fmt.Errorf("packet filter: %w", err), now.Add(g.retry.NextBackOff())
		l.due(g.again)
		l.cfg.Logger.Warn("the packet filter is not as it should be; it will be tried again", "error", err, "at", g.again)
		return
	}
	g.err = nil
	g.retry.Reset()
	g.drops.look(dropped, now, 2*l.cfg.FullEvery)
}

// vtepsOf are the tunnel addresses of all hosts, sorted; nil without a snapshot.
func vtepsOf(s *overlay.Snapshot) []netip.Addr {
	if s == nil {
		return nil
	}
	vteps := []netip.Addr{}
	for node := range s.Nodes() {
		vteps = append(vteps, node.VTEPs...)
	}
	slices.SortFunc(vteps, netip.Addr.Compare)
	return vteps
}

// Drops are the tunnel packets for this host that its packet filter drops now.
type Drops struct {
	// Packets is how many it dropped between Since and Last; 0 when it has
	// dropped none for a while.
	Packets     uint64
	Since, Last time.Time
	// counted is what the filter's counter showed at the time of the last look.
	counted uint64
	looked  time.Time
}

// look takes the counter over. What was counted before the first look is old,
// a counter that fell was renewed, and what ended is forgotten after the while.
func (d *Drops) look(counter uint64, now time.Time, while time.Duration) {
	rose := counter - d.counted
	if counter < d.counted {
		rose = counter
	}
	if d.looked.IsZero() {
		rose, d.looked = 0, now
	}
	if now.Sub(d.Last) > while {
		d.Packets = 0
	}
	if rose > 0 {
		if d.Packets == 0 {
			d.Since = d.looked
		}
		d.Packets, d.Last = d.Packets+rose, now
	}
	d.counted, d.looked = counter, now
}

// problem is what there is to say of them.
func (d Drops) problem() []Problem {
	if d.Packets == 0 {
		return nil
	}
	return []Problem{{Object: "packet filter", Reason: fmt.Sprintf(
		"it dropped %d tunnel packets for this host in %s, since they came by a link that does not lead to their source: is there a route to each peer by the link its packets come by, or does a container forge them? see nft list chain inet ovsnet arriving",
		d.Packets, d.Last.Sub(d.Since).Round(time.Second))}}
}
