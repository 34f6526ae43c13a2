package overlay_test

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/overlay"
)

// model is a Snapshot as anybody would write it: maps that are copied.
type model struct {
	nodes       map[string]overlay.Node
	networks    map[string]overlay.Network
	attachments map[[2]string]overlay.Attachment
	endpoints   map[[2]string]overlay.Endpoint
	revision    int64
}

func newModel() model {
	return model{map[string]overlay.Node{}, map[string]overlay.Network{}, map[[2]string]overlay.Attachment{}, map[[2]string]overlay.Endpoint{}, 0}
}

func (m model) clone() model {
	return model{maps.Clone(m.nodes), maps.Clone(m.networks), maps.Clone(m.attachments), maps.Clone(m.endpoints), m.revision}
}

// edit makes one drawn change to both.
func edit(t *rapid.T, e *overlay.Editor, m *model) {
	word := func(label string, words ...string) string { return rapid.SampledFrom(words).Draw(t, label) }
	node, network, endpoint := word("node", "h1", "h2", "h3"), word("network", "n1", "n2"), word("endpoint", "e1", "e2", "e3", "e4")
	number := rapid.IntRange(1, 3).Draw(t, "number")
	switch rapid.IntRange(0, 9).Draw(t, "what") {
	case 0:
		n := overlay.Node{Name: node, MTU: number, VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(number)})}}
		m.nodes[node] = n
		e.SetNode(n)
	case 1:
		delete(m.nodes, node)
		e.DeleteNode(node)
	case 2:
		n := overlay.Network{ID: network, Name: fmt.Sprintf("%s-%d", network, number), Subnets: []overlay.Subnet{{Prefix: prefix("10.0.0.0/24")}}}
		m.networks[network] = n
		e.SetNetwork(n)
	case 3:
		delete(m.networks, network)
		e.DeleteNetwork(network)
	case 4:
		a := overlay.Attachment{Network: network, Node: node, DockerNetwork: fmt.Sprint(number)}
		m.attachments[[2]string{network, node}] = a
		e.SetAttachment(a)
	case 5:
		delete(m.attachments, [2]string{network, node})
		e.DeleteAttachment(network, node)
	case 6, 7:
		ep := overlay.Endpoint{ID: endpoint, Network: network, Node: node, Revision: int64(number)}
		m.endpoints[[2]string{network, endpoint}] = ep
		e.SetEndpoint(ep)
	case 8:
		delete(m.endpoints, [2]string{network, endpoint})
		e.DeleteEndpoint(network, endpoint)
	case 9:
		if number > 1 { // less often, else no network ever fills
			m.revision = max(m.revision, int64(number))
			e.Seen(int64(number))
			return
		}
		maps.DeleteFunc(m.endpoints, func(key [2]string, _ overlay.Endpoint) bool { return key[0] == network })
		e.ForgetEndpoints(network)
	}
}

func same[T any](t *rapid.T, what string, got, want T) {
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: got %+v, want %+v", what, got, want)
	}
}

// ordered returns the model's values in the order of their keys.
func ordered[K interface{ string | [2]string }, V any](m map[K]V) []V {
	keys := slices.SortedFunc(maps.Keys(m), func(a, b K) int { return slices.Compare([]string{fmt.Sprint(a)}, []string{fmt.Sprint(b)}) })
	var values []V
	for _, k := range keys {
		values = append(values, m[k])
	}
	return values
}

