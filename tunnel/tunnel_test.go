package tunnel

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/overlay"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(list ...string) []netip.Addr {
	var all []netip.Addr
	for _, s := range list {
		all = append(all, addr(s))
	}
	return all
}

// host has a loopback link, two physical ones, and an address on loopback as
// routing protocols announce them.
func host() Underlay {
	return Underlay{Links: []Link{
		{Name: "lo", Index: 1, MTU: 65536, Loopback: true, Addrs: addrs("127.0.0.1", "::1", "10.255.0.1")},
		{Name: "eth0", Index: 2, MTU: 1500, Addrs: addrs("192.0.2.10", "2001:db8::10", "fe80::10")},
		{Name: "eth1", Index: 3, MTU: 9000, Addrs: addrs("10.1.0.10")},
	}}
}

func TestChoose(t *testing.T) {
	etcd := func(source string, link int) Path {
		return Path{To: "etcd at 10.1.0.1", Source: addr(source), Link: link}
	}
	byDefault := func(source string, link int) Path {
		return Path{To: "the default route", Source: addr(source), Link: link}
	}
	for name, c := range map[string]struct {
		wanted       string
		etcd, routes []Path
		want         VTEP
		kind         overlay.Kind
		says         string
	}{
		"flag wins": {wanted: "192.0.2.10", etcd: []Path{etcd("10.1.0.10", 3)},
			want: VTEP{Addr: addr("192.0.2.10"), Link: "eth0", MTU: 1500, Why: "set by --vtep"}},
		"flag written as mapped": {wanted: "::ffff:192.0.2.10",
			want: VTEP{Addr: addr("192.0.2.10"), Link: "eth0", MTU: 1500, Why: "set by --vtep"}},
		"flag IPv6": {wanted: "2001:db8::10",
			want: VTEP{Addr: addr("2001:db8::10"), Link: "eth0", MTU: 1500, Why: "set by --vtep"}},
		"etcd before default": {etcd: []Path{etcd("10.1.0.10", 3)}, routes: []Path{byDefault("192.0.2.10", 2)},
			want: VTEP{Addr: addr("10.1.0.10"), Link: "eth1", MTU: 9000, Why: "this host's address towards etcd at 10.1.0.1"}},
		"etcd on this host": {etcd: []Path{etcd("10.1.0.10", 1)},
			want: VTEP{Addr: addr("10.1.0.10"), Link: "eth1", MTU: 9000, Why: "this host's address towards etcd at 10.1.0.1"}},
		"useless source is passed over": {etcd: []Path{etcd("127.0.0.1", 1), etcd("10.1.0.10", 3)},
			want: VTEP{Addr: addr("10.1.0.10"), Link: "eth1", MTU: 9000, Why: "this host's address towards etcd at 10.1.0.1"}},
		"default route": {routes: []Path{byDefault("192.0.2.10", 2)},
			want: VTEP{Addr: addr("192.0.2.10"), Link: "eth0", MTU: 1500, Why: "this host's address towards the default route"}},
		"on loopback, leaving by eth1": {wanted: "10.255.0.1", etcd: []Path{etcd("10.255.0.1", 3)},
			want: VTEP{Addr: addr("10.255.0.1"), Link: "lo", MTU: 9000, Why: "set by --vtep"}},
		"on loopback without a route": {wanted: "10.255.0.1", kind: overlay.Invalid, says: "loopback link lo"},
		"no route at all":             {kind: overlay.Missing, says: "set --vtep"},
		"not on this host":            {wanted: "192.0.2.99", kind: overlay.Invalid, says: "not an address of this host, which has 10.255.0.1 (lo), 192.0.2.10 (eth0), 2001:db8::10 (eth0), 10.1.0.10 (eth1)"},
		"loopback":                    {wanted: "127.0.0.1", kind: overlay.Invalid, says: "other hosts cannot send to it"},
		"multicast":                   {wanted: "224.0.0.1", kind: overlay.Invalid, says: "other hosts cannot send to it"},
		"unspecified":                 {wanted: "0.0.0.0", kind: overlay.Invalid, says: "other hosts cannot send to it"},
		"IPv6 link-local":             {wanted: "fe80::10", kind: overlay.Invalid, says: "other hosts cannot send to it"},
	} {
		t.Run(name, func(t *testing.T) {
			u := host()
			u.Etcd, u.Default = c.etcd, c.routes
			var wanted netip.Addr
			if c.wanted != "" {
				wanted = addr(c.wanted)
			}
			got, err := Choose(wanted, u)
			if c.kind != 0 {
				if !overlay.IsKind(err, c.kind) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("refused with %v, want kind %d saying %q", err, c.kind, c.says)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("chose %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestNetworkMTU(t *testing.T) {
	for _, c := range []struct {
		underlay int
		vtep     string
		want     int
	}{
		{1500, "192.0.2.1", 1450},
		{1500, "::ffff:192.0.2.1", 1450},
		{1500, "2001:db8::1", 1430},
		{9000, "192.0.2.1", 8950},
		{1450, "192.0.2.1", 1400},
	} {
		if got := NetworkMTU(c.underlay, addr(c.vtep)); got != c.want {
			t.Errorf("NetworkMTU(%d, %s) = %d, want %d", c.underlay, c.vtep, got, c.want)
		}
	}
}

func TestPortSpec(t *testing.T) {
	want := Port{Name: "ovsnet-vxlan", Type: "vxlan", Options: map[string]string{
		"remote_ip": "flow", "key": "flow", "local_ip": "192.0.2.10", "dst_port": "14789", "csum": "true", "df_default": "true",
	}}
	if diff := cmp.Diff(want, PortSpec(addr("::ffff:192.0.2.10"), 14789)); diff != "" {
		t.Error(diff)
	}
	if got := PortSpec(addr("2001:db8::10"), DefaultUDPPort).Options; got["local_ip"] != "2001:db8::10" || got["dst_port"] != "4789" {
		t.Errorf("options are %v", got)
	}
}

func TestRouteFor(t *testing.T) {
	self := overlay.Node{Name: "h1", Region: "north", VTEPs: addrs("10.1.0.10", "192.0.2.10")}
	for name, c := range map[string]struct {
		self overlay.Node
		peer overlay.Node
		want string
	}{
		"same region":       {self, overlay.Node{Region: "north", VTEPs: addrs("10.1.0.11", "192.0.2.11")}, "10.1.0.11"},
		"other region":      {self, overlay.Node{Region: "south", VTEPs: addrs("10.1.0.11", "192.0.2.11")}, "192.0.2.11"},
		"only one":          {self, overlay.Node{Region: "south", VTEPs: addrs("192.0.2.11")}, "192.0.2.11"},
		"other family too":  {self, overlay.Node{Region: "north", VTEPs: addrs("2001:db8::11", "10.1.0.11")}, "10.1.0.11"},
		"family, elsewhere": {self, overlay.Node{Region: "south", VTEPs: addrs("10.1.0.11", "2001:db8::11")}, "10.1.0.11"},
		"other family only": {self, overlay.Node{Region: "north", VTEPs: addrs("2001:db8::11")}, ""},
		"none":              {self, overlay.Node{Region: "north"}, ""},
		"IPv6 self":         {overlay.Node{VTEPs: addrs("2001:db8::10")}, overlay.Node{VTEPs: addrs("10.1.0.11", "2001:db8::11")}, "2001:db8::11"},
		"self without":      {overlay.Node{}, overlay.Node{VTEPs: addrs("2001:db8::11")}, ""},
	} {
		got, ok := RouteFor(c.self)(c.peer)
		if ok != (c.want != "") || ok && got != addr(c.want) {
			t.Errorf("%s: %v, %v, want %q", name, got, ok, c.want)
		}
	}
}

func TestEndpointHost(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://192.0.2.1:2379":     "192.0.2.1",
		"http://[2001:db8::1]:2379":  "2001:db8::1",
		"etcd1:2379":                 "etcd1",
		"etcd1":                      "etcd1",
		"[::1]:2379":                 "::1",
		"https://etcd.example:2379/": "etcd.example",
		"":                           "",
		"https://":                   "",
		":2379":                      "",
		"a/b":                        "",
		"http://%zz":                 "",
	} {
		got, err := EndpointHost(endpoint)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", endpoint, got, err, want)
		}
		if err != nil && !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%q: %v is not a refusal of kind Invalid", endpoint, err)
		}
	}
}

func FuzzEndpointHost(f *testing.F) {
	for _, seed := range []string{"https://192.0.2.1:2379", "[::1]:2379", "etcd1", "", "http://[", "::1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, endpoint string) {
		if host, err := EndpointHost(endpoint); (host == "") == (err == nil) {
			t.Errorf("%q: %q, %v", endpoint, host, err)
		}
	})
}

func TestParseNameservers(t *testing.T) {
	const file = "# a comment\nsearch example.net\nnameserver 192.0.2.53\nnameserver\nnameserver 127.0.0.53\n nameserver 2001:db8::53 \nnameserver fe80::1%eth0\nnameserver bad\nnameserver ::ffff:192.0.2.54\n"
	if diff := cmp.Diff(fmt.Sprint(addrs("192.0.2.53", "2001:db8::53", "fe80::1", "192.0.2.54")), fmt.Sprint(parseNameservers(strings.NewReader(file)))); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseNameservers(f *testing.F) {
	f.Add("nameserver 192.0.2.53\n")
	f.Add("nameserver fe80::1%eth0")
	f.Fuzz(func(t *testing.T, file string) {
		for _, a := range parseNameservers(strings.NewReader(file)) {
			if !a.IsValid() || a.IsLoopback() || a.Zone() != "" {
				t.Errorf("%v out of %q", a, file)
			}
		}
	})
}
