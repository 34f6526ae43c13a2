package docker

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

// The requests that most tests begin with.
const (
	createNet   = `{"NetworkID":"n1","Options":{"com.docker.network.generic":{}},"IPv4Data":[{"AddressSpace":"ovsnet","Pool":"10.40.0.0/24","Gateway":"10.40.0.1/24"}]}`
	createEnd   = `{"NetworkID":"n1","EndpointID":"e1","Interface":{"Address":"10.40.0.2/24"}}`
	theEndpoint = `{"NetworkID":"n1","EndpointID":"e1"}`
)

// joinReady returns a rig whose endpoint e1 waits for Join.
func joinReady(t *testing.T, change ...func(*Config)) *rig {
	r := newRig(change...)
	r.must(t, "NetworkDriver.CreateNetwork", createNet)
	r.must(t, "NetworkDriver.CreateEndpoint", createEnd)
	return r
}

func portOf(id string) string { return overlay.Endpoint{ID: id}.PortName() }

func TestPoolAvoidsTheHost(t *testing.T) {
	r := newRig()
	r.host.occupied = append(r.host.occupied, Occupied{netip.MustParsePrefix("10.32.0.0/23"), "route 10.32.0.0/23 through eth1"},
		Occupied{netip.MustParsePrefix("10.32.2.53/32"), "nameserver 10.32.2.53"})
	if answer := r.must(t, "IpamDriver.RequestPool", `{"AddressSpace":"ovsnet"}`); !strings.Contains(answer, `"Pool":"10.32.3.0/24"`) {
		t.Errorf("got %s, want the first /24 beside route and nameserver", answer)
	}
}

func TestPoolRefusals(t *testing.T) {
	r := newRig()
	r.refused(t, "IpamDriver.RequestPool", `{"Pool":"192.0.0.0/16"}`, "192.0.0.0/16", "route 192.0.2.0/24 through eth0", "choose another subnet")
	r.store.empty(t)

	// The network exists already, with a subnet that this host has a route to.
	r.must(t, "IpamDriver.RequestPool", `{"Pool":"10.40.0.0/24","Options":{"ovsnet.network":"web"}}`)
	r.must(t, "NetworkDriver.CreateNetwork", strings.Replace(createNet, `{}`, `{"ovsnet.network":"web"}`, 1))
	joiner := newRig(func(c *Config) { c.Pools, c.Networks, c.Endpoints, c.Node = r.store, r.store, r.store, "h2" })
	joiner.host.occupied = []Occupied{{netip.MustParsePrefix("10.0.0.0/8"), "route 10.0.0.0/8 through tun0"}}
	joiner.refused(t, "IpamDriver.RequestPool", `{"Options":{"ovsnet.network":"web"}}`, `network "web"`, "10.40.0.0/24", "route 10.0.0.0/8 through tun0")
	for pool, p := range r.store.pools {
		if p.users["h2"] {
			t.Errorf("h2 still holds %v", pool)
		}
	}

	// Nothing of the address pool is free, and the reason is on this host.
	covered := newRig()
	covered.host.occupied = []Occupied{{netip.MustParsePrefix("10.0.0.0/8"), "route 10.0.0.0/8 through tun0"}}
	covered.refused(t, "IpamDriver.RequestPool", `{}`, "10.32.0.0/12", "route 10.0.0.0/8 through tun0", "--address-pool")

	narrow := newRig(func(c *Config) { c.AddressPool = netip.MustParsePrefix("10.32.0.0/24") })
	narrow.must(t, "IpamDriver.RequestPool", `{}`)
	narrow.refused(t, "IpamDriver.RequestPool", `{}`, "no free /24", "--subnet")
}