func checkSnapshot(t *rapid.T, s *overlay.Snapshot, m model) {
	same(t, "revision", s.Revision(), m.revision)
	same(t, "nodes", slices.Collect(s.Nodes()), ordered(m.nodes))
	same(t, "networks", slices.Collect(s.Networks()), ordered(m.networks))
	same(t, "attachments", slices.Collect(s.Attachments()), ordered(m.attachments))
	for _, name := range []string{"h1", "h2", "h3"} {
		got, ok := s.Node(name)
		want, has := m.nodes[name]
		same(t, "node "+name, got, want)
		same(t, "has node "+name, ok, has)
		var on []overlay.Endpoint
		for _, e := range ordered(m.endpoints) {
			if e.Node == name {
				on = append(on, e)
			}
		}
		same(t, "endpoints on "+name, slices.Collect(s.EndpointsOn(name)), on)
	}
	var followed []string
	for _, id := range []string{"n1", "n2"} {
		checkNetwork(t, s, m, id)
		if s.EndpointCount(id) > 0 {
			followed = append(followed, id)
		}
	}
	same(t, "networks with endpoints", slices.Collect(s.MemberNetworks()), followed)
}

func checkNetwork(t *rapid.T, s *overlay.Snapshot, m model, id string) {
	got, ok := s.Network(id)
	want, has := m.networks[id]
	same(t, "network "+id, got, want)
	same(t, "has network "+id, ok, has)
	for i := 1; i <= 3; i++ {
		name := fmt.Sprintf("%s-%d", id, i)
		got, ok := s.NetworkNamed(name)
		if ok != (want.Name == name) || ok && got.ID != id {
			t.Fatalf("network named %q: %+v, %v; the network is %+v", name, got, ok, want)
		}
	}
	members, endpoints := map[string]int{}, []overlay.Endpoint(nil)
	for _, e := range ordered(m.endpoints) {
		if e.Network == id {
			members[e.Node]++
			endpoints = append(endpoints, e)
			found, ok := s.Endpoint(id, e.ID)
			same(t, "endpoint "+e.ID, found, e)
			same(t, "has endpoint "+e.ID, ok, true)
		}
	}
	same(t, "endpoints of "+id, slices.Collect(s.Endpoints(id)), endpoints)
	same(t, "number of endpoints of "+id, s.EndpointCount(id), len(endpoints))
	same(t, "member hosts of "+id, maps.Collect(s.MemberHosts(id)), members)
	for _, node := range []string{"h1", "h2", "h3"} {
		same(t, node+" is a member of "+id, s.HasMember(id, node), members[node] > 0)
		a, ok := s.Attachment(id, node)
		want, has := m.attachments[[2]string{id, node}]
		same(t, "attachment of "+node, a, want)
		same(t, "has attachment of "+node, ok, has)
	}
}

// apply makes the changes to a copy of the model, failing where one does not
// begin at what is there.
func apply[K comparable, V any](t *rapid.T, values map[K]V, key func(V) K, changes []overlay.Change[V]) {
	for _, c := range changes {
		switch {
		case c.Before == nil && c.After == nil:
			t.Fatal("a change of nothing into nothing")
		case c.Before == nil:
			if old, ok := values[key(*c.After)]; ok {
				t.Fatalf("%+v is said to be new, but was %+v", *c.After, old)
			}
		default:
			same(t, "before", *c.Before, values[key(*c.Before)])
			delete(values, key(*c.Before))
		}
		if c.After != nil {
			values[key(*c.After)] = *c.After
		}
	}
}

func checkChanges(t *rapid.T, before, after model, c overlay.Changes) {
	got := before.clone()
	apply(t, got.nodes, func(n overlay.Node) string { return n.Name }, c.Nodes)
	apply(t, got.networks, func(n overlay.Network) string { return n.ID }, c.Networks)
	apply(t, got.attachments, func(a overlay.Attachment) [2]string { return [2]string{a.Network, a.Node} }, c.Attachments)
	apply(t, got.endpoints, func(e overlay.Endpoint) [2]string { return [2]string{e.Network, e.ID} }, c.Endpoints)
	got.revision = after.revision
	same(t, "before with the changes", got, after)
	for _, change := range c.Endpoints {
		if change.Before != nil && change.After != nil && reflect.DeepEqual(*change.Before, *change.After) {
			t.Fatalf("%+v did not change", *change.Before)
		}
	}
	if c.Empty() != (reflect.DeepEqual(before.nodes, after.nodes) && reflect.DeepEqual(before.networks, after.networks) &&
		reflect.DeepEqual(before.attachments, after.attachments) && reflect.DeepEqual(before.endpoints, after.endpoints)) {
		t.Fatalf("Empty() is %v for %+v", c.Empty(), c)
	}
}

func TestSnapshotAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, s := newModel(), overlay.NewSnapshot()
		snapshots, models := []*overlay.Snapshot{s}, []model{m.clone()}
		for range rapid.IntRange(1, 8).Draw(t, "snapshots") {
			e := s.Edit()
			for range rapid.IntRange(0, 12).Draw(t, "edits") {
				edit(t, e, &m)
			}
			s = e.Snapshot()
			snapshots, models = append(snapshots, s), append(models, m.clone())
		}
		for i := range snapshots { // an edit may not show in what was there before
			checkSnapshot(t, snapshots[i], models[i])
		}
		i, j := rapid.IntRange(0, len(models)-1).Draw(t, "from"), rapid.IntRange(0, len(models)-1).Draw(t, "to")
		checkChanges(t, models[i], models[j], overlay.Diff(snapshots[i], snapshots[j]))
	})
}

func TestEditorMayBeUsedOn(t *testing.T) {
	e := overlay.NewSnapshot().Edit()
	e.SetNode(overlay.Node{Name: "h1"})
	first := e.Snapshot()
	e.SetNode(overlay.Node{Name: "h2"})
	if n := len(slices.Collect(first.Nodes())); n != 1 {
		t.Errorf("the first snapshot has %d nodes after a later edit", n)
	}
	if n := len(slices.Collect(e.Snapshot().Nodes())); n != 2 {
		t.Errorf("the second snapshot has %d nodes", n)
	}
}

// A name may pass to a new network before the old one's end is seen.
func TestNetworkNamePassesOn(t *testing.T) {
	e := overlay.NewSnapshot().Edit()
	e.SetNetwork(overlay.Network{ID: "old", Name: "web"})
	e.SetNetwork(overlay.Network{ID: "new", Name: "web"})
	e.DeleteNetwork("old")
	if n, ok := e.Snapshot().NetworkNamed("web"); !ok || n.ID != "new" {
		t.Errorf("web is %+v, %v", n, ok)
	}
	e.DeleteNetwork("new")
	if n, ok := e.Snapshot().NetworkNamed("web"); ok {
		t.Errorf("web is still %+v", n)
	}
}

// What was read twice from etcd is the same, though its times lie elsewhere.
func TestDiffOfTheSameReadTwice(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	read := func(zone *time.Location) *overlay.Snapshot {
		e := overlay.NewSnapshot().Edit()
		e.SetNode(overlay.Node{Name: "h1", VTEPs: addrs("192.0.2.1")})
		e.SetNetwork(overlay.Network{ID: "n1", Name: "web", Created: at.In(zone), Subnets: []overlay.Subnet{{Prefix: prefix("10.0.0.0/24"), Aux: addrs("10.0.0.9")}}})
		e.SetAttachment(overlay.Attachment{Network: "n1", Node: "h1", Created: at.In(zone)})
		e.SetEndpoint(overlay.Endpoint{ID: "e1", Network: "n1", Node: "h1", Names: []string{"a"}, Created: at.In(zone)})
		return e.Snapshot()
	}
	if c := overlay.Diff(read(time.UTC), read(time.FixedZone("", 0))); !c.Empty() {
		t.Errorf("differences: %+v", c)
	}
}

