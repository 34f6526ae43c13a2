package flows

import (
	"iter"
	"maps"
	"slices"

	"github.com/ovsnet/ovsnet/overlay"
)

// Delta is a change of flows. No key is in both lists.
type Delta struct {
	// Add are flows that are new or whose actions or cookie changed.
	Add []Flow
	// Delete are flows that must go.
	Delete []Key
}

// Empty reports whether nothing changes.
func (d Delta) Empty() bool { return len(d.Add)+len(d.Delete) == 0 }

// sort puts both lists into the order people read flows in.
func (d *Delta) sort() {
	slices.SortFunc(d.Add, Compare)
	slices.SortFunc(d.Delete, Key.Compare)
}

// Compiler follows the desired flows of one host. It is used by one goroutine.
type Compiler struct {
	route Route
	last  *input
}

// NewCompiler returns a Compiler for a host that should have no flows yet.
func NewCompiler(route Route) *Compiler { return &Compiler{route: route} }

// Flows yields the desired flows after the last Update, in no order.
func (c *Compiler) Flows() iter.Seq[Flow] {
	if c.last == nil {
		return func(func(Flow) bool) {}
	}
	return c.last.all()
}

// Update takes new input and returns how the desired flows changed.
func (c *Compiler) Update(s *overlay.Snapshot, h Host) Delta {
	next := newInput(s, h, c.route)
	last := c.last
	c.last = next
	if last == nil {
		return difference(nil, slices.Collect(next.all()))
	}
	t := touch(last, next)
	before, after := t.flows(last), t.flows(next)
	return difference(before, after)
}

// touched are the units that may differ between two inputs.
type touched struct {
	nodes, networks map[string]bool
	// endpoints are by network, then ID; whole names networks all of whose
	// endpoints are touched.
	endpoints map[string]map[string]bool
	whole     map[string]bool
}

// touch finds the units that follow from something that differs.
func touch(last, next *input) *touched {
	t := &touched{nodes: map[string]bool{}, networks: map[string]bool{}, endpoints: map[string]map[string]bool{}, whole: map[string]bool{}}
	changes := overlay.Diff(last.snapshot, next.snapshot)
	for _, c := range changes.Networks {
		t.all(either(c).ID)
	}
	for _, c := range changes.Endpoints {
		e := either(c)
		t.endpoint(e.Network, e.ID)
		if e.Node == next.host.Node || hostsDiffer(last, next, e.Network, c) {
			t.networks[e.Network] = true
		}
	}
	t.peers(last, next, changes.Nodes)
	t.ports(last, next)
	return t
}

func either[T any](c overlay.Change[T]) *T {
	if c.After != nil {
		return c.After
	}
	return c.Before
}

// hostsDiffer reports whether the change added or removed a member host.
func hostsDiffer(last, next *input, network string, c overlay.Change[overlay.Endpoint]) bool {
	for _, e := range []*overlay.Endpoint{c.Before, c.After} {
		if e != nil && last.snapshot.HasMember(network, e.Node) != next.snapshot.HasMember(network, e.Node) {
			return true
		}
	}
	return false
}

// peers touches what follows from changed nodes, or from the tunnel port.
func (t *touched) peers(last, next *input, changes []overlay.Change[overlay.Node]) {
	if last.host.Tunnel != next.host.Tunnel || last.host.Node != next.host.Node {
		for _, in := range []*input{last, next} {
			for n := range in.snapshot.Nodes() {
				t.nodes[n.Name] = true
			}
			for network := range in.locals {
				t.all(network)
			}
		}
		return
	}
	for _, c := range changes {
		name := either(c).Name
		t.nodes[name] = true
		for _, in := range []*input{last, next} {
			for network := range in.locals {
				if !in.snapshot.HasMember(network, name) {
					continue
				}
				t.networks[network] = true
				for e := range in.snapshot.Endpoints(network) {
					if e.Node == name {
						t.endpoint(network, e.ID)
					}
				}
			}
		}
	}
}

// ports touches what follows from ports that came, went or got another number,
// and whole networks that got their first or lost their last.
func (t *touched) ports(last, next *input) {
	for _, in := range []*input{last, next} {
		for id, p := range in.host.Ports {
			if last.host.Ports[id] != next.host.Ports[id] {
				t.endpoint(p.Network, id)
				t.networks[p.Network] = true
			}
		}
		for network := range in.locals {
			if len(last.locals[network]) == 0 || len(next.locals[network]) == 0 {
				t.all(network)
			}
		}
	}
}

func (t *touched) all(network string) { t.whole[network], t.networks[network] = true, true }

func (t *touched) endpoint(network, id string) {
	if t.endpoints[network] == nil {
		t.endpoints[network] = map[string]bool{}
	}
	t.endpoints[network][id] = true
}

// flows makes the touched units from one input.
func (t *touched) flows(in *input) []Flow {
	var flows []Flow
	for name := range t.nodes {
		if n, ok := in.snapshot.Node(name); ok {
			flows = append(flows, in.nodeFlows(n)...)
		}
	}
	for network := range t.networks {
		flows = append(flows, in.networkFlows(network)...)
	}
	for network := range t.whole {
		for e := range in.snapshot.Endpoints(network) {
			flows = append(flows, in.endpointFlows(e)...)
		}
	}
	for network, ids := range t.endpoints {
		if t.whole[network] {
			continue
		}
		for id := range ids {
			if e, ok := in.snapshot.Endpoint(network, id); ok {
				flows = append(flows, in.endpointFlows(e)...)
			}
		}
	}
	return flows
}

// difference returns what leads from one list of flows to the other.
func difference(before, after []Flow) Delta {
	old := make(map[Key]Flow, len(before))
	for _, f := range before {
		old[f.Key] = f
	}
	var d Delta
	for _, f := range after {
		if was, ok := old[f.Key]; !ok || was.Actions != f.Actions || was.Cookie != f.Cookie {
			d.Add = append(d.Add, f)
		}
		delete(old, f.Key)
	}
	d.Delete = slices.Collect(maps.Keys(old))
	d.sort()
	return d
}

// Diff returns what leads from the installed flows to the desired ones. Flows
// whose cookie is not ours stay, and are returned as foreign, unless a desired
// flow has their key.
func Diff(desired iter.Seq[Flow], installed []Installed) (change Delta, foreign []Installed) {
	want := map[Key]bool{}
	var after, before []Flow
	for f := range desired {
		want[f.Key] = true
		after = append(after, f)
	}
	for _, f := range installed {
		if !Ours(f.Cookie) && !want[f.Key] {
			foreign = append(foreign, f)
			continue
		}
		before = append(before, f.Flow)
	}
	return difference(before, after), foreign
}
