package flows_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// world makes random changes to a snapshot and a host, among them such that no
// claim in etcd allows: two objects with one address, VNI or port.
type world struct {
	edit *overlay.Editor
	host flows.Host
}

// newWorld has three networks, each with two endpoints here and six elsewhere.
func newWorld() *world {
	c := newCluster("h1", "h2", "h3", "h4").network("n1", 1, "10.0.0.0/24").network("n2", 2, "10.0.0.0/24").network("n3", 3, "10.0.0.0/24")
	for i := range 8 {
		for n := range 3 {
			c.endpoint(fmt.Sprintf("n%d", n+1), fmt.Sprintf("e%d", 1+(i+2*n)%8), fmt.Sprintf("h%d", 1+i/2))
		}
	}
	return &world{edit: c.edit, host: flows.Host{Node: "h1", Tunnel: 1, Ports: map[string]flows.Port{
		"e1": {Network: "n1", OFPort: 2}, "e3": {Network: "n2", OFPort: 3}, "e5": {Network: "n3", OFPort: 4},
	}}}
}

// step makes one random change.
func (w *world) step(t *rapid.T) {
	network := rapid.SampledFrom([]string{"n1", "n2", "n3"}).Draw(t, "network")
	node := rapid.SampledFrom([]string{"h1", "h2", "h3", "h4"}).Draw(t, "node")
	id := fmt.Sprintf("e%d", rapid.IntRange(1, 8).Draw(t, "endpoint"))
	switch rapid.SampledFrom([]string{"node", "no node", "network", "no network", "endpoint", "endpoint", "no endpoint", "forget", "port", "port", "no port", "tunnel", "name"}).Draw(t, "change") {
	case "node":
		w.edit.SetNode(overlay.Node{Name: node, VTEPs: []netip.Addr{drawVTEP(t), drawVTEP(t)}})
	case "no node":
		w.edit.DeleteNode(node)
	case "network":
		w.edit.SetNetwork(overlay.Network{ID: network, Name: network, VNI: uint32(rapid.IntRange(1, 4).Draw(t, "vni"))})
	case "no network":
		w.edit.DeleteNetwork(network)
	case "endpoint":
		e := overlay.Endpoint{ID: id, Network: network, Node: node, MAC: overlay.MAC{2, 5: byte(rapid.IntRange(1, 8).Draw(t, "mac"))}}
		if last := rapid.IntRange(0, 8).Draw(t, "address"); last > 0 {
			e.IPv4 = netip.AddrFrom4([4]byte{10, 0, 0, byte(last)})
		}
		w.edit.SetEndpoint(e)
	case "no endpoint":
		w.edit.DeleteEndpoint(network, id)
	case "forget":
		w.edit.ForgetEndpoints(network)
	case "port":
		w.plug(id, flows.Port{Network: network, OFPort: uint32(rapid.IntRange(2, 12).Draw(t, "ofport"))})
	case "no port":
		w.plug(id, flows.Port{})
	case "tunnel":
		w.host.Tunnel = uint32(rapid.IntRange(0, 2).Draw(t, "tunnel") % 3)
	case "name":
		w.host.Node = rapid.SampledFrom([]string{"h1", "h1", "h2"}).Draw(t, "own name")
	}
}

// plug gives the endpoint a port, or takes it where the port is zero. Earlier
// maps stay as they are, as the compiler may hold them.
func (w *world) plug(id string, p flows.Port) {
	w.host.Ports = maps.Clone(w.host.Ports)
	w.host.Ports[id] = p
	if p == (flows.Port{}) {
		delete(w.host.Ports, id)
	}
}

func drawVTEP(t *rapid.T) netip.Addr {
	if rapid.IntRange(0, 3).Draw(t, "family") == 0 {
		return netip.MustParseAddr("2001:db8::1")
	}
	return vtep(rapid.IntRange(0, 5).Draw(t, "vtep"))
}

// Any sequence of updates ends in the flows of a fresh start, each delta is
// exactly the change, and what OVS would print of them differs in nothing.
func TestUpdatesEqualFreshStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		compiler := flows.NewCompiler(route)
		table := map[flows.Key]flows.Flow{}
		for range rapid.IntRange(1, 60).Draw(t, "rounds") {
			for range rapid.IntRange(0, 3).Draw(t, "steps") {
				w.step(t)
			}
			s := w.edit.Snapshot()
			delta := compiler.Update(s, w.host)
			for _, k := range delta.Delete {
				if _, ok := table[k]; !ok {
					t.Fatalf("deletes what is not there: %v", k)
				}
				delete(table, k)
			}
			for _, f := range delta.Add {
				if table[f.Key] == f {
					t.Fatalf("adds what is there: %s", f)
				}
				table[f.Key] = f
			}
			want := flows.Compile(s, w.host, route)
			if compiler.Len() != len(want) {
				t.Fatalf("Len says %d, there are %d", compiler.Len(), len(want))
			}
			if diff := cmp.Diff(lines(want), lines(slices.SortedFunc(compiler.Flows(), flows.Compare))); diff != "" {
				t.Fatalf("flows (-fresh +held):\n%s", diff)
			}
			got := slices.SortedFunc(maps.Values(table), flows.Compare)
			if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
				t.Fatalf("flows (-fresh +updated):\n%s", diff)
			}
			change, foreign := flows.Diff(compiler.Flows(), printed(t, want))
			if !change.Empty() || len(foreign) > 0 {
				t.Fatalf("differs from its own print: %+v, foreign %v", change, foreign)
			}
		}
	})
}