// One field changed at a time: each is a difference.
func TestDiffSeesEveryField(t *testing.T) {
	set := map[string]func(e *overlay.Editor){
		"node VTEPs":       func(e *overlay.Editor) { e.SetNode(overlay.Node{Name: "h1", VTEPs: addrs("192.0.2.1")}) },
		"node region":      func(e *overlay.Editor) { e.SetNode(overlay.Node{Name: "h1", Region: "x"}) },
		"node datapath":    func(e *overlay.Editor) { e.SetNode(overlay.Node{Name: "h1", Datapath: "x"}) },
		"node MTU":         func(e *overlay.Editor) { e.SetNode(overlay.Node{Name: "h1", MTU: 1}) },
		"node version":     func(e *overlay.Editor) { e.SetNode(overlay.Node{Name: "h1", Version: "x"}) },
		"node revision":    func(e *overlay.Editor) { e.SetNode(overlay.Node{Name: "h1", Revision: 1}) },
		"network name":     func(e *overlay.Editor) { e.SetNetwork(overlay.Network{ID: "n1", Name: "x"}) },
		"network VNI":      func(e *overlay.Editor) { e.SetNetwork(overlay.Network{ID: "n1", VNI: 1}) },
		"network space":    func(e *overlay.Editor) { e.SetNetwork(overlay.Network{ID: "n1", Space: "x"}) },
		"network MTU":      func(e *overlay.Editor) { e.SetNetwork(overlay.Network{ID: "n1", MTU: 1}) },
		"network internal": func(e *overlay.Editor) { e.SetNetwork(overlay.Network{ID: "n1", Internal: true}) },
		"network durable":  func(e *overlay.Editor) { e.SetNetwork(overlay.Network{ID: "n1", Durable: true}) },
		"network revision": func(e *overlay.Editor) { e.SetNetwork(overlay.Network{ID: "n1", Revision: 1}) },
		"network subnets":  func(e *overlay.Editor) { e.SetNetwork(overlay.Network{ID: "n1", Subnets: make([]overlay.Subnet, 1)}) },
		"attachment Docker": func(e *overlay.Editor) {
			e.SetAttachment(overlay.Attachment{Network: "n1", Node: "h1", DockerNetwork: "x"})
		},
		"attachment name": func(e *overlay.Editor) {
			e.SetAttachment(overlay.Attachment{Network: "n1", Node: "h1", DockerName: "x"})
		},
		"attachment pool": func(e *overlay.Editor) { e.SetAttachment(overlay.Attachment{Network: "n1", Node: "h1", Pool: "x"}) },
		"attachment created": func(e *overlay.Editor) {
			e.SetAttachment(overlay.Attachment{Network: "n1", Node: "h1", Created: time.Unix(1, 0)})
		},
		"attachment revision": func(e *overlay.Editor) { e.SetAttachment(overlay.Attachment{Network: "n1", Node: "h1", Revision: 1}) },
		"endpoint node":       func(e *overlay.Editor) { e.SetEndpoint(overlay.Endpoint{ID: "e1", Network: "n1", Node: "h2"}) },
		"endpoint MAC": func(e *overlay.Editor) {
			e.SetEndpoint(overlay.Endpoint{ID: "e1", Network: "n1", Node: "h1", MAC: overlay.MAC{2}})
		},
		"endpoint IPv4": func(e *overlay.Editor) {
			e.SetEndpoint(overlay.Endpoint{ID: "e1", Network: "n1", Node: "h1", IPv4: addr("10.0.0.2")})
		},
		"endpoint IPv6": func(e *overlay.Editor) {
			e.SetEndpoint(overlay.Endpoint{ID: "e1", Network: "n1", Node: "h1", IPv6: addr("fd00::2")})
		},
		"endpoint names": func(e *overlay.Editor) {
			e.SetEndpoint(overlay.Endpoint{ID: "e1", Network: "n1", Node: "h1", Names: []string{"a"}})
		},
		"endpoint revision": func(e *overlay.Editor) {
			e.SetEndpoint(overlay.Endpoint{ID: "e1", Network: "n1", Node: "h1", Revision: 1})
		},
	}
	e := overlay.NewSnapshot().Edit()
	e.SetNode(overlay.Node{Name: "h1"})
	e.SetNetwork(overlay.Network{ID: "n1"})
	e.SetAttachment(overlay.Attachment{Network: "n1", Node: "h1"})
	e.SetEndpoint(overlay.Endpoint{ID: "e1", Network: "n1", Node: "h1"})
	before := e.Snapshot()
	for name, change := range set {
		e := before.Edit()
		change(e)
		if overlay.Diff(before, e.Snapshot()).Empty() {
			t.Errorf("%s: no difference seen", name)
		}
	}
}

