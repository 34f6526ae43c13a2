package agent

import (
	"time"

	"github.com/ovsnet/ovsnet/flows"
)

// pace spreads looks that events ask for: the first after a quiet time is at
// once, those that follow are ever further apart, up to longest. In the long run
// they take no more than a fifth of the time.
type pace struct {
	longest time.Duration
	gap     time.Duration
	next    time.Time
	// spent is the time that looks took up to at, less a fifth of that since.
	spent time.Duration
	at    time.Time
}

const (
	// firstGap is between the first two looks of a row.
	firstGap = 10 * time.Millisecond
	// share is the part of the time that looks may take, one in so many, once
	// they took the allowance.
	share     = 5
	allowance = time.Second
)

// looked notes a look that began and ended then.
func (p *pace) looked(began, ended time.Time) {
	if began.Sub(p.next) > 2*p.gap {
		p.gap = firstGap
	} else {
		p.gap = min(2*p.gap, p.longest)
	}
	p.spent = max(0, p.spent-began.Sub(p.at)/share) + ended.Sub(began)
	p.at = ended
	p.next = ended.Add(max(p.gap, share*(p.spent-allowance)))
}

// Contest is a place where somebody keeps changing what ovsnet wants there.
type Contest struct {
	// Where it is, and the flow that ovsnet wants there; that is empty where
	// ovsnet wants none.
	Where flows.Where
	Flow  flows.Flow
	// Times counts the repairs since Since; Last is the newest.
	Times       int
	Since, Last time.Time
	// Kind and Cookie are of the foreign change before that; 0 where no event told.
	Kind   flows.EventKind
	Cookie uint64
	// Gap is how long the next repair waits.
	Gap time.Duration
}

const (
	// freeRepairs is how many repairs of one place in a row come at once; then
	// each waits twice as long, from contestGap to longestContest.
	freeRepairs    = 3
	contestGap     = 100 * time.Millisecond
	longestContest = 10 * time.Second
	// contestOver is how long a place is left in peace until its contest is over.
	contestOver = time.Minute
	// maxContests bounds how many are remembered.
	maxContests = 256
)

// rests reports whether the next repair is not due yet.
func (c *Contest) rests(now time.Time) bool { return now.Before(c.Last.Add(c.Gap)) }

// repaired counts one more repair.
func (c *Contest) repaired(now time.Time) {
	if now.Sub(c.Last) > contestOver {
		c.Times, c.Since, c.Gap = 0, now, 0
	}
	c.Times++
	c.Last = now
	switch {
	case c.Times < freeRepairs:
	case c.Gap == 0:
		c.Gap = contestGap
	default:
		c.Gap = min(2*c.Gap, longestContest)
	}
}
