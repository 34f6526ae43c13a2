package agent

import (
	"fmt"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// DriftStatus is what others did to the bridge's flows since the agent's start.
type DriftStatus struct {
	// Watching says that OVS's flow monitor is followed now.
	Watching bool `json:"watching"`
	// ForeignFlows is how many flows on the bridge are not ovsnet's now.
	ForeignFlows int `json:"foreign_flows"`
	// OwnChanges and ForeignChanges are changes that the monitor told, by who made
	// them; Missed is how often it fell behind and all flows were compared instead.
	OwnChanges     uint64 `json:"own_changes"`
	ForeignChanges uint64 `json:"foreign_changes"`
	Missed         uint64 `json:"missed"`
	// Looks are those that foreign changes asked for, Repaired the flows of
	// ovsnet's that were then put right, Removed the foreign flows that were taken
	// away (--foreign-flows remove).
	Looks    uint64 `json:"looks"`
	Repaired uint64 `json:"repaired"`
	Removed  uint64 `json:"removed"`
	// Contested are the flows that somebody keeps changing.
	Contested []ContestStatus `json:"contested"`
}

// ContestStatus is one flow that somebody keeps changing.
type ContestStatus struct {
	Table string `json:"table"`
	Match string `json:"match"`
	// Reason says what the flow is for; that ovsnet wants none there, if so.
	Reason string `json:"reason"`
	// Times is how often it was put right since Since, at last at Last.
	Times int       `json:"times"`
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"`
	// Change is what somebody did last: added, altered or removed, with that
	// cookie.
	Change string `json:"change"`
	Cookie string `json:"cookie"`
	// Every is the time in seconds from one repair to the next, at least.
	Every float64 `json:"every_seconds"`
}

// drift fills in what others did, and what of it is a problem.
func (st *Status) drift(bridge string, s State) {
	d := s.Drift
	st.Drift = DriftStatus{
		Watching: d.Watching, ForeignFlows: len(s.Foreign), OwnChanges: d.Own, ForeignChanges: d.Foreign, Missed: d.Missed,
		Looks: d.Looks, Repaired: d.Repaired, Removed: d.Evicted, Contested: []ContestStatus{},
	}
	if len(s.Foreign) > 0 {
		st.Problems = append(st.Problems, Problem{Object: "bridge " + bridge,
			Reason: fmt.Sprintf("%d flows on it are not ovsnet's; remove them if nobody needs them (ovs-ofctl --strict del-flows, or the agent's --foreign-flows remove), the first: %s", len(s.Foreign), s.Foreign[0])})
	}
	snapshot := s.Applied
	if snapshot == nil {
		snapshot = overlay.NewSnapshot()
	}
	for _, c := range d.Contests {
		status := newContestStatus(c, snapshot)
		st.Drift.Contested = append(st.Drift.Contested, status)
		st.Problems = append(st.Problems, status.problem())
	}
}

func newContestStatus(c Contest, s *overlay.Snapshot) ContestStatus {
	status := ContestStatus{
		Table: c.Where.Table.String(), Match: c.Where.Match.String() + c.Where.Raw, Reason: "no flow of ovsnet's",
		Times: c.Times, Since: c.Since, Last: c.Last, Every: c.Gap.Seconds(),
	}
	if c.Flow.Why.Rule != 0 {
		status.Reason = flows.Reason(c.Flow, s)
	}
	if c.Kind != 0 {
		status.Change, status.Cookie = c.Kind.String(), fmt.Sprintf("%#x", c.Cookie)
	}
	return status
}

// problem says who keeps changing what, as far as OVS tells.
func (c ContestStatus) problem() Problem {
	match := c.Match
	if match == "" {
		match = "any packet"
	}
	what := c.Change
	if what == "" {
		what = "changed"
	}
	return Problem{Object: fmt.Sprintf("flow in %s for %s (%s)", c.Table, match, c.Reason),
		Reason: fmt.Sprintf("somebody else keeps changing it, %d times since %s, at last %s with cookie %s; it is put right at most every %gs. "+
			"Find who: ovs-vsctl get-controller, and processes that run ovs-ofctl", c.Times, c.Since.Format(time.TimeOnly), what, c.Cookie, c.Every)}
}
