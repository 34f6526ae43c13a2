package flows_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

type netipAddr = netip.Addr

func vtep(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, byte(2 + i/250), byte(1 + i%250)})
}

// world makes random changes to a snapshot and a host.
type world struct {
	edit *overlay.Editor
	host flows.Host
}

// step makes one random change.
func (w *world) step(t *rapid.T) {
	networks := []string{"n1", "n2", "n3"}
	nodes := []string{"h1", "h2", "h3"}
	network := rapid.SampledFrom(networks).Draw(t, "network")
	node := rapid.SampledFrom(nodes).Draw(t, "node")
	number := rapid.IntRange(1, 6).Draw(t, "number")
	id := fmt.Sprintf("%s-e%d", network, number)
	switch rapid.SampledFrom([]string{"node", "no node", "network", "no network", "endpoint", "no endpoint", "forget", "port", "no port", "tunnel"}).Draw(t, "change") {
	case "node":
		w.edit.SetNode(overlay.Node{Name: node, VTEPs: []netip.Addr{vtep(10*slices.Index(nodes, node) + rapid.IntRange(0, 2).Draw(t, "vtep"))}})
	case "no node":
		w.edit.DeleteNode(node)
	case "network":
		w.edit.SetNetwork(overlay.Network{ID: network, Name: network, VNI: uint32(10*slices.Index(networks, network) + rapid.IntRange(1, 2).Draw(t, "vni"))})
	case "no network":
		w.edit.DeleteNetwork(network)
	case "endpoint":
		addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(number)})
		w.edit.SetEndpoint(overlay.Endpoint{ID: id, Network: network, Node: node, MAC: overlay.MACFromAddr(addr), IPv4: addr})
	case "no endpoint":
		w.edit.DeleteEndpoint(network, id)
	case "forget":
		w.edit.ForgetEndpoints(network)
	case "port":
		w.host.Ports = maps.Clone(w.host.Ports)
		w.host.Ports[id] = flows.Port{Network: network, OFPort: uint32(100*slices.Index(networks, network) + 10*number + rapid.IntRange(2, 3).Draw(t, "ofport"))}
	case "no port":
		w.host.Ports = maps.Clone(w.host.Ports)
		delete(w.host.Ports, id)
	case "tunnel":
		w.host.Tunnel = rapid.SampledFrom([]uint32{0, 1, 2}).Draw(t, "tunnel")
	}
}

// Any sequence of updates ends in the flows of a fresh start, each delta is
// exactly the change, and what OVS would print of them differs in nothing.
func TestUpdatesEqualFreshStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{edit: overlay.NewSnapshot().Edit(), host: flows.Host{Node: "h1", Tunnel: 1, Ports: map[string]flows.Port{}}}
		compiler := flows.NewCompiler(route)
		table := map[flows.Key]flows.Flow{}
		for range rapid.IntRange(1, 30).Draw(t, "rounds") {
			for range rapid.IntRange(0, 4).Draw(t, "steps") {
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
			got := slices.SortedFunc(maps.Values(table), flows.Compare)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("flows (-fresh +updated):\n%s", diff)
			}
			change, foreign := flows.Diff(compiler.Flows(), printed(t, want))
			if !change.Empty() || len(foreign) > 0 {
				t.Fatalf("differs from its own print: %+v, foreign %v", change, foreign)
			}
		}
	})
}

// printed returns the flows after they went through a dump.
func printed(t interface{ Fatal(...any) }, list []flows.Flow) []flows.Installed {
	var dump strings.Builder
	for _, f := range list {
		_, _ = fmt.Fprintf(&dump, " cookie=%#x, duration=1.5s, table=%d, n_packets=1, n_bytes=2, priority=%d", f.Cookie, uint8(f.Table), f.Priority)
		if f.Match != "" {
			dump.WriteString("," + string(f.Match))
		}
		dump.WriteString(" actions=" + string(f.Actions) + "\n")
	}
	parsed, err := flows.ParseDump(strings.NewReader(dump.String()))
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
			w := &world{edit: overlay.NewSnapshot().Edit(), host: flows.Host{Node: "h1", Tunnel: 1, Ports: map[string]flows.Port{}}}
			for range rapid.IntRange(0, 40).Draw(t, label) {
				w.step(t)
			}
			return flows.Compile(w.edit.Snapshot(), w.host, route)
		}
		desired, before := draw("desired"), printed(t, draw("before"))
		stranger := flows.Installed{Flow: flows.Flow{Key: flows.Key{Table: 3, Priority: 7, Match: "ip"}, Actions: "drop", Cookie: 0x1234}}
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
		if diff := cmp.Diff(want, table); diff != "" {
			t.Fatalf("flows (-desired +reached):\n%s", diff)
		}
	})
}

// No change can ever be written as a delete that is not strict.
func TestNoLooseDelete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{edit: overlay.NewSnapshot().Edit(), host: flows.Host{Node: "h1", Tunnel: 1, Ports: map[string]flows.Port{}}}
		compiler := flows.NewCompiler(route)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			w.step(t)
			delta := compiler.Update(w.edit.Snapshot(), w.host)
			lines, err := delta.BundleLines()
			if err != nil {
				t.Fatal(err)
			}
			if len(lines) != len(delta.Add)+len(delta.Delete) {
				t.Fatalf("%d lines for %d changes", len(lines), len(delta.Add)+len(delta.Delete))
			}
			for _, line := range lines {
				if strings.HasPrefix(line, "flow delete_strict table=") && strings.Contains(line, ",priority=") || strings.HasPrefix(line, "flow add priority=") {
					continue
				}
				t.Fatalf("neither a strict delete nor an add: %s", line)
			}
		}
	})
}
