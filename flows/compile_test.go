package flows_test

import (
	"bytes"
	"flag"
	"fmt"
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

// Golden files hold a host's flows as ovs-ofctl prints them, with table names.
func TestGolden(t *testing.T) {
	same := newCluster("h1", "h2", "h3").network("blue", 4096, "10.0.0.0/24").network("red", 4097, "10.0.0.0/24").
		endpoint("blue", "b1", "h1").endpoint("blue", "b2", "h2").endpoint("blue", "b3", "h3").
		endpoint("red", "r1", "h1").endpoint("red", "r2", "h2").snapshot()
	two := newCluster("h1", "h2", "h3").network("web", 4096, "10.0.0.0/24").network("db", 4097, "10.1.0.0/24").
		endpoint("web", "web-1", "h1").endpoint("web", "web-2", "h2").endpoint("web", "web-3", "h2").
		endpoint("db", "db-1", "h2").endpoint("db", "db-2", "h3").snapshot()
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
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got bytes.Buffer
			for _, f := range flows.Compile(tt.snapshot, hostOf(tt.snapshot, tt.node), route) {
				_, _ = fmt.Fprintf(&got, "# %s\n%s\n", flows.Reason(f, tt.snapshot), f)
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

// A network with more hosts than one flow has room for floods through a chain
// that reaches each of them once.
func TestFloodReachesEveryHostOnce(t *testing.T) {
	const hosts = 1500
	c := newCluster().network("net", 4096, "10.0.0.0/16")
	for i := range hosts {
		name := fmt.Sprintf("h%04d", i)
		c.edit.SetNode(overlay.Node{Name: name, VTEPs: []netipAddr{vtep(i)}})
		c.endpoint("net", "e-"+name, name)
	}
	s := c.snapshot()
	reached := map[string]int{}
	longest := 0
	for _, f := range flows.Compile(s, hostOf(s, "h0000"), route) {
		if f.Why.Rule != flows.FloodLocal {
			continue
		}
		longest = max(longest, strings.Count(string(f.Actions), "output"))
		for _, a := range f.Actions.List() {
			if addr, ok := strings.CutSuffix(a.Arg, "->tun_dst"); ok {
				reached[addr]++
			}
		}
	}
	if len(reached) != hosts-1 || longest > 500 {
		t.Fatalf("%d hosts reached, want %d; longest flow has %d outputs, want at most 500", len(reached), hosts-1, longest)
	}
	for addr, n := range reached {
		if n != 1 {
			t.Errorf("%s gets %d copies", addr, n)
		}
	}
}

// Only flows for packets from containers may send into the tunnel.
func TestNothingGoesBackIntoTheTunnel(t *testing.T) {
	s := many(50)
	for _, f := range flows.Compile(s, hostOf(s, "h1"), route) {
		if !strings.Contains(string(f.Actions), "output:1,") && !strings.HasSuffix(string(f.Actions), "output:1") {
			continue
		}
		if !slices.Contains(f.Match.Fields(), flows.Field{Name: "metadata", Value: "0x1000"}) {
			t.Errorf("sends into the tunnel and does not match packets from containers only: %s", f)
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
