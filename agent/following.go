package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/ovsnet/ovsnet/overlay"
)

const (
	// maxFollowings is how many askers follow something on a host at once, and
	// followingIdle after how long without a question one is taken to be gone.
	maxFollowings = 4
	followingIdle = 15 * time.Second
	// waitingEvents is how many events wait for one asker; pageEvents and pageBytes,
	// of JSON, are how much one page holds.
	waitingEvents = 256
	pageEvents    = 512
	pageBytes     = 64 << 10
	// followRate and followBurst are how much all askers are told, in bytes of JSON for
	// each second and at once. It is less, once compressed, than an agent may answer,
	// so that other inquiries are answered meanwhile.
	followRate  = 40 << 10
	followBurst = 256 << 10
)

// FollowConfig is what Followings are told once.
type FollowConfig struct {
	// Node is this host's name.
	Node string
	// Taps see packets, of which others may follow what Capture says.
	Taps    Taps
	Capture Extent
	// Logger receives who begins and ends to follow packets.
	Logger *slog.Logger
}

// Followings are what others follow on this host. Each has a bounded queue; while
// that is full its source waits, and counts what it loses meanwhile. Its methods may
// be called from any goroutine.
type Followings struct {
	cfg    FollowConfig
	volume *rate.Limiter

	mu      sync.Mutex
	open    map[string]*following
	over    bool
	running sync.WaitGroup
}

// NewFollowings returns Followings of which there are none yet.
func NewFollowings(cfg FollowConfig) *Followings {
	return &Followings{cfg: cfg, volume: rate.NewLimiter(followRate, followBurst), open: map[string]*following{}}
}

// Len is how many there are.
func (f *Followings) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open)
}

// Run waits until ctx ends, and then ends all.
func (f *Followings) Run(ctx context.Context) {
	<-ctx.Done()
	f.mu.Lock()
	f.over = true
	for _, s := range f.open {
		s.end()
	}
	f.mu.Unlock()
	f.running.Wait()
}

// Follow answers one question of somebody who follows something on the host, and
// waits for nothing that may happen.
func (f *Followings) Follow(ctx context.Context, host followable, q Follow) (Page, error) {
	if err := q.check(); err != nil {
		return Page{}, err
	}
	s, err := f.find(host, q)
	if err != nil {
		return Page{}, err
	}
	if s == nil {
		return Page{Gone: true}, nil
	}
	if q.End {
		s.end()
		select {
		case <-s.gone:
		case <-ctx.Done():
			return Page{}, ctx.Err()
		}
	}
	return s.page(q, f.volume)
}

// find returns the following that is asked about, which begins if it is to; nil where
// there is none.
func (f *Followings) find(host followable, q Follow) (*following, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.open[q.Session]; s != nil {
		s.idle.Reset(followingIdle)
		return s, nil
	}
	if q.Begin == nil || q.End {
		return nil, nil
	}
	if f.over {
		return nil, overlay.Refuse(overlay.Unavailable, "following "+f.cfg.Node, "try again in a moment", "its agent is ending")
	}
	if len(f.open) >= maxFollowings {
		return nil, overlay.Refuse(overlay.Unavailable, "following "+f.cfg.Node, "try again when one has ended", "%d others follow something there, and more are not served at once", len(f.open))
	}
	from, err := f.source(host, *q.Begin)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	s := &following{from: from, waiting: make(chan json.RawMessage, waitingEvents), end: end, gone: make(chan struct{})}
	if q.Begin.Packets != nil {
		s.port = f.cfg.Taps.Port()
	}
	s.idle = time.AfterFunc(followingIdle, end)
	f.open[q.Session] = s
	f.running.Go(func() {
		s.run(ctx)
		f.mu.Lock()
		defer f.mu.Unlock()
		s.idle.Stop()
		delete(f.open, q.Session)
		close(s.gone)
		f.log(*q.Begin, "ended")
	})
	f.log(*q.Begin, "began")
	return s, nil
}

// source opens what is to be followed.
func (f *Followings) source(host followable, w Wanted) (events, error) {
	if w.Packets == nil {
		return changing{host}, nil
	}
	p, err := placeOf(host, *w.Packets, f.cfg.Capture)
	if err != nil {
		return nil, err
	}
	tap, err := f.cfg.Taps.Tap(p)
	if err != nil {
		return nil, fmt.Errorf("capture on %s: %w", f.cfg.Node, err)
	}
	return &passing{tap: tap}, nil
}

// log says that packets are followed: who runs the host should be able to know.
func (f *Followings) log(w Wanted, what string) {
	if w.Packets == nil {
		return
	}
	where := "tunnel"
	if e := w.Packets.Endpoint; e != nil {
		where = "endpoint " + overlay.ShortID(e.Endpoint)
	}
	f.cfg.Logger.Info("a capture for another host "+what, "where", where, "bytes", w.Packets.Bytes)
}

// following is what one asker follows.
type following struct {
	from    events
	waiting chan json.RawMessage
	// end ends it, as idle does; gone is closed once it has.
	end  context.CancelFunc
	idle *time.Timer
	gone chan struct{}
	port uint16

	mu sync.Mutex
	// given are the events that were told and may not have arrived; arrived counts
	// those before.
	given   []json.RawMessage
	arrived uint64
	lost    uint64
	// ended says that the source tells no more, and fault why.
	ended bool
	fault *overlay.Fault
}

// run queues what happens until ctx ends. What ended by itself is kept until then, for
// the asker to know why.
func (s *following) run(ctx context.Context) {
	err := s.from.tell(ctx, func(event any) error {
		data, err := json.Marshal(event)
		if err != nil {
			return fmt.Errorf("tell an event: %w", err)
		}
		select {
		case s.waiting <- data:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	s.mu.Lock()
	s.lost += s.from.lost()
	s.ended = true
	if err != nil && ctx.Err() == nil {
		fault := overlay.NewFault(err)
		s.fault = &fault
	}
	s.mu.Unlock()
	s.from.close()
	<-ctx.Done()
}

// page returns what came since.
func (s *following) page(q Follow, volume *rate.Limiter) (Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.After < s.arrived || q.After > s.arrived+uint64(len(s.given)) {
		return Page{}, overlay.Refuse(overlay.Invalid, "following", "begin anew", "it asks for what comes after event %d, and was told of events %d to %d", q.After, s.arrived, s.arrived+uint64(len(s.given)))
	}
	s.given = s.given[q.After-s.arrived:]
	s.arrived = q.After
	if !s.ended {
		s.lost += s.from.lost()
	}
	p := Page{Lost: s.lost, Port: s.port}
	if q.End {
		return p, nil
	}
	s.fill(volume)
	p.Events, p.More = s.given, len(s.waiting) > 0
	if s.ended && !p.More {
		p.Ended = s.fault
	}
	return p, nil
}

// fill takes what waits, as far as a page and the volume allow.
func (s *following) fill(volume *rate.Limiter) {
	size := 0
	for _, event := range s.given {
		size += len(event)
	}
	for len(s.given) < pageEvents && size < pageBytes && volume.Tokens() > 0 {
		select {
		case event := <-s.waiting:
			size += len(event)
			volume.ReserveN(time.Now(), min(len(event), followBurst))
			s.given = append(s.given, event)
		default:
			return
		}
	}
}
