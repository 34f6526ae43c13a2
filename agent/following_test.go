package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/bpf"

	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
)

// stage is a host on which happens what a test has happen.
type stage struct {
	decided
	changes chan FlowChange
	packets chan Packet
	// place is where packets are seen, open how many taps there are.
	place   Place
	open    atomic.Int32
	dropped atomic.Uint64
	err     error
}

func newStage() *stage {
	b := someBridge()
	edit := b.Snapshot.Edit()
	edit.SetEndpoint(overlay.Endpoint{ID: "web-2", Network: "web", Node: "h2"})
	b.Snapshot = edit.Snapshot()
	return &stage{decided: decided{b}, changes: make(chan FlowChange), packets: make(chan Packet)}
}

func (s *stage) deciding() (journey.Bridge, <-chan struct{}, error) { return s.Bridge, nil, s.err }

func (s *stage) Watch(ctx context.Context, tell func(FlowChange) error) error {
	for {
		select {
		case c := <-s.changes:
			if err := tell(c); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *stage) Tap(p Place) (Tap, error) {
	s.place = p
	s.open.Add(1)
	return s, nil
}

func (s *stage) Port() uint16 { return 4789 }

func (s *stage) Next(ctx context.Context) (Packet, error) {
	select {
	case p, more := <-s.packets:
		if !more {
			return p, overlay.Refuse(overlay.Missing, "link x", "start the container again", "it went down")
		}
		return p, nil
	case <-ctx.Done():
		return Packet{}, ctx.Err()
	}
}

func (s *stage) Dropped() (uint64, error) { return s.dropped.Swap(0), nil }

func (s *stage) Close() error {
	s.open.Add(-1)
	return nil
}

// followings are such of the stage, which end with the test.
func (s *stage) followings(t *testing.T, x Extent) *Followings {
	t.Helper()
	f := NewFollowings(FollowConfig{Node: "h1", Taps: s, Capture: x, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { f.Run(ctx); close(ended) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		if n, taps := f.Len(), s.open.Load(); n != 0 || taps != 0 {
			t.Errorf("at the end there are %d followings and %d taps", n, taps)
		}
	})
	return f
}

// pass lets the bubble's time pass.
func pass(d time.Duration) { <-time.After(d) }

func session(n int) string { return fmt.Sprintf("%032x", n) }

// asked asks and returns the page.
func asked(t *testing.T, f *Followings, s *stage, q Follow) Page {
	t.Helper()
	p, err := f.Follow(t.Context(), s, q)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func changesIn(t *testing.T, p Page) string {
	t.Helper()
	var list []string
	for _, raw := range p.Events {
		var c FlowChange
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatal(err)
		}
		list = append(list, c.Match)
	}
	return strings.Join(list, " ")
}

func (s *stage) change(words ...string) {
	for _, word := range words {
		s.changes <- FlowChange{Match: word}
	}
	synctest.Wait()
}

// What happens is told in order, in pages, and again where an answer was lost.
func TestFollowingPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		f := s.followings(t, CaptureHeaders)
		begin := Follow{Session: session(1), Begin: &Wanted{Flows: true}}
		for range 2 {
			if p := asked(t, f, s, begin); len(p.Events) != 0 || p.Gone || p.More {
				t.Errorf("at the beginning: %+v", p)
			}
		}
		s.change("a", "b")
		for range 2 {
			if got := changesIn(t, asked(t, f, s, Follow{Session: session(1)})); got != "a b" {
				t.Errorf("told of %s", got)
			}
		}
		s.change("c")
		for after, want := range []string{"a b c", "b c", "c", ""} {
			if got := changesIn(t, asked(t, f, s, Follow{Session: session(1), After: uint64(after)})); got != want {
				t.Errorf("after %d told of %q, want %q", after, got, want)
			}
		}
		for _, after := range []uint64{2, 4, 1 << 63} {
			if _, err := f.Follow(t.Context(), s, Follow{Session: session(1), After: after}); !overlay.IsKind(err, overlay.Invalid) {
				t.Errorf("after %d: %v", after, err)
			}
		}
		for !s.full(f) {
			s.changes <- FlowChange{Match: "x"}
		}
		p := asked(t, f, s, Follow{Session: session(1), After: 3})
		if len(p.Events) < waitingEvents {
			t.Errorf("a page of %d", len(p.Events))
		}
		if p := asked(t, f, s, Follow{Session: session(1), After: 3 + uint64(len(p.Events)), End: true}); p.Gone || len(p.Events) > 0 {
			t.Errorf("at the end: %+v", p)
		}
		if p := asked(t, f, s, Follow{Session: session(1)}); !p.Gone || f.Len() != 0 {
			t.Errorf("after the end: %+v, %d followings", p, f.Len())
		}
	})
}

