package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

const (
	// followPause is how long a Follower waits before it asks again, and fullPause while
	// more waits already.
	followPause = time.Second
	fullPause   = 250 * time.Millisecond
	// followPatience is how long an agent may give no answer at all: then it has given
	// up the Follower as well.
	followPatience = followingIdle
	// followAskPatience is for one question, partingPatience for the last one.
	followAskPatience = 10 * time.Second
	partingPatience   = 3 * time.Second
)

// Follower follows what happens on an agent's host, by asking again and again. It is
// used by one goroutine.
type Follower struct {
	inspector Inspector
	node      string
	session   string
	page      Page
	arrived   uint64
	// heard is when the agent answered last.
	heard time.Time
	over  bool
}

// Follow begins to follow something on the host of that name, whose agent the
// Inspector asks.
func (i Inspector) Follow(ctx context.Context, node string, w Wanted) (*Follower, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("make a number: %w", err)
	}
	f := &Follower{inspector: i, node: node, session: hex.EncodeToString(id[:]), heard: time.Now()}
	if err := f.ask(ctx, Follow{Session: f.session, Begin: &w}); err != nil {
		if ctx.Err() != nil || overlay.IsKind(err, overlay.Unavailable) {
			f.End(ctx) // it may have begun, and nobody heard of it
		}
		return nil, err
	}
	return f, nil
}

// FollowFlows tells changes of the flows on the host of that name as they happen. It
// returns nil when ctx ends, what tell returns, and a refusal of kind Unavailable when
// the agent goes.
func (i Inspector) FollowFlows(ctx context.Context, node string, tell func(FlowChange) error) error {
	f, err := i.Follow(ctx, node, Wanted{Flows: true})
	for err == nil {
		var change FlowChange
		if change, err = next[FlowChange](ctx, f); err == nil {
			if err := tell(change); err != nil {
				f.End(ctx)
				return err
			}
		}
	}
	if f != nil {
		f.End(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Port is the UDP port of the host's tunnels, where packets are followed.
func (f *Follower) Port() uint16 { return f.page.Port }

// Packet returns the next packet, where those are followed.
func (f *Follower) Packet(ctx context.Context) (Packet, error) { return next[Packet](ctx, f) }

// next returns the next event, and asks for more where there is none.
func next[T any](ctx context.Context, f *Follower) (event T, err error) {
	for len(f.page.Events) == 0 {
		if f.page.Ended != nil {
			return event, f.page.Ended.Err()
		}
		pause := followPause
		if f.page.More {
			pause = fullPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return event, ctx.Err()
		}
		if err := f.more(ctx); err != nil {
			return event, err
		}
	}
	if err := json.Unmarshal(f.page.Events[0], &event); err != nil {
		return event, fmt.Errorf("what the agent of %s tells: %w", f.node, err)
	}
	f.page.Events = f.page.Events[1:]
	return event, nil
}

// more asks once. An agent that does not answer is asked again, for as long as it
// keeps what it has to tell.
func (f *Follower) more(ctx context.Context) error {
	err := f.ask(ctx, Follow{Session: f.session, After: f.arrived})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	silent := overlay.IsKind(err, overlay.Unavailable) || overlay.IsKind(err, overlay.Exhausted)
	if silent && time.Since(f.heard) < followPatience {
		f.page.More = false
		return nil
	}
	if err == nil && f.page.Gone {
		f.over = true
		return overlay.Refuse(overlay.Unavailable, fmt.Sprintf("node %q", f.node), "begin anew; see ovsnet status --node "+f.node,
			"its agent has ended this, and what came since is lost: it was started anew, or not asked for %s", followingIdle)
	}
	return err
}

// ask asks once and takes the answer.
func (f *Follower) ask(ctx context.Context, q Follow) error {
	ctx, cancel := context.WithTimeout(ctx, followAskPatience)
	defer cancel()
	p, err := ask[Page](ctx, f.inspector, AboutFollowing, q)
	if err != nil {
		return err
	}
	p.Lost, p.Port = max(p.Lost, f.page.Lost), max(p.Port, f.page.Port)
	f.page, f.heard = p, time.Now()
	f.arrived += uint64(len(p.Events))
	return nil
}

// End tells the agent that no more is wanted, whether ctx has ended or not, and
// returns how many packets were lost on its host.
func (f *Follower) End(ctx context.Context) uint64 {
	if f.over {
		return f.page.Lost
	}
	f.over = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingPatience)
	defer cancel()
	// An agent that does not hear it notices that nobody asks any more.
	_ = f.ask(ctx, Follow{Session: f.session, After: f.arrived, End: true})
	return f.page.Lost
}
