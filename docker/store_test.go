package docker

import (
	"context"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
	"github.com/ovsnet/ovsnet/store/embedded"
)

// etcdStore makes the real store a storage, as the agent does.
type etcdStore struct{ *store.Store }

func (s etcdStore) RequestPool(ctx context.Context, r PoolRequest) (overlay.Pool, error) {
	return s.Store.RequestPool(ctx, store.PoolRequest(r))
}

func (s etcdStore) RequestAddress(ctx context.Context, r AddressRequest) (netip.Prefix, error) {
	return s.Store.RequestAddress(ctx, store.AddressRequest(r))
}

func (s etcdStore) Attach(ctx context.Context, r AttachRequest) (overlay.Network, error) {
	return s.Store.Attach(ctx, store.AttachRequest(r))
}

// startEtcd returns the endpoint of an empty etcd and a function that stops it.
func startEtcd(t *testing.T) (endpoint string, stop func()) {
	t.Helper()
	server, err := embedded.Start(t.Context(), embedded.Config{Dir: filepath.Join(t.TempDir(), "etcd"), ListenURL: "http://127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return server.Endpoint(), stop
}

// openStore returns a store in which the nodes are registered.
func openStore(t *testing.T, endpoint string, nodes ...string) etcdStore {
	t.Helper()
	opened, err := store.Open(store.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := opened.CheckSchema(ctx, store.Remembered{}); err != nil {
		t.Fatal(err)
	}
	for i, name := range nodes {
		node := overlay.Node{Name: name, VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}, Datapath: "netdev", MTU: 1450}
		if err := opened.Register(ctx, node, store.Identity{Host: name, Boot: "boot-" + name}); err != nil {
			t.Fatal(err)
		}
	}
	return etcdStore{opened}
}

// leftKeys returns the keys in etcd that are of networks, pools and endpoints.
// The keys of address spaces stay: only their revisions mean something.
func leftKeys(t *testing.T, endpoint string) []string {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answer, err := client.Get(ctx, "/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, kv := range answer.Kvs {
		kind, _, _ := strings.Cut(strings.TrimPrefix(string(kv.Key), "/ovsnet/v1/"), "/")
		switch kind {
		case "schema", "nodes", "vteps", "spaces", "alive":
		default:
			left = append(left, string(kv.Key))
		}
	}
	return left
}

func onStore(s storage, node string) func(*Config) {
	return func(c *Config) {
		c.Pools, c.Networks, c.Endpoints, c.Node, c.Boot = s, s, s, node, "boot-"+node
	}
}

func TestEtcdStore(t *testing.T) {
	endpoint, _ := startEtcd(t)
	testStorage(t, openStore(t, endpoint, "h1"))
	if left := leftKeys(t, endpoint); len(left) > 0 {
		t.Errorf("left in etcd: %v", left)
	}
}

// TestTranscriptsOnEtcd sends what a real dockerd sent to a plugin over a real
// etcd: the answers are those of the fakes, and nothing is left.
func TestTranscriptsOnEtcd(t *testing.T) {
	endpoint, _ := startEtcd(t)
	s := openStore(t, endpoint, "h1")
	for _, name := range []string{"full", "plain", "internal", "foreign", "refused"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(onStore(s, "h1"))
			for _, e := range readTranscript(t, filepath.Join("testdata", name+".transcript")) {
				status, answer := r.call(e.method, e.request)
				// An address is the store's to choose: it gives a released one again last.
				chosen := e.method == "IpamDriver.RequestAddress" && strings.Contains(e.request, `"Address":"","Options":null`)
				if chosen && status == http.StatusOK && failureIn(answer) == "" {
					continue
				}
				if diff := cmp.Diff(e.answer, answer); diff != "" {
					t.Errorf("%s %s (-fakes +etcd):\n%s", e.method, e.request, diff)
				}
			}
			if left := leftKeys(t, endpoint); len(left) > 0 {
				t.Errorf("left in etcd: %v", left)
			}
		})
	}
}

// shared is network "web" as Docker asks for it on each host.
type shared struct{ *testing.T }

const sharedPool = `"PoolID":"web|10.40.0.0/24"`

func (s shared) create(docker, gateway, mtu string) string {
	return `{"NetworkID":"` + docker + `","Options":{"com.docker.network.generic":{"ovsnet.network":"web"` + mtu + `}},` +
		`"IPv4Data":[{"AddressSpace":"ovsnet","Pool":"10.40.0.0/24","Gateway":"` + gateway + `/24"}]}`
}

// reserve is what Docker does before CreateNetwork; all but the first host need
// not name subnet and gateway.
func (s shared) reserve(r *rig, subnet, gateway string) {
	s.Helper()
	if answer := r.must(s.T, "IpamDriver.RequestPool", `{"Pool":"`+subnet+`","Options":{"ovsnet.network":"web"}}`); !strings.Contains(answer, sharedPool) {
		s.Fatalf("got %s", answer)
	}
	answer := r.must(s.T, "IpamDriver.RequestAddress", `{`+sharedPool+`,"Address":"`+gateway+`","Options":{"RequestAddressType":"com.docker.network.gateway"}}`)
	if !strings.Contains(answer, "10.40.0.254/24") {
		s.Errorf("got gateway %s", answer)
	}
}

