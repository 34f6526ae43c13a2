package agent

import (
	"reflect"
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
	if _, err := reported(s.loop.Differences(t.Context())); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("error %v", err)
	}
}

// Whoever looks changes nothing, not even OVSDB's next_cfg, as a ping does.
func TestLookingPingsNobody(t *testing.T) {
	s := newScene(t)
	s.settle()
	pings := func() (n int) {
		s.host.mu.Lock()
		defer s.host.mu.Unlock()
		for _, what := range s.host.asked {
			if what == "ping" {
				n++
			}
		}
		return n
	}
	before := pings()
	_, err := s.loop.Bridge(t.Context())
	if _, other := reported(s.loop.Differences(t.Context())); err != nil || other != nil || pings() != before {
		t.Errorf("pinged %d times, errors %v, %v", pings()-before, err, other)
	}
}

// What an agent would answer about flows an onlooker answers in the same words.
func TestAnOnlookerAnswersAsTheAgent(t *testing.T) {
	s := newScene(t)
	s.settle()
	own := NewInspector(Onlooker{Look: s.loop.Bridge})
	want, err := reported(s.loop.Differences(t.Context()))
	if got, other := reported(own.Differences(t.Context())); err != nil || other != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("differences %+v, want %+v; errors %v, %v", got, want, other, err)
	}
	lines := 0
	for line, err := range own.Flows(t.Context(), inspect.Filter{Table: "Forward"}) {
		if lines++; err != nil || line.TableName != "Forward" {
			t.Errorf("line %+v, error %v", line, err)
		}
	}
	told := 0
	for e, err := range own.Explain(t.Context(), inspect.Question{Dump: "cookie=0x5, table=60, priority=3 actions=drop"}) {
		if told++; err != nil || e.State != inspect.Foreign {
			t.Errorf("explanation %+v, error %v", e, err)
		}
	}
	if lines == 0 || told != 1 {
		t.Errorf("%d lines, %d explanations", lines, told)
	}
	if _, err := own.Status(t.Context()); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("status: error %v", err)
	}
	for _, err := range own.Flows(t.Context(), inspect.Filter{Table: "none"}) {
		if !overlay.IsKind(err, overlay.Missing) {
			t.Errorf("an unknown table: error %v", err)
		}
	}
}

func TestDifferencesAndRepair(t *testing.T) {
	s := newScene(t)
	s.settle()
	if r, err := reported(s.loop.Differences(t.Context())); err != nil || len(r.Differences) > 0 || r.Node != "h1" || r.Installed != r.Desired || r.Installed == 0 {
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
	r, err := reported(s.loop.Differences(t.Context()))
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
