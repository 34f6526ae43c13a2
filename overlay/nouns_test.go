package overlay_test

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

func TestSmallestMTU(t *testing.T) {
	for want, nodes := range map[int][]overlay.Node{0: nil, 1450: {{MTU: 1450}}, 1350: {{MTU: 1450}, {MTU: 1350}, {MTU: 8950}}} {
		if got := overlay.SmallestMTU(slices.Values(nodes)); got != want {
			t.Errorf("%v: %d, want %d", nodes, got, want)
		}
	}
}

func TestCheckUnderlay(t *testing.T) {
	nodes := []overlay.Node{
		{Name: "h1", MTU: 1450, VTEPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
		{Name: "h2", MTU: 8950, VTEPs: []netip.Addr{netip.MustParseAddr("::ffff:198.51.100.2")}},
	}
	for name, tt := range map[string]struct {
		subnet string
		mtu    int
		nodes  []overlay.Node
		says   []string
	}{
		"fits":                 {"10.1.0.0/24", 1450, nodes, nil},
		"fits one host":        {"10.1.0.0/24", 8950, nodes, nil},
		"above every underlay": {"10.1.0.0/24", 8951, nodes, []string{`network "n"`, "8951", "8950"}},
		"on the underlay":      {"192.0.2.0/24", 1450, nodes, []string{"192.0.2.1", `"h1"`}},
		"on a mapped address":  {"198.51.100.0/24", 1450, nodes, []string{"198.51.100.2", `"h2"`}},
		"no host yet":          {"192.0.2.0/24", 9000, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := overlay.Network{Name: "n", MTU: tt.mtu, Subnets: []overlay.Subnet{{Prefix: netip.MustParsePrefix(tt.subnet)}}}.CheckUnderlay(slices.Values(tt.nodes))
			if (err != nil) != (tt.says != nil) {
				t.Fatalf("%v, want %q", err, tt.says)
			}
			for _, word := range tt.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q is not in: %v", word, err)
				}
			}
		})
	}
}

func TestValidateName(t *testing.T) {
	for _, name := range []string{"a", "web", "Web-1_a.b", "9", strings.Repeat("x", 63)} {
		if err := overlay.ValidateName("network", name); err != nil {
			t.Errorf("%q: %v, want it valid", name, err)
		}
	}
	for _, name := range []string{"", "-a", ".a", "_a", "a b", "a/b", "a|b", "é", "a\x00", "\xff", strings.Repeat("x", 64)} {
		if err := overlay.ValidateName("network", name); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%q: %v, want a refusal", name, err)
		}
	}
}

func TestNetworkValidate(t *testing.T) {
	v4, v6 := overlay.Subnet{Prefix: prefix("10.32.0.0/24"), Gateway: addr("10.32.0.1")}, overlay.Subnet{Prefix: prefix("fd00::/64")}
	good := overlay.Network{Name: "web", VNI: 1, MTU: 1450, Subnets: []overlay.Subnet{v4}}
	tests := []struct {
		name   string
		change func(n *overlay.Network)
		ok     bool
	}{
		{"as it is", func(*overlay.Network) {}, true},
		{"name", func(n *overlay.Network) { n.Name = "a b" }, false},
		{"VNI 0", func(n *overlay.Network) { n.VNI = 0 }, false},
		{"largest VNI", func(n *overlay.Network) { n.VNI = 16777215 }, true},
		{"VNI too large", func(n *overlay.Network) { n.VNI = 16777216 }, false},
		{"smallest MTU", func(n *overlay.Network) { n.MTU = 68 }, true},
		{"MTU too small", func(n *overlay.Network) { n.MTU = 67 }, false},
		{"largest MTU", func(n *overlay.Network) { n.MTU = 65535 }, true},
		{"MTU too large", func(n *overlay.Network) { n.MTU = 65536 }, false},
		{"no subnet", func(n *overlay.Network) { n.Subnets = nil }, false},
		{"two families", func(n *overlay.Network) { n.Subnets = []overlay.Subnet{v4, v6} }, true},
		{"IPv6 first", func(n *overlay.Network) { n.Subnets = []overlay.Subnet{v6, v4} }, false},
		{"IPv6 only", func(n *overlay.Network) { n.Subnets = []overlay.Subnet{v6} }, false},
		{"two of IPv4", func(n *overlay.Network) { n.Subnets = []overlay.Subnet{v4, v4} }, false},
		{"three", func(n *overlay.Network) { n.Subnets = []overlay.Subnet{v4, v6, v6} }, false},
		{"bad subnet", func(n *overlay.Network) { n.Subnets = []overlay.Subnet{{Prefix: prefix("10.0.0.1/24")}} }, false},
		{"bad second subnet", func(n *overlay.Network) { n.Subnets = []overlay.Subnet{v4, {Prefix: prefix("ff02::/64")}} }, false},
		{"zero subnet", func(n *overlay.Network) { n.Subnets = []overlay.Subnet{{}} }, false},
	}
	for _, tt := range tests {
		n := good
		tt.change(&n)
		if err := n.Validate(); (err == nil) != tt.ok || err != nil && !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%s: %v, want valid: %v", tt.name, err, tt.ok)
		}
	}
	if got, ok := (overlay.Network{Subnets: []overlay.Subnet{v6, v4}}).IPv4(); !ok || got.Prefix != v4.Prefix {
		t.Errorf("IPv4() = %v, %v", got, ok)
	}
	if got, ok := (overlay.Network{Subnets: []overlay.Subnet{v6}}).IPv4(); ok {
		t.Errorf("IPv4() of a network without it = %v", got)
	}
}