// full reports whether the one following's queue is full.
func (s *stage) full(f *Followings) bool {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.open {
		return len(one.waiting) == waitingEvents
	}
	return false
}

// All askers together are told only so much, and the rest waits where it is lost by
// who counts it.
func TestFollowingIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		f := s.followings(t, CaptureHeaders)
		asked(t, f, s, Follow{Session: session(1), Begin: &Wanted{Flows: true}})
		long, told, events := strings.Repeat("x", 5000), 0, uint64(0)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case s.changes <- FlowChange{Match: long}:
				case <-ctx.Done():
					return
				}
			}
		}()
		const seconds = 60
		for range 4 * seconds {
			pass(fullPause)
			p := asked(t, f, s, Follow{Session: session(1), After: events})
			for _, e := range p.Events {
				told += len(e)
			}
			events += uint64(len(p.Events))
			if size := len(p.Events) * 5500; size > pageBytes+2*5500 {
				t.Fatalf("a page of about %d bytes", size)
			}
		}
		if most := followBurst + seconds*followRate + pageBytes; told > most || told < most/2 {
			t.Errorf("told %d bytes, the most is %d", told, most)
		}
		cancel()
		<-ended
	})
}

// Nobody is followed for whom nobody asks, and not many at once.
func TestFollowingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		f := s.followings(t, CaptureHeaders)
		tunnel := &Wanted{Packets: &Tapping{}}
		for n := range maxFollowings {
			asked(t, f, s, Follow{Session: session(n), Begin: tunnel})
		}
		if _, err := f.Follow(t.Context(), s, Follow{Session: session(9), Begin: tunnel}); !overlay.IsKind(err, overlay.Unavailable) || !strings.Contains(err.Error(), "following h1") {
			t.Errorf("one more: %v", err)
		}
		pass(followingIdle - time.Second)
		asked(t, f, s, Follow{Session: session(0)})
		pass(2 * time.Second)
		synctest.Wait()
		if f.Len() != 1 || s.open.Load() != 1 {
			t.Errorf("%d followings, %d taps", f.Len(), s.open.Load())
		}
		for n := range 2 {
			if p := asked(t, f, s, Follow{Session: session(n)}); p.Gone != (n == 1) {
				t.Errorf("%d: %+v", n, p)
			}
		}
		if p := asked(t, f, s, Follow{Session: session(7), Begin: tunnel, End: true}); !p.Gone || f.Len() != 1 {
			t.Errorf("one that ends as it begins: %+v", p)
		}
		pass(followingIdle + time.Second)
		synctest.Wait()
		if f.Len() != 0 || s.open.Load() != 0 {
			t.Errorf("%d followings, %d taps", f.Len(), s.open.Load())
		}
	})
}

