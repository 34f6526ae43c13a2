package topology_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden holds a text against the file of that name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s, renewed with -update:\n%s", file, diff)
	}
}

// world is a cluster that a test makes up.
type world struct {
	edit    *overlay.Editor
	alive   map[string]bool
	answers map[string]topology.Answer
	next    int
}

func newWorld() *world {
	return &world{edit: overlay.NewSnapshot().Edit(), alive: map[string]bool{}, answers: map[string]topology.Answer{}}
}

// host adds a host, with what it measured.
func (w *world) host(name, vtep, region string, paths ...topology.Path) {
	w.edit.SetNode(overlay.Node{Name: name, VTEPs: []netip.Addr{netip.MustParseAddr(vtep)}, Region: region, Datapath: "system", MTU: 1450, Version: "1.0"})
	w.alive[name] = true
	w.answers[name] = topology.Answer{Report: topology.Report{Ready: true, Paths: paths}}
}

func (w *world) network(name string, vni uint32, subnet string) {
	w.edit.SetNetwork(overlay.Network{ID: "id-" + name, Name: name, VNI: vni, MTU: 1450, Subnets: []overlay.Subnet{{Prefix: netip.MustParsePrefix(subnet)}}})
}

func (w *world) endpoint(network, node, addr string, names ...string) {
	w.next++
	w.edit.SetEndpoint(overlay.Endpoint{
		ID: fmt.Sprintf("%012d", w.next), Network: "id-" + network, Node: node, Names: names, IPv4: netip.MustParseAddr(addr), MAC: overlay.MAC{0x02, 0x42, 0x0a, 0, byte(w.next >> 8), byte(w.next)},
	})
}

func (w *world) mapped() topology.Map {
	w.edit.Seen(42)
	return topology.New(topology.Facts{Snapshot: w.edit.Snapshot(), Alive: w.alive, Answers: w.answers, At: time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)})
}

// measured is a way of which so many of five requests were answered.
func measured(peer string, received int, mean float64) topology.Path {
	p := topology.Path{Peer: peer, Address: netip.MustParseAddr("192.0.2.9"), Sent: 5, Received: received}
	if received > 0 {
		p.Mean, p.Min, p.Max = mean, mean*0.8, mean*1.5
	}
	return p
}

// three are three hosts: h1 and h2 are well, h3 loses packets and its agent is
// silent.
func three() *world {
	w := newWorld()
	w.host("h1", "192.0.2.1", "", measured("h2", 5, 0.21), measured("h3", 4, 1.84))
	w.host("h2", "192.0.2.2", "", measured("h1", 5, 0.23), measured("h3", 0, 0))
	w.host("h3", "192.0.2.3", "")
	w.answers["h3"] = topology.Answer{Err: errors.New("its agent did not answer within 5s")}
	w.network("web", 4096, "10.10.0.0/24")
	w.network("db", 4097, "10.20.0.0/24")
	w.network("spare", 4098, "10.30.0.0/24")
	w.endpoint("web", "h1", "10.10.0.2", "web-1")
	w.endpoint("web", "h1", "10.10.0.3", "web-10")
	w.endpoint("web", "h1", "10.10.0.4", "web-9")
	w.endpoint("db", "h1", "10.20.0.2", "db-1")
	w.endpoint("web", "h2", "10.10.0.5", "web-2")
	w.endpoint("db", "h2", "10.20.0.3")
	w.endpoint("web", "h3", "10.10.0.6", "web-3")
	return w
}

// hostile is a cluster whose names are an attack, and whose measurements lie.
func hostile() *world {
	w := newWorld()
	bad := `"><script>alert(1)</script>` + "\x1b[31m\n\u202e" + `\'&</style>`
	w.host("h1", "192.0.2.1", "", topology.Path{Peer: "h2", Sent: 1, Received: 9, Mean: -1}, topology.Path{Peer: "nobody", Sent: 5},
		topology.Path{Peer: "h2", Problem: bad})
	w.host("h2", "192.0.2.2", bad)
	zoned := topology.Path{Peer: "h1", Address: netip.MustParseAddr("fe80::1").WithZone(bad), Sent: 5}
	w.answers["h2"] = topology.Answer{Report: topology.Report{Reasons: []string{bad}, Paths: []topology.Path{zoned}}}
	w.network("web", 4096, "10.10.0.0/24")
	w.edit.SetNetwork(overlay.Network{ID: "id-evil", Name: bad, VNI: 4097, Subnets: []overlay.Subnet{{Prefix: netip.MustParsePrefix("10.20.0.0/24")}}})
	w.endpoint("web", "h1", "10.10.0.2", bad)
	w.endpoint("web", "h2", "10.10.0.3", bad)
	w.endpoint("evil", "h2", "10.20.0.2", bad)
	return w
}

// many are hosts in two regions with networks that not all of them are in.
func many(hosts int) *world {
	w := newWorld()
	const networks = 14
	for i := range networks {
		w.network(fmt.Sprintf("net-%d", i+1), uint32(4096+i), fmt.Sprintf("10.%d.0.0/16", 10+i))
	}
	for i := range hosts {
		var paths []topology.Path
		for j := range hosts {
			if d := i - j; d != 0 && max(d, -d) <= 20 {
				received := 5
				if (i*7+j)%61 == 0 {
					received = (i + j) % 5
				}
				paths = append(paths, measured(fmt.Sprintf("h%d", j+1), received, 0.1+float64((i^j)*(i^j))/20))
			}
		}
		name := fmt.Sprintf("h%d", i+1)
		w.host(name, fmt.Sprintf("192.0.%d.%d", 2+i/250, 1+i%250), []string{"north", "south"}[i*2/hosts], paths...)
		for k := range 1 + i%9 {
			network := (i + k*k) % networks
			w.endpoint(fmt.Sprintf("net-%d", network+1), name, fmt.Sprintf("10.%d.%d.%d", 10+network, i/250, 2+i%250), fmt.Sprintf("app-%d-%d", i+1, k+1))
		}
		if i%37 == 5 {
			w.alive[name] = false
			w.answers[name] = topology.Answer{Err: errors.New("its agent shows no sign of life")}
		}
	}
	return w
}

// written is what a Map writes.
func written(t *testing.T, write func(*bytes.Buffer) error) []byte {
	t.Helper()
	var to bytes.Buffer
	if err := write(&to); err != nil {
		t.Fatal(err)
	}
	return to.Bytes()
}
