package main

import (
	"context"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	limit "golang.org/x/time/rate"

	"github.com/ovsnet/ovsnet/capture"
)

// stream is packets without end, all of one length.
type stream struct {
	data  []byte
	taken int
	ask   func(ctx context.Context, bytes int) error
}

func (s *stream) Hold(int) error                            { return nil }
func (s *stream) Close() error                              { return nil }
func (s *stream) Dropped() (uint64, error)                  { return 0, nil }
func (s *stream) Pace(ask func(context.Context, int) error) { s.ask = ask }

func (s *stream) next(ctx context.Context) (capture.Packet, capture.Envelope, error) {
	s.taken++
	err := s.ask(ctx, len(s.data))
	return capture.Packet{Data: s.data, Length: len(s.data)}, capture.Envelope{}, err
}

// Captures cost what they may: large packets and long filters count for more, and no
// packet is free.
func TestTapsCost(t *testing.T) {
	// Whoever would wait longer than he has time is told so at once.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	none := make([]bpf.RawInstruction, 4000) // takes no packet
	for i := range none {
		none[i] = bpf.RawInstruction{Op: 0x02, K: 3} // a store, the dearest
	}
	none[len(none)-1] = bpf.RawInstruction{Op: 0x06}
	for _, tt := range []struct {
		name   string
		bytes  int
		filter []bpf.RawInstruction
		vni    uint32
		most   int
	}{
		{"small", 60, none[len(none)-1:], 0, 1300},
		{"of another network", 60, nil, 7, 1300},
		{"large", 1 << 16, none[len(none)-1:], 0, 130},
		{"a long filter", 60, none, 0, 130},
	} {
		excerpt, err := capture.NewExcerpt(tt.filter, 0, false)
		if err != nil {
			t.Fatal(err)
		}
		s := &stream{data: make([]byte, tt.bytes)}
		one := &tap{source: s, next: s.next, excerpt: excerpt, pace: limit.NewLimiter(1, tapBurst), vni: tt.vni}
		if err := one.bound(s); err != nil {
			t.Fatal(err)
		}
		if _, err := one.Next(ctx); err == nil || s.taken > tt.most || s.taken < tt.most/2 {
			t.Errorf("%s: took %d packets, the most is %d, error %v", tt.name, s.taken, tt.most, err)
		}
	}
}