// Packets are told with how many were lost, and with why there are no more.
func TestFollowingPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		f := s.followings(t, CaptureHeaders)
		want := Tapping{Endpoint: &EndpointName{Network: "web", Endpoint: "web-1"}, Filter: []bpf.RawInstruction{{Op: 6, K: 1}}, Bytes: 60}
		if p := asked(t, f, s, Follow{Session: session(1), Begin: &Wanted{Packets: &want}}); p.Port != 4789 {
			t.Errorf("%+v", p)
		}
		if p := s.place; p.Link != (overlay.Endpoint{ID: "web-1"}).PortName() || len(p.Filter) != 1 || p.Bytes != 60 || p.Contents {
			t.Errorf("seen at %+v", p)
		}
		s.packets <- Packet{At: time.Now().Add(-stale - time.Second)}
		s.packets <- Packet{At: time.Now(), Length: 98, Data: []byte{1, 2}}
		s.dropped.Store(5)
		synctest.Wait()
		p := asked(t, f, s, Follow{Session: session(1)})
		if len(p.Events) != 1 || p.Lost != 6 || p.Ended != nil {
			t.Errorf("%+v", p)
		}
		s.packets <- Packet{At: time.Now()}
		s.dropped.Store(2)
		close(s.packets)
		synctest.Wait()
		if s.open.Load() != 0 {
			t.Error("a tap at a link that went stays")
		}
		for range 2 {
			p := asked(t, f, s, Follow{Session: session(1), After: 1})
			if len(p.Events) != 1 || p.Lost != 8 || p.Ended == nil || !overlay.IsKind(p.Ended.Err(), overlay.Missing) {
				t.Errorf("%+v", p)
			}
		}
	})
}

// Who may see what of packets is the host's to say, and what is not here is not seen.
func TestFollowingRefuses(t *testing.T) {
	s := newStage()
	at := func(network, endpoint string) *Wanted {
		return &Wanted{Packets: &Tapping{Endpoint: &EndpointName{Network: network, Endpoint: endpoint}}}
	}
	for _, tt := range []struct {
		name   string
		extent Extent
		q      Follow
		kind   overlay.Kind
		said   string
	}{
		{"no number", CaptureHeaders, Follow{Session: "x", Begin: &Wanted{Flows: true}}, overlay.Invalid, "session"},
		{"a long number", CaptureHeaders, Follow{Session: session(1) + "00"}, overlay.Invalid, "session"},
		{"nothing", CaptureHeaders, Follow{Session: session(1), Begin: &Wanted{}}, overlay.Invalid, "with nothing"},
		{"both", CaptureHeaders, Follow{Session: session(1), Begin: &Wanted{Flows: true, Packets: &Tapping{}}}, overlay.Invalid, "two things"},
		{"what was before", CaptureHeaders, Follow{Session: session(1), Begin: &Wanted{Flows: true}, After: 1}, overlay.Invalid, "before"},
		{"off", NoCapture, Follow{Session: session(1), Begin: &Wanted{Packets: &Tapping{}}}, overlay.Invalid, "--remote-capture off"},
		{"contents", CaptureHeaders, Follow{Session: session(1), Begin: &Wanted{Packets: &Tapping{Bytes: 129}}}, overlay.Invalid, "--remote-capture headers"},
		{"elsewhere", CaptureHeaders, Follow{Session: session(1), Begin: at("web", "web-2")}, overlay.Missing, "on h1"},
		{"nowhere", CaptureHeaders, Follow{Session: session(1), Begin: at("web", "../eth0")}, overlay.Missing, "on h1"},
		{"another network", CaptureHeaders, Follow{Session: session(1), Begin: at("db", "web-1")}, overlay.Missing, "on h1"},
	} {
		f := s.followings(t, tt.extent)
		if _, err := f.Follow(t.Context(), s, tt.q); !overlay.IsKind(err, tt.kind) || !strings.Contains(err.Error(), tt.said) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if n := f.Len(); n != 0 {
			t.Errorf("%s: %d followings", tt.name, n)
		}
	}
	f := s.followings(t, CaptureContents)
	asked(t, f, s, Follow{Session: session(1), Begin: &Wanted{Packets: &Tapping{Bytes: 1500, VNI: 7}}})
	if p := s.place; !p.Contents || p.Bytes != 1500 || p.Link != "" || p.VNI != 7 {
		t.Errorf("seen at %+v", p)
	}
	s.err = errors.New("nothing is known yet")
	if _, err := f.Follow(t.Context(), s, Follow{Session: session(2), Begin: at("web", "web-1")}); !errors.Is(err, s.err) {
		t.Errorf("error %v", err)
	}
}