func TestNodeValidate(t *testing.T) {
	tests := []struct {
		name  string
		vteps []netip.Addr
		ok    bool
	}{
		{"h1", addrs("192.0.2.1"), true}, {"h1", addrs("10.0.0.1", "203.0.113.1", "2001:db8::1"), true},
		{"h1", nil, false}, {"h 1", addrs("192.0.2.1"), false}, {"h1", addrs(""), false}, {"h1", addrs("0.0.0.0"), false},
		{"h1", addrs("127.0.0.1"), false}, {"h1", addrs("224.0.0.1"), false}, {"h1", addrs("fe80::1%eth0\x1b[2J"), false}, {"h1", addrs("::1"), false}, {"h1", addrs("192.0.2.1", "ff02::1"), false},
	}
	for _, tt := range tests {
		n := overlay.Node{Name: tt.name, VTEPs: tt.vteps}
		if err := n.Validate(); (err == nil) != tt.ok || err != nil && !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%+v: %v, want valid: %v", n, err, tt.ok)
		}
	}
	if got := (overlay.Node{VTEPs: addrs("192.0.2.1", "192.0.2.2")}).VTEP(); got != addr("192.0.2.1") {
		t.Errorf("VTEP() = %v, want the first", got)
	}
	if got := (overlay.Node{}).VTEP(); got.IsValid() {
		t.Errorf("VTEP() of none = %v", got)
	}
}

func TestEndpointNames(t *testing.T) {
	e := overlay.Endpoint{ID: "0123456789abcdef0123", IPv4: addr("10.0.0.2"), IPv6: addr("fd00::2"), Names: []string{"web1", "www"}}
	if e.Label() != "web1" || (overlay.Endpoint{ID: e.ID}).Label() != "0123456789ab" || (overlay.Endpoint{ID: "short"}).Label() != "short" {
		t.Error("wrong label")
	}
	if !slices.Equal(e.Addrs(), addrs("10.0.0.2", "fd00::2")) || len((overlay.Endpoint{}).Addrs()) != 0 {
		t.Errorf("addresses %v", e.Addrs())
	}
}

func TestLinkNamesFitTheKernel(t *testing.T) {
	fits := regexp.MustCompile(`^ovs[nc][0-9a-f]{11}$`)
	seen := map[string]bool{}
	for i := range 10000 {
		e := overlay.Endpoint{ID: fmt.Sprintf("%064x", i)}
		for _, name := range []string{e.PortName(), e.PeerName()} {
			if !fits.MatchString(name) || seen[name] {
				t.Fatalf("endpoint %s: link name %q is taken or does not fit 15 characters", e.ID, name)
			}
			seen[name] = true
		}
	}
	// Ports of running containers are found again by name: it may not change
	// with a new build.
	if got := (overlay.Endpoint{ID: "e1"}).PortName(); got != "ovsn8b5cc4df7ee" {
		t.Errorf("port name of e1 is %q", got)
	}
}

func TestRefusal(t *testing.T) {
	under := errors.New("disk on fire")
	r := overlay.Refuse(overlay.InUse, `network "web"`, "remove them first", "%d endpoints", 2)
	if got, want := r.Error(), `network "web": 2 endpoints; remove them first`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r.Err, r.Remedy = under, ""
	if got, want := r.Error(), `network "web": 2 endpoints: disk on fire`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	wrapped := fmt.Errorf("remove: %w", r)
	if !errors.Is(wrapped, under) || !overlay.IsKind(wrapped, overlay.InUse) || overlay.IsKind(wrapped, overlay.Missing) || overlay.IsKind(under, overlay.InUse) || overlay.IsKind(nil, overlay.InUse) {
		t.Error("a wrapped refusal is not known by its kind and cause")
	}
}