// A compiler that only follows, now and then, holds what a fresh start makes, and
// its next difference is exact.
func TestFollowingEqualsFreshStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		compiler := flows.NewCompiler(route)
		var held []flows.Flow
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			for range rapid.IntRange(0, 3).Draw(t, "steps") {
				w.step(t)
			}
			s := w.edit.Snapshot()
			want := flows.Compile(s, w.host, route)
			if rapid.Bool().Draw(t, "follow") {
				compiler.Follow(s, w.host)
			} else {
				delta := compiler.Update(s, w.host)
				if change, _ := flows.Diff(slices.Values(want), printed(t, held)); len(delta.Add) != len(change.Add) || len(delta.Delete) != len(change.Delete) {
					t.Fatalf("change %+v, want %+v", delta, change)
				}
			}
			held = want
			if compiler.Len() != len(want) {
				t.Fatalf("Len says %d, there are %d", compiler.Len(), len(want))
			}
			if diff := cmp.Diff(lines(want), lines(slices.SortedFunc(compiler.Flows(), flows.Compare))); diff != "" {
				t.Fatalf("flows (-fresh +held):\n%s", diff)
			}
		}
	})
}

// lines writes flows with their reasons, for comparing.
func lines(list []flows.Flow) []string {
	var all []string
	for _, f := range list {
		all = append(all, fmt.Sprintf("%s # %+v", f, f.Why))
	}
	return all
}

// dump writes flows as ovs-ofctl does.
func dump(list []flows.Flow) string {
	var text strings.Builder
	text.WriteString("OFPST_FLOW reply (OF1.5) (xid=0x2):\n")
	for _, f := range list {
		words := strings.TrimSuffix(fmt.Sprintf("priority=%d,%s", f.Priority, f.Match), ",")
		_, _ = fmt.Fprintf(&text, " cookie=%#x, duration=1.5s, table=%d, n_packets=1, n_bytes=2, idle_age=0, %s actions=%s\n", f.Cookie, uint8(f.Table), words, f.Actions)
	}
	return text.String()
}

// printed returns the flows after they went through a dump.
func printed(t interface{ Fatal(...any) }, list []flows.Flow) []flows.Installed {
	parsed, err := flows.ParseDump(strings.NewReader(dump(list)))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// Applying a diff to any installed flows gives the desired ones, and leaves
// foreign ones alone.
func TestDiffLeadsToDesired(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) []flows.Flow {
			w := newWorld()
			for range rapid.IntRange(0, 40).Draw(t, label) {
				w.step(t)
			}
			return flows.Compile(w.edit.Snapshot(), w.host, route)
		}
		desired, before := draw("desired"), printed(t, draw("before"))
		stranger := flows.Installed{Flow: flows.Flow{Key: flows.Key{Table: 3, Priority: 7}, Cookie: 0x1234}}
		change, foreign := flows.Diff(slices.Values(desired), append(before, stranger))
		if len(foreign) != 1 || foreign[0] != stranger {
			t.Fatalf("foreign flows: %v", foreign)
		}
		table := map[flows.Key]flows.Actions{}
		for _, f := range before {
			table[f.Key] = f.Actions
		}
		for _, k := range change.Delete {
			delete(table, k)
		}
		for _, f := range change.Add {
			table[f.Key] = f.Actions
		}
		want := map[flows.Key]flows.Actions{}
		for _, f := range desired {
			want[f.Key] = f.Actions
		}
		if diff := cmp.Diff(want, table, cmpopts.EquateComparable(flows.Key{}, flows.Actions{})); diff != "" {
			t.Fatalf("flows (-desired +reached):\n%s", diff)
		}
	})
}

// No change can ever be written as a delete that is not strict.
func TestNoLooseDelete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		compiler := flows.NewCompiler(route)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			w.step(t)
			delta := compiler.Update(w.edit.Snapshot(), w.host)
			delta.Delete = append(delta.Delete, flows.Key{})
			var text strings.Builder
			if err := delta.WriteBundle(&text); err != nil {
				t.Fatal(err)
			}
			written := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
			if len(written) != len(delta.Add)+len(delta.Delete) {
				t.Fatalf("%d lines for %d changes", len(written), len(delta.Add)+len(delta.Delete))
			}
			for i, line := range written {
				deletes := strings.HasPrefix(line, "flow delete_strict table=") && strings.Contains(line, ",priority=") && i < len(delta.Delete)
				adds := strings.HasPrefix(line, "flow add priority=") && strings.Contains(line, ",actions=") && i >= len(delta.Delete)
				if deletes == adds || strings.Contains(line, ",,") {
					t.Fatalf("line %d is neither a strict delete nor an add: %s", i+1, line)
				}
			}
		}
	})
}
