package docker

import (
	"strings"
	"testing"

	"github.com/docker/go-plugins-helpers/ipam"
	"github.com/docker/go-plugins-helpers/network"

	"github.com/ovsnet/ovsnet/overlay"
)

func TestParseNetworkOptions(t *testing.T) {
	generic := func(pairs ...string) map[string]any {
		given := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			given[pairs[i]] = pairs[i+1]
		}
		return map[string]any{labelGeneric: given}
	}
	for _, c := range []struct {
		name    string
		options map[string]any
		want    networkOptions
		refusal string // words that the error must have, separated by |
	}{
		{name: "nothing at all"},
		{name: "empty -o", options: generic()},
		{name: "null -o", options: map[string]any{labelGeneric: nil}},
		{name: "all of them", options: generic(OptionNetwork, "web", OptionVNI, "4096", OptionMTU, "1400"), want: networkOptions{Name: "web", VNI: 4096, MTU: 1400}},
		{name: "internal", options: map[string]any{labelInternal: true}, want: networkOptions{Internal: true}},
		{name: "internal as a word", options: map[string]any{labelInternal: "true"}, want: networkOptions{Internal: true}},
		{name: "internal as a number", options: map[string]any{labelInternal: 1.0}, refusal: labelInternal + "|true or false"},
		{name: "what later releases may add", options: map[string]any{"com.docker.network.novelty": map[string]any{"x": 1.0}}},
		{name: "families as Docker 28 says them", options: map[string]any{labelIPv4: true, labelIPv6: false}},
		{name: "families among -o", options: generic(labelIPv4, "true", labelIPv6, "false")},
		{name: "IPv6", options: map[string]any{labelIPv6: true}, refusal: "IPv6"},
		{name: "IPv6 among -o", options: generic(labelIPv6, "true"), refusal: "IPv6"},
		{name: "no IPv4", options: map[string]any{labelIPv4: false}, refusal: "IPv4"},
		{name: "unknown", options: generic("encrypted", "", "colour", "red"), refusal: "-o colour, encrypted|" + OptionNetwork + "|" + OptionVNI + "|" + OptionMTU},
		{name: "another driver's", options: generic("com.docker.network.bridge.name", "br0"), refusal: "com.docker.network.bridge.name"},
		{name: "value that is no text", options: map[string]any{labelGeneric: map[string]any{OptionVNI: 7.0}}, refusal: OptionVNI + "|text"},
		{name: "-o that is no object", options: map[string]any{labelGeneric: "x"}, refusal: "object"},
		{name: "bad name", options: generic(OptionNetwork, "a/b"), refusal: "a/b|letters"},
		{name: "VNI 1", options: generic(OptionVNI, "1"), want: networkOptions{VNI: 1}},
		{name: "largest VNI", options: generic(OptionVNI, "16777215"), want: networkOptions{VNI: 16777215}},
		{name: "VNI 0", options: generic(OptionVNI, "0"), refusal: "ovsnet.vni=0|1 to 16777215"},
		{name: "VNI too large", options: generic(OptionVNI, "16777216"), refusal: "16777216"},
		{name: "VNI beyond 32 bits", options: generic(OptionVNI, "4294967297"), refusal: "4294967297"},
		{name: "VNI negative", options: generic(OptionVNI, "-1"), refusal: "-1"},
		{name: "VNI no number", options: generic(OptionVNI, "0x10"), refusal: "0x10"},
		{name: "smallest MTU", options: generic(OptionMTU, "68"), want: networkOptions{MTU: 68}},
		{name: "MTU below 68", options: generic(OptionMTU, "67"), refusal: "=67|68"},
		{name: "MTU beyond Linux", options: generic(OptionMTU, "65536"), refusal: "65536"},
		{name: "MTU no number", options: generic(OptionMTU, "jumbo"), refusal: "jumbo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseNetworkOptions(c.options)
			checkRefusal(t, err, c.refusal)
			if c.refusal == "" && got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// checkRefusal checks an error against words separated by |; no words mean no
// error.
func checkRefusal(t *testing.T, err error, words string) {
	t.Helper()
	if words == "" {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if err == nil {
		t.Fatalf("not refused; it should have been with %q", words)
	}
	for _, word := range strings.Split(words, "|") {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is missing in %q", word, err)
		}
	}
}

func TestParsePoolRequest(t *testing.T) {
	for _, c := range []struct {
		name    string
		request ipam.RequestPoolRequest
		want    string // pool ID with the network in front
		refusal string
	}{
		{name: "nothing named", request: ipam.RequestPoolRequest{AddressSpace: addressSpace}, want: "//invalid Prefix"},
		{name: "network", request: ipam.RequestPoolRequest{Options: map[string]string{OptionNetwork: "web"}}, want: "web//invalid Prefix"},
		{name: "subnet and range", request: ipam.RequestPoolRequest{Pool: "10.1.0.0/16", SubPool: "10.1.5.0/24"}, want: "//10.1.0.0/16|10.1.5.0/24"},
		{name: "unknown option", request: ipam.RequestPoolRequest{Options: map[string]string{"vlan": "7"}}, refusal: "--ipam-opt vlan|" + OptionNetwork},
		{name: "bad network name", request: ipam.RequestPoolRequest{Options: map[string]string{OptionNetwork: "-x"}}, refusal: "-x"},
		{name: "IPv6", request: ipam.RequestPoolRequest{V6: true}, refusal: "IPv6"},
		{name: "IPv6 subnet", request: ipam.RequestPoolRequest{Pool: "fd00::/64"}, refusal: "IPv6"},
		{name: "another address space", request: ipam.RequestPoolRequest{AddressSpace: "LocalDefault"}, refusal: "LocalDefault|ovsnet"},
		{name: "no subnet", request: ipam.RequestPoolRequest{Pool: "ten"}, refusal: `"ten"`},
		{name: "host bits", request: ipam.RequestPoolRequest{Pool: "10.1.2.3/24"}, refusal: "10.1.2.0/24"},
		{name: "too small", request: ipam.RequestPoolRequest{Pool: "10.1.2.0/31"}, refusal: "10.1.2.0/31"},
		{name: "multicast", request: ipam.RequestPoolRequest{Pool: "224.0.0.0/8"}, refusal: "224.0.0.0/8"},
		{name: "range outside", request: ipam.RequestPoolRequest{Pool: "10.1.0.0/24", SubPool: "10.2.0.0/25"}, refusal: "10.2.0.0/25"},
		{name: "range alone", request: ipam.RequestPoolRequest{SubPool: "10.2.0.0/25"}, refusal: "--subnet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parsePoolRequest(c.request)
			checkRefusal(t, err, c.refusal)
			id := strings.TrimPrefix(overlay.Pool{Prefix: got.Prefix, Range: got.Range}.ID(), "|")
			if c.refusal == "" && got.Network+"//"+id != c.want {
				t.Errorf("got %s//%s, want %s", got.Network, id, c.want)
			}
		})
	}
}

func TestParseSubnet(t *testing.T) {
	one := func(data network.IPAMData) network.CreateNetworkRequest {
		return network.CreateNetworkRequest{IPv4Data: []*network.IPAMData{&data}}
	}
	for _, c := range []struct {
		name    string
		request network.CreateNetworkRequest
		want    string // prefix, gateway, aux, foreign
		refusal string
	}{
		{name: "ours", request: one(network.IPAMData{AddressSpace: addressSpace, Pool: "10.1.0.0/24", Gateway: "10.1.0.1/24"}), want: "10.1.0.0/24 10.1.0.1 [] false"},
		{name: "Docker's", request: one(network.IPAMData{AddressSpace: "LocalDefault", Pool: "10.1.0.0/24"}), want: "10.1.0.0/24 invalid IP [] true"},
		{name: "aux in order", request: one(network.IPAMData{AddressSpace: addressSpace, Pool: "10.1.0.0/24", AuxAddresses: map[string]any{"a": "10.1.0.9/24", "b": "10.1.0.3"}}), want: "10.1.0.0/24 invalid IP [10.1.0.3 10.1.0.9] false"},
		{name: "no pool", refusal: "0 IPv4 subnets"},
		{name: "null pool", request: network.CreateNetworkRequest{IPv4Data: []*network.IPAMData{nil}}, refusal: "one --subnet"},
		{name: "two pools", request: network.CreateNetworkRequest{IPv4Data: []*network.IPAMData{{Pool: "10.1.0.0/24"}, {Pool: "10.2.0.0/24"}}}, refusal: "2 IPv4 subnets"},
		{name: "IPv6", request: network.CreateNetworkRequest{IPv6Data: []*network.IPAMData{{Pool: "fd00::/64"}}}, refusal: "IPv6"},
		{name: "the null IPAM driver", request: one(network.IPAMData{AddressSpace: "null", Pool: "0.0.0.0/0"}), refusal: "0.0.0.0/0"},
		{name: "gateway outside", request: one(network.IPAMData{Pool: "10.1.0.0/24", Gateway: "10.2.0.1/24"}), refusal: "10.2.0.1|10.1.0.0/24"},
		{name: "gateway is broadcast", request: one(network.IPAMData{Pool: "10.1.0.0/24", Gateway: "10.1.0.255/24"}), refusal: "broadcast"},
		{name: "gateway no address", request: one(network.IPAMData{Pool: "10.1.0.0/24", Gateway: "up"}), refusal: `gateway "up"`},
		{name: "aux no text", request: one(network.IPAMData{Pool: "10.1.0.0/24", AuxAddresses: map[string]any{"r": 7}}), refusal: "auxiliary address r"},
	} {
		t.Run(c.name, func(t *testing.T) {
			subnet, foreign, err := parseSubnet(c.request)
			checkRefusal(t, err, c.refusal)
			if got := describe(subnet, foreign); c.refusal == "" && got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestFitMTU(t *testing.T) {
	for _, c := range []struct {
		asked, preferred, carries int
		mtu, fallback             int
		refusal                   string
	}{
		{0, 0, 1450, 0, 1450, ""},
		{0, 1400, 1450, 0, 1400, ""},
		{0, 9000, 1450, 0, 1450, ""},
		{1450, 0, 1450, 1450, 1450, ""},
		{1451, 0, 1450, 0, 0, "1451|1450"},
	} {
		mtu, fallback, err := fitMTU(c.asked, c.preferred, c.carries)
		checkRefusal(t, err, c.refusal)
		if mtu != c.mtu || fallback != c.fallback {
			t.Errorf("fitMTU(%d, %d, %d) = %d, %d, want %d, %d", c.asked, c.preferred, c.carries, mtu, fallback, c.mtu, c.fallback)
		}
	}
}

// TestNewEndpoint covers what CreateEndpoint may be told, beside the address
// that Docker got from an IPAM driver.
func TestNewEndpoint(t *testing.T) {
	in := overlay.Network{ID: "n", Name: "web", Subnets: []overlay.Subnet{mustSubnet("10.1.0.0/24", "10.1.0.1")}}
	for _, c := range []struct {
		name    string
		face    *network.EndpointInterface
		want    string
		refusal string
	}{
		{name: "derived MAC", face: &network.EndpointInterface{Address: "10.1.0.5/24"}, want: "10.1.0.5 02:42:0a:01:00:05"},
		{name: "given MAC", face: &network.EndpointInterface{Address: "10.1.0.5/24", MacAddress: "02:11:22:33:44:55"}, want: "10.1.0.5 02:11:22:33:44:55"},
		{name: "nothing", refusal: "Interface"},
		{name: "no address", face: &network.EndpointInterface{}, refusal: "address"},
		{name: "IPv6", face: &network.EndpointInterface{Address: "10.1.0.5/24", AddressIPv6: "fd00::5/64"}, refusal: "IPv6"},
		{name: "outside", face: &network.EndpointInterface{Address: "10.2.0.5/24"}, refusal: "10.2.0.5|10.1.0.0/24"},
		{name: "network address", face: &network.EndpointInterface{Address: "10.1.0.0/24"}, refusal: "network address"},
		{name: "broadcast address", face: &network.EndpointInterface{Address: "10.1.0.255/24"}, refusal: "broadcast"},
		{name: "gateway", face: &network.EndpointInterface{Address: "10.1.0.1/24"}, refusal: "gateway|web"},
		{name: "multicast MAC", face: &network.EndpointInterface{Address: "10.1.0.5/24", MacAddress: "01:00:5e:00:00:01"}, refusal: "multicast"},
		{name: "zero MAC", face: &network.EndpointInterface{Address: "10.1.0.5/24", MacAddress: "00:00:00:00:00:00"}, refusal: "zero"},
		{name: "no MAC", face: &network.EndpointInterface{Address: "10.1.0.5/24", MacAddress: "here"}, refusal: "here"},
		{name: "InfiniBand", face: &network.EndpointInterface{Address: "10.1.0.5/24", MacAddress: "00:00:00:00:fe:80:00:00"}, refusal: "Ethernet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := newEndpoint(network.CreateEndpointRequest{EndpointID: "e", Interface: c.face}, in)
			checkRefusal(t, err, c.refusal)
			if got := e.IPv4.String() + " " + e.MAC.String(); c.refusal == "" && got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
