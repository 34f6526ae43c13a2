package agent

import (
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

// A host that has not heard from etcd does not know what should be installed.
func TestNothingIsComparedBeforeTheFirstSnapshot(t *testing.T) {
	s := newScene(t)
	if _, err := s.loop.Differences(t.Context()); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("error %v", err)
	}
}

func TestDifferencesAndRepair(t *testing.T) {
	s := newScene(t)
	s.settle()
	if r, err := s.loop.Differences(t.Context()); err != nil || len(r.Differences) > 0 || r.Node != "h1" || r.Installed != r.Desired || r.Installed == 0 {
		t.Fatalf("%+v, error %v", r, err)
	}
	foreign := flows.Installed{Flow: flows.Flow{Key: flows.Key{Table: flows.Forward, Priority: 999}, Cookie: 7}}
	s.host.mu.Lock()
	for key := range s.host.table {
		if key.Table == flows.Flood {
			delete(s.host.table, key)
		}
	}
	s.host.table[foreign.Key] = foreign
	s.host.mu.Unlock()
	r, err := s.loop.Differences(t.Context())
	if err != nil || len(r.Differences) < 3 {
		t.Fatalf("%+v, error %v", r, err)
	}
	if !slices.ContainsFunc(r.Differences, func(d inspect.Difference) bool {
		return strings.HasPrefix(d.Reason, "not ovsnet's; it takes packets from:")
	}) {
		t.Errorf("the foreign flow is not told: %+v", r.Differences)
	}
	if left, err := s.loop.Repair(t.Context()); err != nil || len(left.Differences) > 0 {
		t.Errorf("after the repair %+v, error %v", left.Differences, err)
	}
}
