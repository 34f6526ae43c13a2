package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/capture"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
)

// watchThere begins a capture by the agent of the host that --node names. It sends the
// packets' beginnings; words are found here.
func watchThere(c *cli.Context, st *store.Store, s *overlay.Snapshot, filter capture.Filter) (watch, error) {
	node, names := c.String("node"), capture.NewNames(s)
	wanted := agent.Tapping{Bytes: c.Int("snap"), Filter: filter}
	var what string
	var line func(p capture.Packet, e capture.Envelope) capture.Line
	if word := c.Args().First(); word != tunnelWord {
		e, err := inspect.FindEndpoint(s, word, c.String("network"))
		if err != nil {
			return watch{}, err
		}
		if e.Node != node {
			return watch{}, overlay.Refuse(overlay.Missing, "endpoint "+e.Label(), "use --node "+e.Node, "it is on %s, and not on %s", e.Node, node)
		}
		network := nameOf(s, e.Network)
		wanted.Endpoint = &agent.EndpointName{Network: e.Network, Endpoint: e.ID}
		what = fmt.Sprintf("%s in %s on %s, at link %s", e.Label(), network, node, e.PortName())
		line = func(p capture.Packet, _ capture.Envelope) capture.Line { return names.At(p, e, network) }
	} else {
		var err error
		if wanted.VNI, what, err = tunnelOf(c, s); err != nil {
			return watch{}, err
		}
		line = names.Through
	}
	f, err := inspectorOf(c.Context, c, st, node).Follow(c.Context, node, agent.Wanted{Packets: &wanted})
	if err != nil {
		return watch{}, err
	}
	if wanted.Endpoint == nil {
		what = fmt.Sprintf("%s on %s, UDP port %d", what, node, f.Port())
	}
	next := func(ctx context.Context) (capture.Packet, wording, error) {
		p, e, err := received(ctx, f, wanted.Endpoint == nil)
		return p, func() capture.Line { return line(p, e) }, err
	}
	return watch{what: what, next: next, source: followed{c.Context, f}}, nil
}

// received is the next packet from another host, which may be anything.
func received(ctx context.Context, f *agent.Follower, wrapped bool) (capture.Packet, capture.Envelope, error) {
	p, err := f.Packet(ctx)
	if err != nil {
		return capture.Packet{}, capture.Envelope{}, err
	}
	if p.Length < len(p.Data) || p.Length > capture.MaxLength || wrapped != (p.Envelope != nil) {
		return capture.Packet{}, capture.Envelope{}, fmt.Errorf("the other host's agent tells of a packet of %d bytes with %d of them, which cannot be", p.Length, len(p.Data))
	}
	e := capture.Envelope{}
	if wrapped {
		e = capture.Envelope(*p.Envelope)
	}
	return capture.Packet{At: p.At, Out: p.Out, Length: p.Length, Data: p.Data}, e, nil
}

// followed is a capture on another host as a source.
type followed struct {
	ctx      context.Context
	follower *agent.Follower
}

// Dropped ends the capture, and returns how many packets were lost in all.
func (f followed) Dropped() (uint64, error) { return f.follower.End(f.ctx), nil }

// Close ends the capture.
func (f followed) Close() error {
	f.follower.End(f.ctx)
	return nil
}
