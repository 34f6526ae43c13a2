package store

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }
func addr(text string) netip.Addr     { return netip.MustParseAddr(text) }

// TestResolve has the rules of what two options and a subnet can mean.
func TestResolve(t *testing.T) {
	var (
		plain = waiting{space: overlay.DefaultSpace}
		web   = waiting{space: "web", name: "web"}
		shop  = waiting{space: "shop", name: "shop"}
	)
	inDefault := &overlay.Network{Name: "web", Space: overlay.DefaultSpace, Subnets: []overlay.Subnet{{Prefix: prefix("10.0.0.0/24")}}}
	elsewhere := &overlay.Network{Name: "web", Space: overlay.DefaultSpace, Subnets: []overlay.Subnet{{Prefix: prefix("10.9.0.0/24")}}}
	own := &overlay.Network{Name: "web", Space: "web", Subnets: []overlay.Subnet{{Prefix: prefix("10.0.0.0/24")}}}
	for name, test := range map[string]struct {
		option  string
		foreign bool
		pending []waiting
		named   *overlay.Network
		want    target
		refusal string
	}{
		"neither":                           {"", false, []waiting{plain}, nil, target{space: "default"}, ""},
		"both, new":                         {"web", false, []waiting{web}, nil, target{"web", "web"}, ""},
		"both, exists":                      {"web", false, []waiting{web}, own, target{"web", "web"}, ""},
		"both, beside others":               {"web", false, []waiting{plain, shop, web}, nil, target{"web", "web"}, ""},
		"both, exists in the default space": {"web", false, []waiting{web, {overlay.DefaultSpace, "web"}}, inDefault, target{"default", "web"}, ""},
		"only --ipam-opt":                   {"", false, []waiting{web}, nil, target{"web", "web"}, ""},
		"only --ipam-opt, several":          {"", false, []waiting{web, shop}, nil, target{}, `as "web" and "shop"; say which with -o ovsnet.network=NAME`},
		"only --ipam-opt, one unnamed":      {"", false, []waiting{plain, shop}, nil, target{}, `as no name and "shop"`},
		"only -o, new":                      {"web", false, []waiting{plain}, nil, target{"default", "web"}, ""},
		"only -o, equal pool":               {"web", false, []waiting{plain}, inDefault, target{"default", "web"}, ""},
		"only -o, other pool":               {"web", false, []waiting{plain}, elsewhere, target{}, "give --ipam-opt ovsnet.network=web too"},
		"only -o, own space":                {"web", false, []waiting{plain}, own, target{}, "give --ipam-opt ovsnet.network=web too"},
		"names differ":                      {"web", false, []waiting{shop}, nil, target{}, `--ipam-opt ovsnet.network says "shop" and -o ovsnet.network says "web"`},
		"expired":                           {"web", false, nil, own, target{}, "has expired"},
		"expired, no name":                  {"", false, nil, nil, target{}, "has expired"},
		"foreign":                           {"", true, []waiting{web}, nil, target{space: "default"}, ""},
		"foreign, new":                      {"web", true, nil, nil, target{"web", "web"}, ""},
		"foreign, exists":                   {"web", true, nil, inDefault, target{"default", "web"}, ""},
	} {
		r := AttachRequest{Node: "h1", DockerNetwork: "d1", Name: test.option, ForeignIPAM: test.foreign, Subnet: overlay.Subnet{Prefix: prefix("10.0.0.0/24")}}
		got, err := r.resolve(test.pending, test.named)
		if test.refusal == "" && (err != nil || got != test.want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, test.want)
		}
		if test.refusal != "" && (!overlay.IsKind(err, overlay.Conflict) || !strings.Contains(err.Error(), test.refusal)) {
			t.Errorf("%s: %+v, %v, want a conflict with %q", name, got, err, test.refusal)
		}
	}
}

// TestFits has what a host that joins must agree with; a refusal shows both
// values.
func TestFits(t *testing.T) {
	network := overlay.Network{
		Name: "web", VNI: 5000, MTU: 1450, Internal: true,
		Subnets: []overlay.Subnet{{Prefix: prefix("10.0.0.0/24"), Gateway: addr("10.0.0.1"), Aux: []netip.Addr{addr("10.0.0.9")}}},
	}
	same := AttachRequest{Internal: true, Subnet: network.Subnets[0]}
	for name, test := range map[string]struct {
		change func(*AttachRequest)
		shows  []string
	}{
		"same":          {func(*AttachRequest) {}, nil},
		"nothing asked": {func(r *AttachRequest) { r.Subnet.Gateway, r.Subnet.Aux = netip.Addr{}, nil }, nil},
		"all asked":     {func(r *AttachRequest) { r.VNI, r.MTU = 5000, 1450 }, nil},
		"subnet":        {func(r *AttachRequest) { r.Subnet.Prefix = prefix("10.1.0.0/24") }, []string{"10.0.0.0/24", "10.1.0.0/24"}},
		"gateway":       {func(r *AttachRequest) { r.Subnet.Gateway = addr("10.0.0.254") }, []string{"10.0.0.1", "10.0.0.254"}},
		"VNI":           {func(r *AttachRequest) { r.VNI = 6000 }, []string{"5000", "6000"}},
		"MTU":           {func(r *AttachRequest) { r.MTU = 9000 }, []string{"1450", "9000"}},
		"internal":      {func(r *AttachRequest) { r.Internal = false }, []string{"true", "false"}},
		"other aux":     {func(r *AttachRequest) { r.Subnet.Aux = []netip.Addr{addr("10.0.0.8")} }, []string{"10.0.0.9", "10.0.0.8"}},
	} {
		r := same
		test.change(&r)
		err := r.fits(network)
		if (err == nil) != (len(test.shows) == 0) {
			t.Errorf("%s: %v", name, err)
		}
		for _, value := range test.shows {
			if !strings.Contains(err.Error(), value) {
				t.Errorf("%s: %q does not show %s", name, err, value)
			}
		}
	}
}
