package main

import (
	"context"
	"errors"
	"fmt"

	limit "golang.org/x/time/rate"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/capture"
)

const (
	// tapRate and tapBurst are how much work captures for other hosts may be together,
	// as the capture room counts it, for each second and at once: some 20,000 packets
	// that are not large, or a fifth of a processor.
	tapRate  = 16_000_000
	tapBurst = 1_000_000
	// tapPortion is after how much of it one waits until it may do more.
	tapPortion = 100_000
	// tapBuffer is how much waits in the kernel for one of them, in bytes.
	tapBuffer = 1 << 20
)

// taps make the capture room an agent.Taps.
type taps struct {
	port uint16
	pace *limit.Limiter
}

func newTaps(port uint16) taps { return taps{port: port, pace: limit.NewLimiter(tapRate, tapBurst)} }

// Port makes taps an agent.Taps.
func (t taps) Port() uint16 { return t.port }

// Tap makes taps an agent.Taps. The kernel gets no filter that came from elsewhere.
func (t taps) Tap(p agent.Place) (agent.Tap, error) {
	excerpt, err := capture.NewExcerpt(p.Filter, p.Bytes, p.Contents)
	if err != nil {
		return nil, err
	}
	s := &tap{excerpt: excerpt, pace: t.pace, vni: p.VNI}
	if p.Link == "" {
		tunnel, err := capture.ListenTunnel(t.port, p.VTEPs, nil)
		if err != nil {
			return nil, err
		}
		s.source, s.next = tunnel, tunnel.Next
		return s, s.bound(tunnel)
	}
	link, err := capture.ListenLink(p.Link, nil)
	if err != nil {
		return nil, err
	}
	s.source, s.next = link, func(ctx context.Context) (capture.Packet, capture.Envelope, error) {
		packet, err := link.Next(ctx)
		return packet, capture.Envelope{}, err
	}
	return s, s.bound(link)
}

// bound bounds what waits for a capture, and how much it takes.
func (t *tap) bound(s interface {
	Hold(bytes int) error
	Pace(ask func(ctx context.Context, bytes int) error)
	Close() error
}) error {
	s.Pace(func(ctx context.Context, bytes int) error { return t.spend(ctx, capture.CostOf(bytes)) })
	if err := s.Hold(tapBuffer); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// tap is a capture for another host.
type tap struct {
	source
	next    func(ctx context.Context) (capture.Packet, capture.Envelope, error)
	excerpt capture.Excerpt
	pace    *limit.Limiter
	vni     uint32
	// done is the work since it waited last.
	done int
}

// Next makes tap an agent.Tap.
func (t *tap) Next(ctx context.Context) (agent.Packet, error) {
	for {
		p, e, err := t.next(ctx)
		if err != nil {
			return agent.Packet{}, err
		}
		if t.vni != 0 && e.VNI != t.vni {
			continue
		}
		if err := t.spend(ctx, t.excerpt.Cost()); err != nil {
			return agent.Packet{}, err
		}
		p, kept := t.excerpt.Of(p)
		if !kept {
			continue
		}
		packet := agent.Packet{At: p.At, Out: p.Out, Length: p.Length, Data: p.Data}
		if e.Src.IsValid() {
			packet.Envelope = &agent.Envelope{Src: e.Src, Dst: e.Dst, VNI: e.VNI}
		}
		return packet, nil
	}
}

// spend waits until so much work may be done.
func (t *tap) spend(ctx context.Context, work int) error {
	if t.done += work; t.done < tapPortion {
		return nil
	}
	if err := t.pace.WaitN(ctx, t.done); err != nil {
		return fmt.Errorf("wait to look at packets: %w", err)
	}
	t.done = 0
	return nil
}
