package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/overlay"
)

func endpoint(id string) overlay.Endpoint { return overlay.Endpoint{ID: id, Network: "n1", Node: "h1"} }

func locals(ids ...string) map[string]overlay.Endpoint {
	m := map[string]overlay.Endpoint{}
	for _, id := range ids {
		m[id] = endpoint(id)
	}
	return m
}

func TestPlanPorts(t *testing.T) {
	a, b := endpoint("a"), endpoint("b")
	start := time.Unix(1000, 0)
	grace := time.Minute
	tests := []struct {
		name  string
		local map[string]overlay.Endpoint
		links map[string]Link
		ports []Port
		// again is how long after the first look the second, judged one comes.
		again time.Duration
		want  portPlan
	}{
		{name: "nothing"},
		{
			name: "a link without a port gets one", local: locals("a"),
			links: map[string]Link{a.PortName(): {Name: a.PortName()}},
			want:  portPlan{ensure: []Port{{Name: a.PortName(), Endpoint: "a", Network: "n1"}}},
		},
		{
			name: "what is as it should be is left alone", local: locals("a"),
			links: map[string]Link{a.PortName(): {Name: a.PortName()}},
			ports: []Port{{Name: a.PortName(), Endpoint: "a", Network: "n1", OFPort: 3}},
		},
		{
			name: "a port without an endpoint goes", local: locals(),
			ports: []Port{{Name: b.PortName(), Endpoint: "b"}},
			want:  portPlan{remove: []string{b.PortName()}},
		},
		{
			name: "a port whose link vanished goes, its endpoint gets the grace period", local: locals("a"),
			ports: []Port{{Name: a.PortName(), Endpoint: "a"}},
			want:  portPlan{remove: []string{a.PortName()}, recheck: start.Add(grace)},
		},
		{
			name: "an endpoint without a link is released after the grace period", local: locals("a"), again: grace,
			want: portPlan{release: []overlay.Endpoint{a}},
		},
		{
			name: "a link nobody took is dropped after the grace period", local: locals("a"), again: grace,
			links: map[string]Link{a.PortName(): {Name: a.PortName(), Waiting: true}},
			ports: []Port{{Name: a.PortName(), Endpoint: "a"}},
			want:  portPlan{dropLinks: []string{a.PortName()}},
		},
		{
			name: "a container's link is never dropped, even when its endpoint is unknown", again: grace,
			links: map[string]Link{a.PortName(): {Name: a.PortName()}},
			want:  portPlan{unrecorded: []Port{{Name: a.PortName()}}},
		},
		{
			name: "nor its port", again: grace,
			links: map[string]Link{a.PortName(): {Name: a.PortName()}},
			ports: []Port{{Name: a.PortName(), Endpoint: "a", Network: "n1", OFPort: 3}},
			want:  portPlan{unrecorded: []Port{{Name: a.PortName(), Endpoint: "a", Network: "n1", OFPort: 3}}},
		},
		{
			name:  "which is no problem within the grace period",
			links: map[string]Link{a.PortName(): {Name: a.PortName()}},
			ports: []Port{{Name: a.PortName(), Endpoint: "a", Network: "n1", OFPort: 3}},
			want:  portPlan{recheck: start.Add(grace)},
		},
		{
			name: "an unknown link that no container has is dropped after the grace period", again: grace,
			links: map[string]Link{a.PortName(): {Name: a.PortName(), Waiting: true}},
			want:  portPlan{dropLinks: []string{a.PortName()}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wait := newPatience(grace)
			got := planPorts(tt.local, tt.links, tt.ports, wait, start)
			if tt.again > 0 {
				if len(got.release)+len(got.dropLinks) > 0 {
					t.Fatalf("cleaned up without grace: %+v", got)
				}
				got = planPorts(tt.local, tt.links, tt.ports, wait, start.Add(tt.again))
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(portPlan{}), cmpopts.IgnoreFields(portPlan{}, "inUse"), cmpopts.EquateComparable(overlay.Endpoint{}.IPv4), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlanTellsLinksThatAreHeld(t *testing.T) {
	links := map[string]Link{
		endpoint("a").PortName(): {Name: endpoint("a").PortName()},
		endpoint("b").PortName(): {Name: endpoint("b").PortName(), Waiting: true},
		endpoint("d").PortName(): {Name: endpoint("d").PortName()},
	}
	unrecorded := []Port{{Name: endpoint("d").PortName(), Endpoint: "d", Network: "n3"}}
	local := locals("a", "b", "c")
	b := local["b"]
	b.Network = "n2"
	local["b"] = b
	plan := planPorts(local, links, unrecorded, newPatience(time.Minute), time.Unix(1000, 0))
	if len(plan.inUse) != 2 || !plan.inUse[endpoint("a").Network] || !plan.inUse["n3"] {
		t.Errorf("in use %v", plan.inUse)
	}
}

// What came back within the grace period starts a new one when it goes again.
func TestPatienceForgets(t *testing.T) {
	wait, start := newPatience(time.Minute), time.Unix(1000, 0)
	linked := map[string]Link{endpoint("a").PortName(): {Name: endpoint("a").PortName()}}
	planPorts(locals("a"), nil, nil, wait, start)
	planPorts(locals("a"), linked, nil, wait, start.Add(50*time.Second))
	got := planPorts(locals("a"), nil, nil, wait, start.Add(70*time.Second))
	if len(got.release) > 0 {
		t.Errorf("released %v although its link was there 20 s ago", got.release)
	}
}

// Carrying a plan out leaves nothing to do, whatever the host looked like.
func TestPlanConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfDistinct(rapid.StringMatching(`[a-f]{1,2}`), rapid.ID[string])
		local := locals(ids.Draw(t, "local")...)
		links := map[string]Link{}
		for _, id := range ids.Draw(t, "links") {
			links[endpoint(id).PortName()] = Link{Name: endpoint(id).PortName(), Waiting: rapid.Bool().Draw(t, "waiting")}
		}
		ports := map[string]Port{}
		for _, id := range ids.Draw(t, "ports") {
			ports[endpoint(id).PortName()] = Port{Name: endpoint(id).PortName(), Endpoint: id, Network: "n1"}
		}
		wait, now := newPatience(time.Minute), time.Unix(1000, 0)
		for range 5 {
			plan := planPorts(local, links, list(ports), wait, now)
			for _, p := range plan.ensure {
				ports[p.Name] = p
			}
			for _, name := range plan.remove {
				delete(ports, name)
			}
			for _, name := range plan.dropLinks {
				delete(links, name)
			}
			for _, e := range plan.release {
				delete(local, e.ID)
			}
			now = now.Add(2 * time.Minute)
		}
		last := planPorts(local, links, list(ports), wait, now)
		if n := len(last.ensure) + len(last.remove) + len(last.dropLinks) + len(last.release); n > 0 {
			t.Fatalf("still %d things to do: %+v", n, last)
		}
	})
}

func list(ports map[string]Port) []Port {
	var all []Port
	for _, p := range ports {
		all = append(all, p)
	}
	return all
}
