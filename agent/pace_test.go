package agent

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Looks that follow each other as fast as they may take their share of the time and no more, whatever each takes, and a
// look after a quiet time is at once.
func TestPaceHoldsItsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pace{longest: urgentPace}
		began := time.Unix(1_000_000, 0)
		now, busy := began, time.Duration(0)
		for range 2000 {
			if now.Before(p.next) {
				now = p.next
			}
			took := time.Duration(rapid.IntRange(1, 400).Draw(t, "ms")) * time.Millisecond
			p.looked(now, now.Add(took))
			now, busy = now.Add(took), busy+took
			if limit := allowance + 400*time.Millisecond + now.Sub(began)/share; busy > limit {
				t.Fatalf("looks took %v of %v, want at most %v", busy, now.Sub(began), limit)
			}
		}
		if now = p.next.Add(time.Minute); now.Before(p.next) {
			t.Fatal("a look must wait after a minute of quiet")
		}
		if p.looked(now, now.Add(time.Millisecond)); p.gap != firstGap {
			t.Fatalf("the gap after a minute of quiet is %v", p.gap)
		}
	})
}

// Repairs of one place that somebody keeps changing are ever further apart, until he leaves it in peace.
func TestContestBacksOff(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	c := &Contest{}
	repairs, began := 0, now
	for now.Sub(began) < time.Minute {
		if !c.rests(now) {
			c.repaired(now)
			repairs++
		}
		now = now.Add(time.Millisecond)
	}
	if repairs > 20 || c.Gap != longestContest {
		t.Errorf("%d repairs in a minute, the next after %v", repairs, c.Gap)
	}
	now = now.Add(2 * contestOver)
	if c.repaired(now); c.Times != 1 || c.rests(now) {
		t.Errorf("after the contest: %+v", c)
	}
}
