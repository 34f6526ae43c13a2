package inspect

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), renew with -update:\n%s", path, diff)
	}
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// shop is two networks of one subnet on three hosts. Two endpoints of different
// networks have one name.
func shop() *overlay.Snapshot {
	edit := overlay.NewSnapshot().Edit()
	for i, node := range []string{"h1", "h2", "h3"} {
		edit.SetNode(overlay.Node{Name: node, VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}, MTU: 1450})
	}
	for name, vni := range map[string]uint32{"prod": 4096, "dev": 4097} {
		edit.SetNetwork(overlay.Network{ID: name + "00000000000000000000000000000", Name: name, VNI: vni, Space: name, MTU: 1450,
			Subnets: []overlay.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/24"), Gateway: addr("10.0.0.1")}}})
	}
	for _, e := range []struct{ id, network, node, name, ip string }{
		{"a1", "prod", "h1", "web-1", "10.0.0.2"}, {"a2", "prod", "h2", "web-2", "10.0.0.3"}, {"a3", "prod", "h1", "", "10.0.0.4"},
		{"b1", "dev", "h1", "db", "10.0.0.2"}, {"b3", "dev", "h3", "web-1", "10.0.0.3"},
	} {
		endpoint := overlay.Endpoint{ID: e.id + "ffffffffffffffffffff", Network: e.network + "00000000000000000000000000000", Node: e.node, IPv4: addr(e.ip), MAC: overlay.MACFromAddr(addr(e.ip))}
		if e.name != "" {
			endpoint.Names = []string{e.name}
		}
		edit.SetEndpoint(endpoint)
	}
	return edit.Snapshot()
}

// bridgeOf is a host whose flows are as they should be, and have counted.
func bridgeOf(s *overlay.Snapshot, node string) Bridge {
	host := flows.Host{Node: node, Tunnel: 1, Ports: map[string]flows.Port{}}
	for e := range s.EndpointsOn(node) {
		host.Ports[e.ID] = flows.Port{Network: e.Network, OFPort: uint32(11 + len(host.Ports))}
	}
	b := NewBridge(s, host, func(peer overlay.Node) (netip.Addr, bool) { return peer.VTEP(), peer.VTEP().IsValid() }, nil)
	for i, f := range flows.Compile(s, b.Host, b.Route) {
		installed := flows.Installed{Flow: f, Duration: 90 * time.Minute, Idle: time.Duration(i) * time.Second}
		installed.Why = flows.Why{}
		if i%3 == 0 {
			installed.Packets, installed.Bytes = uint64(i+1), uint64(98*(i+1))
		}
		b.Installed = append(b.Installed, installed)
	}
	return b
}

// broken is h1 of the shop with something of every kind wrong.
func broken(t *testing.T) Bridge {
	t.Helper()
	b := bridgeOf(shop(), "h1")
	b.Installed = slices.DeleteFunc(b.Installed, func(f flows.Installed) bool {
		return flows.RuleOf(f.Cookie) == flows.ARPAnswer && f.Table == flows.ArpResponder && f.Match == answerFor(b, "a2")
	})
	for i, f := range b.Installed {
		if flows.RuleOf(f.Cookie) == flows.ToRemote {
			wrong := flows.NewActions(flows.Set(flows.TunID, flows.Number(4096)), flows.Set(flows.TunDst, flows.AddrValue(addr("192.0.2.9"))), flows.Output(1))
			b.Installed[i].Actions = wrong
			break
		}
	}
	for _, line := range []string{
		"cookie=0x0, duration=7.5s, table=60, n_packets=12, n_bytes=1176, idle_age=1, priority=300,dl_dst=02:42:0a:00:00:03 actions=drop",
		"cookie=0x6f76281234567890, duration=70.5s, table=60, n_packets=0, n_bytes=0, idle_age=70, priority=110,metadata=0x1000/0xffffff,dl_dst=02:42:0a:00:00:09 actions=output:19",
		"cookie=0x5, duration=1.5s, table=0, n_packets=0, n_bytes=0, idle_timeout=9, idle_age=1, priority=7,in_port=5 actions=NORMAL",
	} {
		f, err := flows.ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		b.Installed = append(b.Installed, f)
	}
	dump := `cookie=0x9, duration=1.5s, table=0, n_packets=1, n_bytes=1, idle_age=1, priority=7,ct_state=+new actions=ct(commit)
cookie=0x6f76161234567890, duration=2s, table=20, n_packets=3, n_bytes=4, idle_age=1, priority=50,ct_state=+est actions=drop
cookie=0x6f76051234567890, duration=2s, table=10, n_packets=3, n_bytes=4, idle_age=1, priority=100,tun_id=0x1000 actions=conjunction(1,1/2)
`
	unread, err := flows.ParseDump(strings.NewReader(dump))
	if err != nil {
		t.Fatal(err)
	}
	b.Installed = slices.DeleteFunc(b.Installed, func(f flows.Installed) bool { return f.Key == unread[2].Key })
	b.Installed = append(b.Installed, unread...)
	return b
}

// answerFor is the match of the ARP answer for an endpoint of prod.
func answerFor(b Bridge, id string) flows.Match {
	for _, f := range flows.Compile(b.Snapshot, b.Host, b.Route) {
		if f.Why.Rule == flows.ARPAnswer && f.Why.Endpoint == id+"ffffffffffffffffffff" {
			return f.Match
		}
	}
	panic(fmt.Sprintf("no ARP answer for %s", id))
}