func TestAddressRefusals(t *testing.T) {
	r := newRig()
	r.must(t, "IpamDriver.RequestPool", `{"Pool":"10.40.0.0/24"}`)
	pool := `"PoolID":"default|10.40.0.0/24"`
	r.must(t, "IpamDriver.RequestAddress", `{`+pool+`,"Address":"10.40.0.9"}`)
	r.refused(t, "IpamDriver.RequestAddress", `{`+pool+`,"Address":"10.40.0.9"}`, "10.40.0.9", "taken")
	r.refused(t, "IpamDriver.RequestAddress", `{`+pool+`,"Address":"10.41.0.9"}`, "10.41.0.9", "outside subnet 10.40.0.0/24")
	r.refused(t, "IpamDriver.RequestAddress", `{`+pool+`,"Address":"10.40.0.0"}`, "network address")
	r.refused(t, "IpamDriver.RequestAddress", `{`+pool+`,"Address":"10.40.0.255"}`, "broadcast")
	r.refused(t, "IpamDriver.RequestAddress", `{`+pool+`,"Address":"fd00::1"}`, "IPv6")
	r.refused(t, "IpamDriver.RequestAddress", `{"PoolID":"LocalDefault/10.40.0.0/24"}`, "not a pool of ovsnet")
	r.refused(t, "IpamDriver.ReleaseAddress", `{`+pool+`}`, "address")
	r.refused(t, "IpamDriver.ReleasePool", `{}`, "not a pool of ovsnet")
}

func TestNetworkRefusals(t *testing.T) {
	r := newRig()
	r.refused(t, "NetworkDriver.CreateNetwork", strings.Replace(createNet, `{}`, `{"com.docker.network.driver.mtu":"1451"}`, 1), "1451", "1450")
	r.refused(t, "NetworkDriver.CreateNetwork", strings.ReplaceAll(createNet, "10.40.0.", "192.0.2."), "192.0.2.0/24", "eth0")
	r.refused(t, "NetworkDriver.CreateNetwork", strings.Replace(createNet, "n1", "", 1), "NetworkID")
	r.host.fail = errors.New("no default route")
	r.refused(t, "NetworkDriver.CreateNetwork", createNet, "no default route")
	r.store.empty(t)
}

// TestJoinTooLargeNetwork has a host join whose underlay carries less.
func TestJoinTooLargeNetwork(t *testing.T) {
	named := strings.Replace(createNet, `{}`, `{"ovsnet.network":"web"}`, 1)
	r := newRig()
	r.must(t, "NetworkDriver.CreateNetwork", named)
	joiner := newRig(func(c *Config) { c.Networks, c.Node = r.store, "h2" })
	joiner.host.carries = 1350
	joiner.refused(t, "NetworkDriver.CreateNetwork", named, `network "web"`, "1450", "1350")
	if len(r.store.attachments) != 1 {
		t.Errorf("h2 stays attached: %v", r.store.attachments)
	}
}

func TestDefaultMTU(t *testing.T) {
	r := joinReady(t, func(c *Config) { c.DefaultMTU = 1300 })
	r.must(t, "NetworkDriver.Join", theEndpoint)
	if got := r.links.links[portOf("e1")].MTU; got != 1300 {
		t.Errorf("the link has MTU %d, want 1300", got)
	}
}

func TestCreateEndpointWritesOnce(t *testing.T) {
	r := newRig()
	r.refused(t, "NetworkDriver.CreateEndpoint", createEnd, "n1", "not known")
	r.must(t, "NetworkDriver.CreateNetwork", createNet)
	first := r.must(t, "NetworkDriver.CreateEndpoint", createEnd)
	if second := r.must(t, "NetworkDriver.CreateEndpoint", createEnd); second != first {
		t.Errorf("a repeat answers %s after %s", second, first)
	}
	e := r.store.endpoints["e1"]
	if e.Node != "h1" || e.MAC.String() != "02:42:0a:28:00:02" || e.ForeignIPAM || e.Created.IsZero() {
		t.Errorf("wrote %+v", e)
	}
	if len(r.loop.followed) != 2 || r.loop.followed[0] != e.Network {
		t.Errorf("followed %v, want %s each time", r.loop.followed, e.Network)
	}
	r.refused(t, "NetworkDriver.CreateEndpoint", strings.Replace(createEnd, "e1", "e2", 1), "10.40.0.2")
	r.refused(t, "NetworkDriver.CreateEndpoint", strings.Replace(createEnd, `"Interface"`, `"Options":{"ovsnet.qos":"7"},"Interface"`, 1), "ovsnet.qos")
}