func TestFindEndpoints(t *testing.T) {
	e := overlay.NewSnapshot().Edit()
	e.SetEndpoint(overlay.Endpoint{ID: "bb", Network: "n2", Names: []string{"web"}})
	e.SetEndpoint(overlay.Endpoint{ID: "ab", Network: "n2"})
	e.SetEndpoint(overlay.Endpoint{ID: "aa", Network: "n1", IPv4: addr("10.0.0.2")})
	// A name is meant before the beginning of an ID: many are hexadecimal digits.
	e.SetEndpoint(overlay.Endpoint{ID: "dbdb", Network: "n1"})
	e.SetEndpoint(overlay.Endpoint{ID: "ee", Network: "n2", Names: []string{"db"}})
	e.SetEndpoint(overlay.Endpoint{ID: "eeee", Network: "n1"})
	s := e.Snapshot()
	for word, want := range map[string][]string{"a": {"aa", "ab"}, "web": {"bb"}, "10.0.0.2": {"aa"}, "db": {"ee"}, "dbd": {"dbdb"}, "ee": {"ee"}, "x": nil, "": nil} {
		var got []string
		for _, found := range s.FindEndpoints(word, "") {
			got = append(got, found.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q finds %v, want %v", word, got, want)
		}
	}
	if found := s.FindEndpoints("db", "n1"); len(found) != 1 || found[0].ID != "dbdb" {
		t.Errorf("in n1 there is %v", found)
	}
}

// An endpoint is found by each of its names, IDs and addresses, whole, and by the beginning of its ID.
func TestWaysToCallAnEndpoint(t *testing.T) {
	edit := overlay.NewSnapshot().Edit()
	e := overlay.Endpoint{ID: "0123456789abcdef0123", MAC: overlay.MAC{2, 0x42, 0xa}, IPv4: addr("10.0.0.2"), IPv6: addr("fd00::2"), Names: []string{"web1", "www"}}
	edit.SetEndpoint(e)
	s := edit.Snapshot()
	for _, word := range []string{"0", "0123456789ab", e.ID, "web1", "www", "10.0.0.2", "fd00::2", "02:42:0a:00:00:00", "02:42:0A:00:00:00"} {
		if len(s.FindEndpoints(word, "")) != 1 {
			t.Errorf("%q finds nobody", word)
		}
	}
	for _, word := range []string{"", "1", "web", "10.0.0.20", e.ID + "0"} {
		if found := s.FindEndpoints(word, ""); len(found) > 0 {
			t.Errorf("%q finds %v", word, found)
		}
	}
}

func BenchmarkOneChangeAndDiff(b *testing.B) {
	for _, size := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			e := overlay.NewSnapshot().Edit()
			for i := range size {
				e.SetEndpoint(overlay.Endpoint{ID: fmt.Sprintf("%064x", i), Network: fmt.Sprint(i % 100), Node: fmt.Sprint("h", i%50)})
			}
			s := e.Snapshot()
			b.ReportAllocs()
			for b.Loop() {
				e := s.Edit()
				e.SetEndpoint(overlay.Endpoint{ID: "moved", Network: "7", Node: "h1"})
				if c := overlay.Diff(s, e.Snapshot()); len(c.Endpoints) != 1 {
					b.Fatalf("%d changes, want 1", len(c.Endpoints))
				}
			}
		})
	}
}
