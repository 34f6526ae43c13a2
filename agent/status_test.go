package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

func TestReasons(t *testing.T) {
	snapshot := overlay.NewSnapshot()
	ready := func() State {
		return State{HostID: "x", View: View{Snapshot: snapshot, Connected: true}, Applied: snapshot, Observed: Observation{Answered: true, Tunnel: 1}}
	}
	away, lost := overlay.Refuse(overlay.Unavailable, "etcd", "", "does not answer"), errors.New("etcd holds no cluster")
	for name, test := range map[string]struct {
		state   func(*State)
		blocked error
		// want are parts of the reasons, in their order.
		want []string
	}{
		"ready":                         {func(*State) {}, nil, nil},
		"etcd is away":                  {func(s *State) { s.View.Connected = false }, nil, []string{"etcd does not answer"}},
		"etcd never answered":           {func(s *State) { s.View, s.Applied = View{}, nil }, nil, []string{"etcd has not answered yet"}},
		"another has its name":          {func(s *State) { s.Held = conflict() }, conflict(), []string{"the VTEP is another's"}},
		"cluster lost":                  {func(s *State) { s.Held = lost }, nil, []string{"etcd holds no cluster"}},
		"cluster lost, and unreachable": {func(s *State) { s.Held = lost }, away, []string{"does not answer", "etcd holds no cluster"}},
		"the tunnel's name is taken":    {func(s *State) { s.Observed.Tunnel, s.Observed.TunnelError = 0, "taken" }, nil, []string{"tunnel port: taken"}},
		"a round failed":                {func(s *State) { s.Err = errors.New("packet filter") }, nil, []string{"the last round failed: packet filter"}},
	} {
		state := ready()
		test.state(&state)
		st := NewStatus(Facts{Blocked: test.blocked}, state)
		if !slices.EqualFunc(st.Reasons, test.want, strings.Contains) || st.Ready != (len(test.want) == 0) {
			t.Errorf("%s: ready %v, reasons %q, want %q", name, st.Ready, st.Reasons, test.want)
		}
	}
}