func TestForeignIPAM(t *testing.T) {
	r := newRig()
	r.must(t, "NetworkDriver.CreateNetwork", strings.Replace(createNet, `"AddressSpace":"ovsnet"`, `"AddressSpace":"LocalDefault"`, 1))
	r.must(t, "NetworkDriver.CreateEndpoint", createEnd)
	if !r.store.endpoints["e1"].ForeignIPAM {
		t.Error("the endpoint's address counts as ours")
	}
}

func TestJoinAndRepeat(t *testing.T) {
	r := joinReady(t)
	want := fmt.Sprintf(`{"InterfaceName":{"SrcName":%q,"DstPrefix":"eth"},"Gateway":"","GatewayIPv6":"","StaticRoutes":null,"DisableGatewayService":false}`, overlay.Endpoint{ID: "e1"}.PeerName())
	for range 2 {
		if got := r.must(t, "NetworkDriver.Join", theEndpoint); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if len(r.loop.waited) != 2 || r.loop.waited[1].Revision != r.store.endpoints["e1"].Revision || r.loop.waited[1].Revision == 0 {
		t.Errorf("waited for %+v", r.loop.waited)
	}
	if index := r.links.links[portOf("e1")].Index; index == 0 || !slices.Equal(r.loop.links, []int{index, index}) {
		t.Errorf("waited for the links %v, want %d", r.loop.links, index)
	}
}

// TestJoinUndone has each step of Join fail, and nothing left after it.
func TestJoinUndone(t *testing.T) {
	for name, breakIt := range map[string]func(*rig){
		"link": func(r *rig) { r.links.fail = errors.New("no such device") },
		"loop": func(r *rig) { r.loop.waitError = overlay.Refuse(overlay.Unavailable, "port", "", "no such device") },
	} {
		t.Run(name, func(t *testing.T) {
			r := joinReady(t)
			breakIt(r)
			before := r.loop.wakes
			r.refused(t, "NetworkDriver.Join", theEndpoint, "no such device")
			if len(r.links.links) > 0 {
				t.Errorf("left behind: %v", r.links.links)
			}
			if _, still := r.store.endpoints["e1"]; !still {
				t.Error("the endpoint went, though Docker still has it")
			}
			if r.loop.wakes == before {
				t.Error("the loop does not know that the link is gone")
			}
		})
	}
}

// TestCreateEndpointPrepares has the link made, and the loop told, before Join,
// which makes one where that did not work.
func TestCreateEndpointPrepares(t *testing.T) {
	r := joinReady(t)
	if l, made := r.links.links[portOf("e1")]; !made || !l.Waiting || r.loop.wakes == 0 {
		t.Errorf("links %v, and %d times the loop was woken", r.links.links, r.loop.wakes)
	}
	r = newRig()
	r.links.fail = errors.New("no such device")
	r.must(t, "NetworkDriver.CreateNetwork", createNet)
	r.must(t, "NetworkDriver.CreateEndpoint", createEnd)
	r.links.fail = nil
	r.must(t, "NetworkDriver.Join", theEndpoint)
	if _, made := r.links.links[portOf("e1")]; !made {
		t.Error("Join made no link")
	}
}

// TestEndpointInfoAsksNobody has etcd hang: Docker asks while a container waits for it.
func TestEndpointInfoAsksNobody(t *testing.T) {
	r := newRig()
	r.store.hang = true
	if answer := r.must(t, "NetworkDriver.EndpointOperInfo", theEndpoint); !strings.Contains(answer, portOf("e1")) {
		t.Errorf("%s does not name the port", answer)
	}
	r.refused(t, "NetworkDriver.EndpointOperInfo", `{"NetworkID":"n1"}`, "EndpointID")
}

func TestJoinRefusals(t *testing.T) {
	r := joinReady(t)
	before, _ := r.links.List(t.Context())
	r.refused(t, "NetworkDriver.Join", `{"NetworkID":"n1","EndpointID":"e2"}`, "e2", "connect the container")
	r.refused(t, "NetworkDriver.Join", `{"NetworkID":"n2","EndpointID":"e1"}`, "n2")
	r.refused(t, "NetworkDriver.Join", `{"NetworkID":"n1"}`, "EndpointID")
	elsewhere := r.store.endpoints["e1"]
	elsewhere.Node = "h9"
	r.store.endpoints["e1"] = elsewhere
	r.refused(t, "NetworkDriver.Join", theEndpoint, `node "h9"`)
	if !maps.Equal(r.links.links, before) {
		t.Errorf("a refused Join made %v of %v", r.links.links, before)
	}
}

// TestGoneIsGone sends every removal twice, and for what never existed.
func TestGoneIsGone(t *testing.T) {
	r := joinReady(t)
	r.must(t, "NetworkDriver.Join", theEndpoint)
	for range 2 {
		r.must(t, "NetworkDriver.Leave", theEndpoint)
		if len(r.store.endpoints) == 1 && len(r.links.links) == 0 {
			t.Error("Leave took the link that Docker still looks for")
		}
		r.must(t, "NetworkDriver.DeleteEndpoint", theEndpoint)
		if len(r.store.endpoints)+len(r.links.links) > 0 {
			t.Errorf("left behind: %v, %v", r.store.endpoints, r.links.links)
		}
	}
	r.must(t, "NetworkDriver.DeleteNetwork", `{"NetworkID":"n1"}`)
	r.must(t, "NetworkDriver.DeleteNetwork", `{"NetworkID":"n1"}`)
	r.must(t, "NetworkDriver.DeleteEndpoint", theEndpoint)
	r.must(t, "NetworkDriver.DeleteNetwork", `{"NetworkID":"never"}`)
	r.store.empty(t)
}

// TestLinkGoesWithoutStore deletes an endpoint while etcd is away.
func TestLinkGoesWithoutStore(t *testing.T) {
	r := joinReady(t)
	r.must(t, "NetworkDriver.Join", theEndpoint)
	r.Timeout, r.store.hang = shortly, true
	r.refused(t, "NetworkDriver.DeleteEndpoint", theEndpoint, "etcd", "no answer")
	if len(r.links.links) > 0 {
		t.Errorf("the link stays: %v", r.links.links)
	}
}

// TestConcurrentEndpoints makes and removes endpoints from many callers.
func TestConcurrentEndpoints(t *testing.T) {
	r := newRig()
	r.must(t, "IpamDriver.RequestPool", `{"Pool":"10.40.0.0/24"}`)
	r.must(t, "NetworkDriver.CreateNetwork", createNet)
	pool := `"PoolID":"default|10.40.0.0/24"`
	gateway := r.must(t, "IpamDriver.RequestAddress", `{`+pool+`,"Options":{"RequestAddressType":"com.docker.network.gateway"}}`)
	if again := r.must(t, "IpamDriver.RequestAddress", `{`+pool+`,"Options":{"RequestAddressType":"com.docker.network.gateway"}}`); again != gateway {
		t.Errorf("the gateway is %s and then %s", gateway, again)
	}
	try := func(method, body string) string {
		_, answer := r.call(method, body)
		if text := failureIn(answer); text != "" {
			t.Errorf("%s %s: %s", method, body, text)
		}
		return answer
	}
	var calls sync.WaitGroup
	for i := range 100 {
		calls.Go(func() {
			_, addr, _ := strings.Cut(try("IpamDriver.RequestAddress", `{`+pool+`}`), `"Address":"`)
			addr, _, _ = strings.Cut(addr, "/")
			end := fmt.Sprintf(`{"NetworkID":"n1","EndpointID":"e%d","Interface":{"Address":"%s/24"}}`, i, addr)
			for _, method := range []string{"CreateEndpoint", "Join", "EndpointOperInfo", "Leave", "DeleteEndpoint"} {
				try("NetworkDriver."+method, end)
			}
			try("IpamDriver.ReleaseAddress", fmt.Sprintf(`{%s,"Address":%q}`, pool, addr))
		})
	}
	calls.Wait()
	r.must(t, "IpamDriver.ReleaseAddress", `{`+pool+`,"Address":"10.40.0.1"}`)
	r.must(t, "IpamDriver.ReleasePool", `{`+pool+`}`)
	r.must(t, "NetworkDriver.DeleteNetwork", `{"NetworkID":"n1"}`)
	r.store.empty(t)
	if len(r.links.links) > 0 {
		t.Errorf("links left: %v", r.links.links)
	}
}
