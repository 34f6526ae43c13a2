package flows_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

var update = flag.Bool("update", false, "write the golden files anew")

// vteps makes nodes h1, h2… with these tunnel addresses.
func vteps(addresses ...string) *overlay.Editor {
	edit := overlay.NewSnapshot().Edit()
	for i, a := range addresses {
		edit.SetNode(overlay.Node{Name: fmt.Sprintf("h%d", i+1), VTEPs: []netip.Addr{netip.MustParseAddr(a)}})
	}
	return edit
}

// golden writes a flow as ovs-ofctl does, with the table's name.
func golden(f flows.Flow) string {
	words := strings.TrimSuffix(fmt.Sprintf("priority=%d,%s", f.Priority, f.Match), ",")
	return fmt.Sprintf("%s %s actions=%s", f.Table, words, f.Actions)
}

// Golden files hold a host's flows as ovs-ofctl prints them, with table names.
func TestGolden(t *testing.T) {
	same := newCluster("h1", "h2", "h3").network("blue", 4096, "10.0.0.0/24").network("red", 4097, "10.0.0.0/24").
		endpoint("blue", "b1", "h1").endpoint("blue", "b2", "h2").endpoint("blue", "b3", "h3").
		endpoint("red", "r1", "h1").endpoint("red", "r2", "h2").snapshot()
	two := newCluster("h1", "h2", "h3").network("web", 4096, "10.0.0.0/24").network("db", 4097, "10.1.0.0/24").
		endpoint("web", "web-1", "h1").endpoint("web", "web-2", "h2").endpoint("web", "web-3", "h2").
		endpoint("db", "db-1", "h2").endpoint("db", "db-2", "h3").snapshot()
	dual := (&cluster{edit: vteps("2001:db8::1", "2001:db8::2", "192.0.2.3"), next: map[string]int{}}).network("web", 4096, "10.0.0.0/24").
		endpoint("web", "web-1", "h1").endpoint("web", "web-2", "h2").endpoint("web", "web-3", "h3").snapshot()
	tests := []struct {
		name, node string
		snapshot   *overlay.Snapshot
	}{
		{"one-network-one-host", "h1", newCluster("h1").network("web", 4096, "10.0.0.0/24").endpoint("web", "web-1", "h1").endpoint("web", "web-2", "h1").snapshot()},
		{"two-networks-three-hosts-h1", "h1", two},
		{"two-networks-three-hosts-h2", "h2", two},
		{"two-networks-three-hosts-h3", "h3", two},
		{"host-without-members", "h4", newCluster("h1", "h4").network("web", 4096, "10.0.0.0/24").endpoint("web", "web-1", "h1").snapshot()},
		{"same-addresses-in-two-networks", "h1", same},
		{"ipv6-underlay", "h1", dual},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got bytes.Buffer
			for _, f := range flows.Compile(tt.snapshot, hostOf(tt.snapshot, tt.node), route) {
				_, _ = fmt.Fprintf(&got, "# %s\n%s\n", flows.Reason(f, tt.snapshot), golden(f))
			}
			path := filepath.Join("testdata", tt.name+".flows")
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("flows (-want +got), renew with -update:\n%s", diff)
			}
		})
	}
}

// copies counts, by following the flows as OVS does, how often each port and
// each tunnel destination is sent to for a packet in Flood with this metadata.
func copies(t *testing.T, list []flows.Flow, metadata uint64) (ports map[flows.PortNo]int, peers map[string]int) {
	ports, peers = map[flows.PortNo]int{}, map[string]int{}
	state := map[flows.Field]flows.Value{flows.Metadata: flows.Number(metadata)}
	var enter func(depth int)
	enter = func(depth int) {
		if depth > 2 {
			t.Fatal("the chain of floods does not end")
		}
		i := slices.IndexFunc(list, func(f flows.Flow) bool {
			for c := range f.Match.Fields() {
				if state[c.Field].And(c.Mask) != c.Value {
					return false
				}
			}
			return f.Table == flows.Flood
		})
		longest := 0
		for a := range list[i].Actions.All() {
			switch a.Op {
			case flows.OpSetField:
				state[a.Field] = a.Value
			case flows.OpResubmit:
				enter(depth + 1)
			case flows.OpOutput:
				longest++
				ports[a.Port]++
				if a.Port == 1 {
					peers[state[flows.TunDst].IPv4().String()]++
				}
			}
		}
		if longest > 500 {
			t.Errorf("one flow makes %d copies", longest)
		}
	}
	enter(0)
	return ports, peers
}

