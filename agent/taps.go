package agent

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"

	"github.com/ovsnet/ovsnet/overlay"
)

// Taps see packets that pass.
type Taps interface {
	// Tap begins to see packets, from now on.
	Tap(p Place) (Tap, error)
	// Port is the UDP port of this host's tunnels.
	Port() uint16
}

// Place is where packets are seen, and what of them.
type Place struct {
	// Link is an endpoint's, empty for the tunnel. There VTEPs are the host's tunnel
	// addresses, and VNI is a network's, 0 for all.
	Link  string
	VTEPs []netip.Addr
	VNI   uint32
	// Filter decides which packets are seen. It may be anything, and must learn no more
	// of a packet than is seen of it.
	Filter []bpf.RawInstruction
	// Bytes is how much of a packet there is, 0 for its headers; Contents says that it
	// may have what is behind them.
	Bytes    int
	Contents bool
}

// Tap sees packets at one place.
type Tap interface {
	// Next returns the next packet, or ctx's error when that ends.
	Next(ctx context.Context) (Packet, error)
	// Dropped returns how many were lost since it was last called. It may be called
	// while Next waits.
	Dropped() (uint64, error)
	Close() error
}

// events are what happens on a host, one after the other.
type events interface {
	// tell tells them until ctx ends, tell fails or there are no more; tell may wait.
	tell(ctx context.Context, tell func(event any) error) error
	// lost is how many were, since it was last called, but those that are told of as
	// events; close ends it.
	lost() uint64
	close()
}

// followable is what can be followed on a host: a Loop.
type followable interface {
	decider
	Watch(ctx context.Context, tell func(FlowChange) error) error
}

// changing are the changes of the flows as events.
type changing struct{ host followable }

func (c changing) tell(ctx context.Context, tell func(any) error) error {
	return c.host.Watch(ctx, func(change FlowChange) error { return tell(change) })
}

func (changing) lost() uint64 { return 0 }
func (changing) close()       {}

// stale is how long a packet may have waited before it is told: who looks wants to see
// what is, and not what was, however much passes.
const stale = 3 * time.Second

// passing are packets as events; late counts those that became stale.
type passing struct {
	tap  Tap
	late atomic.Uint64
}

func (p *passing) tell(ctx context.Context, tell func(any) error) error {
	for {
		packet, err := p.tap.Next(ctx)
		if err != nil {
			return err
		}
		if time.Since(packet.At) > stale {
			p.late.Add(1)
			continue
		}
		if err := tell(packet); err != nil {
			return err
		}
	}
}

func (p *passing) lost() uint64 {
	late := p.late.Swap(0)
	n, err := p.tap.Dropped()
	if err != nil {
		return late // the link is gone, and what it lost was counted before
	}
	return late + n
}

func (p *passing) close() { _ = p.tap.Close() }

// placeOf finds what is to be seen on this host: only its tunnel, and the links of
// endpoints that are here by the records and have a port.
func placeOf(d decider, t Tapping, x Extent) (Place, error) {
	b, _, err := d.deciding()
	if err != nil {
		return Place{}, err
	}
	if err := x.allow(b.Host.Node, t); err != nil {
		return Place{}, err
	}
	p := Place{VNI: t.VNI, Filter: t.Filter, Bytes: t.Bytes, Contents: x == CaptureContents}
	if t.Endpoint == nil {
		self, _ := b.Snapshot.Node(b.Host.Node)
		p.VTEPs = self.VTEPs
		return p, nil
	}
	e, known := b.Snapshot.Endpoint(t.Endpoint.Network, t.Endpoint.Endpoint)
	if !known || e.Node != b.Host.Node {
		return Place{}, overlay.Refuse(overlay.Missing, fmt.Sprintf("endpoint %q on %s", overlay.ShortID(t.Endpoint.Endpoint), b.Host.Node), "see ovsnet endpoint ls", "no such endpoint is there")
	}
	if _, err := plugged(b, e); err != nil {
		return Place{}, err
	}
	p.Link = e.PortName()
	return p, nil
}
