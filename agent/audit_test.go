package agent

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ovsnet/ovsnet/flows"
)

// newAudited is a settled scene whose loop audits all flows every so often.
func newAudited(t *testing.T, h *fakeHost, every time.Duration) *scene {
	t.Helper()
	cfg := config()
	cfg.FullEvery = every
	s := newSceneWith(t, h, cfg)
	s.settle()
	return s
}

func (s *scene) count(of func(*fakeHost) int) int {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	return of(s.host)
}

// What a flow monitor never told is found by an audit and repaired by a look at its place.
func TestAuditFindsWhatTheMonitorLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newAudited(t, newFakeHost(), time.Minute)
		s.host.mu.Lock()
		var gone flows.Flow
		for k, f := range s.host.table {
			if k.Table == flows.Forward && f.Why.Endpoint == "e1" {
				gone = f.Flow
				delete(s.host.table, k)
			}
		}
		other := flows.Installed{Flow: flows.Flow{Key: flows.Key{Table: flows.Forward, Priority: 7}, Cookie: 5}}
		s.host.table[other.Key] = other
		s.host.mu.Unlock()
		looks := s.count(func(h *fakeHost) int { return h.looks })
		<-time.After(time.Minute)
		synctest.Wait()
		s.installedBeside(other)
		state := s.loop.State()
		if !slices.ContainsFunc(state.Foreign, func(f flows.Installed) bool { return f.Key == other.Key }) {
			t.Errorf("the foreign flow is not told of: %v", state.Foreign)
		}
		if state.Drift.Repaired != 1 || s.count(func(h *fakeHost) int { return h.looks }) == looks {
			t.Errorf("%v was not repaired by a look at its place: %+v", gone, state.Drift)
		}
	})
}

// A change of ours during an audit neither waits for it nor looks like somebody else's.
func TestAuditKnowsOwnChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHost()
		s := newAudited(t, h, time.Minute)
		looks, dumps := s.count(func(h *fakeHost) int { return h.looks }), s.count(func(h *fakeHost) int { return h.dumps })
		goOn := make(chan struct{})
		h.mu.Lock()
		h.between = func() { <-goOn }
		h.mu.Unlock()
		<-time.After(time.Minute)
		synctest.Wait()
		if now := s.count(func(h *fakeHost) int { return h.dumps }); now != dumps+1 {
			t.Fatalf("%d dumps a minute later, there were %d", now, dumps)
		}
		s.put("e2", "h2", false)
		s.show()
		s.installed() // with the audit still waiting
		close(goOn)
		synctest.Wait()
		if now := s.count(func(h *fakeHost) int { return h.looks + h.dumps }); now != looks+dumps+1 {
			t.Errorf("own changes were looked at: %d looks and dumps, there were %d", now, looks+dumps+1)
		}
	})
}

// However long an audit takes, a hundred times as long passes until the next.
func TestAuditsTakeASmallShare(t *testing.T) {
	var a audits
	began := time.Unix(1000, 0)
	if !a.begin(began) || a.begin(began) {
		t.Error("one at a time")
	}
	a.ended(began, began.Add(3*time.Second))
	if a.begin(began.Add(302*time.Second)) || !a.begin(began.Add(303*time.Second)) {
		t.Error("the next one is due 300 s after one of 3 s ended")
	}
}

// An audit that cannot read the flows leaves it to a round, which tells why.
func TestAuditThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newAudited(t, newFakeHost(), time.Minute)
		s.host.failing("dump", errors.New("no answer"))
		<-time.After(time.Minute + time.Second)
		synctest.Wait()
		if state, _ := s.loop.board.look(); state.Err == nil {
			t.Error("the state does not tell that flows cannot be read")
		}
		s.host.failing("dump", nil)
		s.eventually("all is well again", func(state State) bool { return state.Err == nil })
	})
}