// A network with more members than one flow has room for floods through parts
// that reach each of them once.
func TestFloodReachesEveryoneOnce(t *testing.T) {
	for _, n := range []int{2, 400, 501, 1700} {
		s := wide(n, n)
		h := hostOf(s, "h0000")
		list := flows.Compile(s, h, route)
		ports, peers := copies(t, list, 4096)
		if len(peers) != n-1 || len(ports) != n+1 {
			t.Fatalf("%d hosts and %d ports are reached, want %d and %d", len(peers), len(ports)-1, n-1, n)
		}
		for addr, times := range peers {
			if times != 1 {
				t.Errorf("%s gets %d copies", addr, times)
			}
		}
		ports, peers = copies(t, list, 1<<24|4096)
		if len(peers) != 0 || len(ports) != n {
			t.Errorf("from a tunnel %d hosts and %d ports are reached, want none and %d", len(peers), len(ports), n)
		}
		for port, times := range ports {
			if times != 1 {
				t.Errorf("port %s gets %d copies", port, times)
			}
		}
	}
}

// No packet can match two flows of one priority: which of them it took would be
// up to chance.
func TestPrioritiesDecide(t *testing.T) {
	s := wide(600, 3)
	list := flows.Compile(s, hostOf(s, "h0000"), route)
	for i, a := range list {
		for _, b := range list[i+1:] {
			if a.Table == b.Table && a.Priority == b.Priority && overlap(a.Match, b.Match) {
				t.Fatalf("a packet can match both\n%s\n%s", a, b)
			}
		}
	}
}

// overlap reports whether some packet meets the conditions of both.
func overlap(a, b flows.Match) bool {
	for c := range a.Fields() {
		o, there := b.Get(c.Field)
		if both := c.Mask.And(o.Mask); there && c.Value.And(both) != o.Value.And(both) {
			return false
		}
	}
	return true
}

// Only flows for packets from endpoints here may send into the tunnel.
func TestNothingGoesBackIntoTheTunnel(t *testing.T) {
	s := wide(600, 3)
	for _, f := range flows.Compile(s, hostOf(s, "h0000"), route) {
		for a := range f.Actions.All() {
			from, _ := f.Match.Get(flows.Metadata)
			if a.Op == flows.OpOutput && a.Port == 1 && (from.Mask != flows.Metadata.Full() || from.Value.Lo != 4096) {
				t.Errorf("sends into the tunnel and does not match packets from here only: %s", f)
			}
		}
	}
}

// Packets only go on to later tables, except Flood's parts.
func TestPacketsGoOnOnly(t *testing.T) {
	s := wide(600, 3)
	for _, f := range flows.Compile(s, hostOf(s, "h0000"), route) {
		for a := range f.Actions.All() {
			if a.Op == flows.OpGoto && a.Table <= f.Table || a.Op == flows.OpResubmit && f.Table != flows.Flood {
				t.Errorf("goes back: %s", f)
			}
		}
		if f.Actions.Drop() != f.Why.Rule.Drops() {
			t.Errorf("rule %s says drops: %v, flow says %v: %s", f.Why.Rule, f.Why.Rule.Drops(), f.Actions.Drop(), f)
		}
	}
}

func TestCookieLeadsBack(t *testing.T) {
	s := many(30)
	for _, f := range flows.Compile(s, hostOf(s, "h1"), route) {
		if !flows.Ours(f.Cookie) || flows.RuleOf(f.Cookie) != f.Why.Rule {
			t.Errorf("cookie %#x of rule %s says ours %v, rule %s", f.Cookie, f.Why.Rule, flows.Ours(f.Cookie), flows.RuleOf(f.Cookie))
		}
	}
}

func TestOfNetwork(t *testing.T) {
	s := newCluster("h1", "h2").network("web", 4096, "10.0.0.0/24").network("db", 4097, "10.1.0.0/24").
		endpoint("web", "web-1", "h1").endpoint("web", "web-2", "h2").endpoint("db", "db-1", "h1").snapshot()
	h := hostOf(s, "h1")
	all := flows.Compile(s, h, route)
	for _, tt := range []struct{ network, endpoint string }{{"web", ""}, {"web", "web-1"}, {"web", "web-2"}, {"db", ""}, {"nil", ""}, {"web", "nil"}} {
		want := slices.DeleteFunc(slices.Clone(all), func(f flows.Flow) bool {
			return f.Why.Network != tt.network || tt.endpoint != "" && f.Why.Endpoint != tt.endpoint
		})
		if got := flows.OfNetwork(s, h, route, tt.network, tt.endpoint); !slices.Equal(got, want) {
			t.Errorf("%v: got %d flows, want %d", tt, len(got), len(want))
		}
	}
}
