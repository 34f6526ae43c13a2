package flows

import (
	"iter"

	"github.com/ovsnet/ovsnet/overlay"
)

// touched are the units that may differ between two inputs. It may name more
// than do, never fewer.
type touched struct {
	// everything stands for all units.
	everything bool
	// nodes are names; networks and whole are network IDs, whole those with all
	// of their endpoints.
	nodes, networks, whole map[string]bool
	endpoints              map[endpointKey]bool
}

// endpointKey names an endpoint by two IDs.
type endpointKey struct{ network, id string }

// touch finds the units of everything that differs.
func touch(last, next *input) *touched {
	t := &touched{nodes: map[string]bool{}, networks: map[string]bool{}, whole: map[string]bool{}, endpoints: map[endpointKey]bool{}}
	if last.host.Tunnel != next.host.Tunnel || last.host.Node != next.host.Node {
		t.everything = true
		return t
	}
	changes := overlay.Diff(last.snapshot, next.snapshot)
	for _, c := range changes.Networks {
		if c.Before == nil || c.After == nil || c.Before.VNI != c.After.VNI {
			t.whole[either(c).ID] = true
		}
	}
	for _, c := range changes.Endpoints {
		t.endpoint(last, next, c)
	}
	t.ports(last, next)
	t.peers(last, next, changes.Nodes)
	for network := range t.networks {
		_, was := last.active(network)
		if _, is := next.active(network); was != is {
			t.whole[network] = true
		}
	}
	return t
}

func either[T any](c overlay.Change[T]) *T {
	if c.After != nil {
		return c.After
	}
	return c.Before
}

// endpoint touches the endpoint, and its network where that gained or lost a
// member host or the endpoint is here.
func (t *touched) endpoint(last, next *input, c overlay.Change[overlay.Endpoint]) {
	for _, e := range []*overlay.Endpoint{c.Before, c.After} {
		if e == nil {
			continue
		}
		t.endpoints[endpointKey{e.Network, e.ID}] = true
		if e.Node == next.host.Node || last.snapshot.HasMember(e.Network, e.Node) != next.snapshot.HasMember(e.Network, e.Node) {
			t.networks[e.Network] = true
		}
	}
}

// ports touches the endpoints whose port came, went or moved, and their networks.
func (t *touched) ports(last, next *input) {
	for _, in := range []*input{last, next} {
		for id, p := range in.host.Ports {
			if last.host.Ports[id] != next.host.Ports[id] {
				t.endpoints[endpointKey{p.Network, id}] = true
				t.networks[p.Network] = true
			}
		}
	}
}

// peers touches the changed nodes and, where one is reached by another address
// than before, its endpoints in the networks that have flows here. However many
// nodes changed, it looks at each endpoint once.
func (t *touched) peers(last, next *input, changes []overlay.Change[overlay.Node]) {
	moved := map[string]bool{}
	for _, c := range changes {
		name := either(c).Name
		t.nodes[name] = true
		was, reached := last.peer(name)
		is, reachable := next.peer(name)
		if was != is || reached != reachable {
			moved[name] = true
		}
	}
	if len(moved) == 0 {
		return
	}
	for _, in := range []*input{last, next} {
		for network := range in.locals {
			t.members(in, network, moved)
		}
	}
}

// members touches a network that some of the nodes are in, and their endpoints.
func (t *touched) members(in *input, network string, nodes map[string]bool) {
	member := false
	for host := range in.snapshot.MemberHosts(network) {
		member = member || nodes[host]
	}
	if !member {
		return
	}
	t.networks[network] = true
	for e := range in.snapshot.Endpoints(network) {
		if nodes[e.Node] {
			t.endpoints[endpointKey{network, e.ID}] = true
		}
	}
}

// units yields the touched units' flows in one of the inputs.
func (t *touched) units(in *input) iter.Seq[[]Flow] {
	if t.everything {
		return in.units()
	}
	return func(yield func([]Flow) bool) {
		for name := range t.nodes {
			if !yield(in.ofNode(name)) {
				return
			}
		}
		for network := range t.networks {
			if !t.whole[network] && !yield(in.ofNetwork(network)) {
				return
			}
		}
		for network := range t.whole {
			if !in.ofWhole(network, yield) {
				return
			}
		}
		for e := range t.endpoints {
			if !t.whole[e.network] && !yield(in.ofEndpoint(e.network, e.id)) {
				return
			}
		}
	}
}