// release is what Docker does after CreateNetwork was refused, and before
// DeleteNetwork.
func (s shared) release(r *rig) {
	s.Helper()
	r.must(s.T, "IpamDriver.ReleaseAddress", `{`+sharedPool+`,"Address":"10.40.0.254"}`)
	r.must(s.T, "IpamDriver.ReleasePool", `{`+sharedPool+`}`)
}

func (s shared) remove(r *rig, docker string) {
	s.Helper()
	s.release(r)
	r.must(s.T, "NetworkDriver.DeleteNetwork", `{"NetworkID":"`+docker+`"}`)
}

// stop ends the endpoint with that address.
func (s shared) stop(r *rig, docker, endpoint, addr string) {
	s.Helper()
	r.must(s.T, "NetworkDriver.DeleteEndpoint", `{"NetworkID":"`+docker+`","EndpointID":"`+endpoint+`"}`)
	r.must(s.T, "IpamDriver.ReleaseAddress", `{`+sharedPool+`,"Address":"`+addr+`"}`)
}

// TestTwoHostsOnEtcd takes a network through its life on two hosts.
func TestTwoHostsOnEtcd(t *testing.T) {
	endpoint, _ := startEtcd(t)
	s := openStore(t, endpoint, "h1", "h2")
	h1, h2, web := newRig(onStore(s, "h1")), newRig(onStore(s, "h2")), shared{t}
	web.reserve(h1, "10.40.0.0/24", "10.40.0.254")
	h1.must(t, "NetworkDriver.CreateNetwork", web.create("d1", "10.40.0.254", ""))
	for _, c := range []struct {
		gateway, mtu string
		carries      int
		words        []string
	}{
		{"10.40.0.254", `,"com.docker.network.driver.mtu":"1400"`, 1450, []string{"1400", "1450"}},
		{"10.40.0.253", "", 1450, []string{"10.40.0.253", "10.40.0.254"}},
		{"10.40.0.254", "", 1350, []string{"1350", "1450"}},
	} {
		h2.host.carries = c.carries
		web.reserve(h2, "", "")
		h2.refused(t, "NetworkDriver.CreateNetwork", web.create("d2", c.gateway, c.mtu), c.words...)
		web.release(h2)
	}
	h2.host.carries = 1450
	web.reserve(h2, "", "")
	h2.must(t, "NetworkDriver.CreateNetwork", web.create("d2", "10.40.0.254", ""))

	first := h1.must(t, "IpamDriver.RequestAddress", `{`+sharedPool+`}`)
	if second := h2.must(t, "IpamDriver.RequestAddress", `{`+sharedPool+`}`); first == second {
		t.Fatalf("both hosts got %s", first)
	}
	h2.refused(t, "IpamDriver.RequestAddress", `{`+sharedPool+`,"Address":"10.40.0.1"}`, "10.40.0.1")
	h1.must(t, "NetworkDriver.CreateEndpoint", `{"NetworkID":"d1","EndpointID":"e1","Interface":{"Address":"10.40.0.1/24","MacAddress":"02:00:00:00:00:01"}}`)
	h2.refused(t, "NetworkDriver.CreateEndpoint", `{"NetworkID":"d2","EndpointID":"e2","Interface":{"Address":"10.40.0.2/24","MacAddress":"02:00:00:00:00:01"}}`, "02:00:00:00:00:01")
	h2.must(t, "NetworkDriver.CreateEndpoint", `{"NetworkID":"d2","EndpointID":"e2","Interface":{"Address":"10.40.0.2/24"}}`)
	h2.must(t, "NetworkDriver.Join", `{"NetworkID":"d2","EndpointID":"e2"}`)

	// The first host leaves; the second does not notice.
	web.stop(h1, "d1", "e1", "10.40.0.1")
	web.remove(h1, "d1")
	h2.must(t, "NetworkDriver.EndpointOperInfo", `{"NetworkID":"d2","EndpointID":"e2"}`)
	if answer := h2.must(t, "IpamDriver.RequestAddress", `{`+sharedPool+`,"Address":"10.40.0.1"}`); !strings.Contains(answer, "10.40.0.1/24") {
		t.Errorf("the released address: %s", answer)
	}
	h2.must(t, "IpamDriver.ReleaseAddress", `{`+sharedPool+`,"Address":"10.40.0.1"}`)
	web.stop(h2, "d2", "e2", "10.40.0.2")
	web.remove(h2, "d2")
	if left := leftKeys(t, endpoint); len(left) > 0 {
		t.Errorf("left in etcd: %v", left)
	}
}

// TestEtcdAway stops etcd under the plugin.
func TestEtcdAway(t *testing.T) {
	endpoint, stop := startEtcd(t)
	r := newRig(onStore(openStore(t, endpoint, "h1"), "h1"), func(c *Config) { c.Timeout = time.Second })
	stop()
	r.refused(t, "IpamDriver.RequestPool", `{}`, "etcd")
	r.refused(t, "NetworkDriver.DeleteEndpoint", theEndpoint, "etcd")
	r.must(t, "NetworkDriver.GetCapabilities", "")
}
