package agent

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// staged answers inquiries about what happens on a stage.
type staged struct {
	*told
	stage *stage
	// lose is how many answers are lost.
	lose atomic.Int32

	mu         sync.Mutex
	followings *Followings
	err        error
}

func newStaged(t *testing.T) *staged {
	t.Helper()
	s := newStage()
	return &staged{told: &told{}, stage: s, followings: s.followings(t, CaptureHeaders)}
}

// becomes makes it answer from others, or not at all.
func (d *staged) becomes(f *Followings, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.followings, d.err = f, err
}

func (d *staged) Follow(ctx context.Context, q Follow) (Page, error) {
	d.mu.Lock()
	f, err := d.followings, d.err
	d.mu.Unlock()
	if err != nil {
		return Page{}, err
	}
	p, err := f.Follow(ctx, d.stage, q)
	if d.lose.Add(-1) >= 0 {
		return Page{}, overlay.Refuse(overlay.Unavailable, `node "h1"`, "", "its agent did not answer")
	}
	return p, err
}

// Who follows gets everything once and in order, though answers are lost and the agent
// is silent for a while.
func TestFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newStaged(t)
		s := d.stage
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		ended := make(chan error, 1)
		go func() {
			ended <- NewInspector(direct{d}).FollowFlows(ctx, "h1", func(c FlowChange) error {
				got = append(got, c.Match)
				return nil
			})
		}()
		synctest.Wait()
		s.change("a")
		d.lose.Store(3)
		s.change("b")
		pass(10 * time.Second)
		s.change("c")
		pass(2 * time.Second)
		cancel()
		if err := <-ended; err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("told of %v, error %v", got, err)
		}
		if n := d.followings.Len(); n != 0 {
			t.Errorf("after the good-bye there are %d", n)
		}
	})
}

// An agent that was started anew, and one that is silent for long, end it.
func TestFollowerIsTold(t *testing.T) {
	for name, happens := range map[string]func(t *testing.T, d *staged){
		`node "h1": its agent has ended this`: func(t *testing.T, d *staged) { d.becomes(d.stage.followings(t, CaptureHeaders), nil) },
		"does not answer": func(_ *testing.T, d *staged) {
			d.becomes(nil, overlay.Refuse(overlay.Unavailable, "etcd", "", "does not answer"))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newStaged(t)
			ended := make(chan error, 1)
			go func() {
				ended <- NewInspector(direct{d}).FollowFlows(t.Context(), "h1", func(FlowChange) error { return nil })
			}()
			synctest.Wait()
			began := time.Now()
			happens(t, d)
			if err := <-ended; !overlay.IsKind(err, overlay.Unavailable) || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v, want %q", err, name)
			}
			if took := time.Since(began); took > followPatience+2*followPause {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// What nobody asks is refused, and nothing breaks by it.
func FuzzFollow(f *testing.F) {
	f.Add(`{"session":"00000000000000000000000000000001","begin":{"packets":{"endpoint":{"network":"web","endpoint":"web-1"},"filter":[{"Op":6,"Jt":0,"Jf":0,"K":1}]}},"after":3}`)
	f.Add(`{"session":"00000000000000000000000000000001","begin":{"flows":true},"end":true}`)
	f.Add(`{"session":"","begin":null,"after":-1}`)
	f.Add(`{"session":"00000000000000000000000000000001","begin":{"packets":{"bytes":-9223372036854775808,"vni":4294967295}}}`)
	f.Fuzz(func(t *testing.T, arguments string) {
		d := newStaged(t)
		if err := Answer(t.Context(), d, AboutFollowing, []byte(arguments), io.Discard); err != nil && d.followings.Len() > 0 {
			t.Errorf("%v, and %d followings", err, d.followings.Len())
		}
	})
}

// Several ask at once, also by the same number, while things happen and the host ends.
func TestFollowersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		f := NewFollowings(FollowConfig{Node: "h1", Taps: s, Capture: CaptureHeaders, Logger: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { f.Run(ctx) })
		running.Go(func() {
			for {
				select {
				case s.packets <- Packet{At: time.Now()}:
				case <-ctx.Done():
					return
				}
			}
		})
		for n := range 3 * maxFollowings {
			running.Go(func() {
				q := Follow{Session: session(n / 2), Begin: &Wanted{Packets: &Tapping{}}}
				for ctx.Err() == nil {
					q.Begin, q.After = &Wanted{Packets: &Tapping{}}, 0
					for range 5 {
						p, err := f.Follow(ctx, s, q)
						if err != nil || p.Gone {
							break
						}
						q.Begin, q.After = nil, q.After+uint64(len(p.Events))
						pass(fullPause)
					}
					q.End = n%2 == 0
					_, _ = f.Follow(ctx, s, q)
					q.End = false
					pass(fullPause)
				}
			})
		}
		pass(time.Minute)
		cancel()
		running.Wait()
		if f.Len() != 0 || s.open.Load() != 0 {
			t.Errorf("%d followings, %d taps", f.Len(), s.open.Load())
		}
		if _, err := f.Follow(t.Context(), s, Follow{Session: session(1), Begin: &Wanted{Flows: true}}); !overlay.IsKind(err, overlay.Unavailable) {
			t.Errorf("after the end: %v", err)
		}
	})
}
