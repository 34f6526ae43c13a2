package figures

import (
	"fmt"
	"slices"
)

// Control is one run of tests/bench/control.
type Control struct {
	Frame
	// LoadBefore and LoadAfter are the machine's load averages.
	LoadBefore, LoadAfter float64
	Runs                  []Run
	Calls                 []Call
	Creates               []Create
	Bursts                []Burst
}

// Run is what starting and removing one container of a kind takes, in milliseconds.
type Run struct {
	Kind string
	// Start is `docker run -d`, Remove `docker rm -f`, of containers that nobody waits for elsewhere.
	Start, Remove Spread
	// Reached is from the return of `docker run` until another container answered on every other host, negative where
	// it did before. Nil where other hosts cannot reach it.
	Reached *Spread
	// Failed is how many did not start, or were not reached, in time.
	Failed int
}

// Call is what the agent took for one of Docker's calls, by its log, in milliseconds.
type Call struct {
	Method string
	Count  int
	Took   Spread
}

// Create is what making a network takes, in milliseconds.
type Create struct {
	Kind string
	// Commands is all that must be said for it to be usable on every host; Usable until a first container on each of
	// them ran and was reached from h1's.
	Commands, Usable Spread
	// Failed is how many could not be made, or used, in time.
	Failed int
}

// Burst is many containers of a kind started at once on one host, and removed by one command.
type Burst struct {
	Kind string
	// Count is how many containers are in each of how many Rounds.
	Count, Rounds int
	// All is until the last `docker run` of a round returned, Each the time of one of them, and Remove that of the
	// command that removes them, in milliseconds.
	All, Each, Remove Spread
	// Failed is how many of them did not start.
	Failed int
}

// Tables are for people.
func (c Control) Tables() []Table {
	run := Table{Title: "One container, medians with quartiles in milliseconds", Head: []string{"network", "docker run", "after that reached from every other host", "docker rm -f", "failed"}}
	for _, r := range c.Runs {
		reached := "cannot be"
		if r.Reached != nil {
			reached = r.Reached.String()
		}
		run.Rows = append(run.Rows, []string{r.Kind, r.Start.String(), reached, r.Remove.String(), fmt.Sprint(r.Failed)})
	}
	call := Table{Title: "The agent's part in these, by its log, in milliseconds", Head: []string{"Docker's call", "calls", "took", "longest"}}
	for _, r := range c.Calls {
		call.Rows = append(call.Rows, []string{r.Method, fmt.Sprint(r.Count), r.Took.String(), fmt.Sprintf("%.1f", r.Took.Max)})
	}
	create := Table{Title: "One new network, in milliseconds", Head: []string{"network", "all commands", "a container on each host reached", "failed"}}
	for _, r := range c.Creates {
		create.Rows = append(create.Rows, []string{r.Kind, r.Commands.String(), r.Usable.String(), fmt.Sprint(r.Failed)})
	}
	many := Table{Title: "Many containers at once on one host, medians with quartiles (of three, with the smallest and the largest)", Head: []string{"network", "containers", "times", "until all run, s", "each, s", "removal of all, s", "failed"}}
	for _, r := range c.Bursts {
		many.Rows = append(many.Rows, []string{r.Kind, fmt.Sprint(r.Count), fmt.Sprint(r.Rounds), r.All.Seconds(), r.Each.Seconds(), r.Remove.Seconds(), fmt.Sprint(r.Failed)})
	}
	measured := []Table{run, call, create, many}
	return slices.DeleteFunc(measured, func(t Table) bool { return len(t.Rows) == 0 })
}

// String is a line for above the tables.
func (c Control) String() string {
	return fmt.Sprintf("%s Load average %.1f before and %.1f after.", c.Frame, c.LoadBefore, c.LoadAfter)
}
