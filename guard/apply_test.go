package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	mnl "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ownNamespace gives the test, and what it starts, an empty network namespace. It leaves the test out where that
// cannot be; in CI that is a failure.
func ownNamespace(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 || testing.Short() {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root, and no -short")
		}
		t.Skip("needs root, and no -short")
	}
	// The thread is not unlocked: it ends with the test, and the namespace with it.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	command(t, "ip", "link", "set", "lo", "up")
}

// command runs argv in the test's namespace and gives what it prints.
func command(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

func ensure(t testing.TB, want Rules) {
	t.Helper()
	if _, err := Ensure(context.Background(), want); err != nil {
		t.Fatal(err)
	}
}

// addLinks makes pairs of links named ov1, ov2, ... with the ends peer1, peer2, ...
func addLinks(t testing.TB, count int) []string {
	t.Helper()
	var names []string
	for i := 1; i <= count; i++ {
		name := fmt.Sprintf("ov%d", i)
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: fmt.Sprintf("peer%d", i)}); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// rules is what nft lists, with all counters at nought and without digests.
func rules(t testing.TB) string {
	t.Helper()
	return plain(command(t, "nft", "list", "ruleset"))
}

func plain(text string) string {
	text = regexp.MustCompile(`packets \d+ bytes \d+`).ReplaceAllString(text, "packets 0 bytes 0")
	return regexp.MustCompile(`, [0-9a-f]{8}"`).ReplaceAllString(text, `"`)
}

const listed = `table inet ovsnet {
	set vteps4 {
		type ipv4_addr
		elements = { 192.0.2.1, 192.0.2.2 }
	}

	set vteps6 {
		type ipv6_addr
		elements = { 2001:db8::1 }
	}

	chain prerouting {
		type filter hook prerouting priority raw; policy accept;
		udp dport 4789 goto tunnel comment "a tunnel packet"
		udp sport 4789 goto claimed comment "its answer would be a tunnel packet"
	}

	chain tunnel {
		ip daddr 192.0.2.1 goto arriving comment "to this host"
		ip6 daddr 2001:db8::1 goto arriving comment "to this host"
		goto claimed comment "to another"
	}

	chain arriving {
		fib saddr . iif oif missing counter packets 0 bytes 0 drop comment "this link does not lead to its source"
		notrack comment "no connection of a container"
	}

	chain claimed {
		ip saddr @vteps4 fib saddr . iif oif missing counter packets 0 bytes 0 drop comment "a VTEP as source, and this link does not lead to it"
		ip6 saddr @vteps6 fib saddr . iif oif missing counter packets 0 bytes 0 drop comment "a VTEP as source, and this link does not lead to it"
	}

	chain output {
		type filter hook output priority raw; policy accept;
		udp dport 4789 ip saddr 192.0.2.1 notrack comment "nothing translates the host's own tunnel packets"
		udp dport 4789 ip6 saddr 2001:db8::1 notrack comment "nothing translates the host's own tunnel packets"
	}

	chain postrouting {
		type filter hook postrouting priority 300; policy accept;
		udp dport 4789 goto translated comment "a tunnel packet"
		udp sport 4789 goto translated comment "its answer would be a tunnel packet"
	}

	chain translated {
		ip saddr 192.0.2.1 ct status snat,dnat counter packets 0 bytes 0 drop comment "another's, in this host's name"
		ip6 saddr 2001:db8::1 ct status snat,dnat counter packets 0 bytes 0 drop comment "another's, in this host's name"
	}
}
table netdev ovsnet {
	chain ov1 {
		type filter hook ingress device "ov1" priority filter; policy drop;
		counter packets 0 bytes 0 drop comment "what a container sends here is Open vSwitch's alone"
	}

	chain ov2 {
		type filter hook ingress device "ov2" priority filter; policy drop;
		counter packets 0 bytes 0 drop comment "what a container sends here is Open vSwitch's alone"
	}
}
`

func TestEnsureMakesWhatNftLists(t *testing.T) {
	ownNamespace(t)
	addLinks(t, 2)
	ensure(t, example())
	if diff := cmp.Diff(listed, rules(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRemoveLeavesOthers(t *testing.T) {
	ownNamespace(t)
	addLinks(t, 2)
	command(t, "nft", "add table inet others; add chain inet others prerouting { type filter hook prerouting priority raw; }")
	before := rules(t)
	for range 2 {
		ensure(t, example())
		if err := Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, rules(t)); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
		if err := Remove(t.Context()); err != nil {
			t.Errorf("of nothing: %v", err)
		}
	}
}

func TestRepeatWritesNothing(t *testing.T) {
	ownNamespace(t)
	addLinks(t, 2)
	ensure(t, example())
	before := generation(t)
	for range 3 {
		ensure(t, example())
	}
	if after := generation(t); after != before {
		t.Errorf("the ruleset is at generation %d, was at %d", after, before)
	}
	command(t, "nft", "add table inet others")
	if after := generation(t); after == before {
		t.Error("the generation does not count changes")
	}
}

// generation is the number of the kernel's ruleset, which every transaction raises.
func generation(t *testing.T) uint32 {
	t.Helper()
	conn, err := mnl.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answers, err := conn.Execute(mnl.Message{
		Header: mnl.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: mnl.Request},
		Data:   make([]byte, 4),
	})
	if err != nil {
		t.Fatal(err)
	}
	ad, err := decode(answers[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	for ad.Next() {
		if ad.Type() == unix.NFTA_GEN_ID {
			return ad.Uint32()
		}
	}
	t.Fatal("the kernel tells no generation")
	return 0
}

func TestEnsureMendsWhatOthersChanged(t *testing.T) {
	for _, change := range []string{
		"flush ruleset",
		"flush table inet ovsnet",
		"delete table netdev ovsnet",
		"flush chain netdev ovsnet ov1",
		"delete chain netdev ovsnet ov2",
		"insert rule inet ovsnet prerouting accept",
		"insert rule netdev ovsnet ov1 accept",
		"insert rule inet ovsnet arriving accept",
		"add chain inet ovsnet prerouting { policy drop; }",
		"add table inet ovsnet { flags dormant; }",
		"add table netdev ovsnet { flags dormant; }",
		"delete element inet ovsnet vteps4 { 192.0.2.2 }; add element inet ovsnet vteps6 { 2001:db8::9 }",
		"add set inet ovsnet mine { type ipv4_addr; }",
		"flush chain inet ovsnet claimed; delete set inet ovsnet vteps4; add set inet ovsnet vteps4 { type ipv4_addr; flags interval; }",
		"flush chain inet ovsnet tunnel; delete chain inet ovsnet arriving; add chain inet ovsnet arriving { type filter hook output priority 5; }",
		"add chain inet ovsnet mine; add rule inet ovsnet mine accept; add chain inet ovsnet other; add rule inet ovsnet other jump mine",
		`delete chain netdev ovsnet ov2; add chain netdev ovsnet ov2 { type filter hook ingress device "ov1" priority 5; }`,
	} {
		t.Run(change, func(t *testing.T) {
			ownNamespace(t)
			addLinks(t, 2)
			ensure(t, example())
			command(t, "nft", change)
			if rules(t) == listed {
				t.Fatal("nothing changed")
			}
			ensure(t, example())
			if diff := cmp.Diff(listed, sorted(t)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// sorted is the ruleset as a fresh namespace would list it: what is mended stands behind what stayed.
func sorted(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	list := func(kind, family string, names ...string) {
		for _, name := range names {
			_, body, _ := strings.Cut(command(t, "nft", "list", kind, family, "ovsnet", name), "{\n")
			text.WriteString(strings.TrimSuffix(body, "}\n") + "\n")
		}
	}
	text.WriteString("table inet ovsnet {\n")
	list("set", "inet", "vteps4", "vteps6")
	list("chain", "inet", "prerouting", "tunnel", "arriving", "claimed", "output", "postrouting", "translated")
	text.WriteString("}\ntable netdev ovsnet {\n")
	list("chain", "netdev", "ov1", "ov2")
	text.WriteString("}\n")
	for word, count := range map[string]int{"\tchain ": 9, "\tset ": 2, "dormant": 0} {
		if there := strings.Count(rules(t), word); there != count {
			t.Errorf("%q is there %d times:\n%s", word, there, rules(t))
		}
	}
	return strings.ReplaceAll(plain(text.String()), "\t}\n\n}", "\t}\n}")
}

func TestLinksComeAndGo(t *testing.T) {
	ownNamespace(t)
	addLinks(t, 2)
	want := example()
	want.Links = []string{"ov1", "ov2", "absent"}
	ensure(t, want)
	if diff := cmp.Diff(listed, rules(t)); diff != "" {
		t.Errorf("with a link that is not there (-want +got):\n%s", diff)
	}
	command(t, "ip", "link", "del", "ov2")
	want.Links = []string{"ov1"}
	ensure(t, want)
	if text := rules(t); strings.Contains(text, "ov2") || !strings.Contains(text, "ov1") {
		t.Errorf("after ov2 went:\n%s", text)
	}
	// The same name is another link now, and the chain must hang at it.
	command(t, "ip", "link", "del", "ov1")
	addLinks(t, 2)
	ensure(t, example())
	if diff := cmp.Diff(listed, sorted(t)); diff != "" {
		t.Errorf("with new links of the same names (-want +got):\n%s", diff)
	}
	if _, err := Ensure(t.Context(), Rules{Port: 4789, VTEPs: addrs("2001:db8::1"), Peers: addrs()}); err != nil {
		t.Fatal(err)
	}
	if text := rules(t); strings.Contains(text, "device") || strings.Contains(text, "192.0.2.1") {
		t.Errorf("without links, and with one address:\n%s", text)
	}
}

func TestEnsureEndsWithItsContext(t *testing.T) {
	ownNamespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Ensure(ctx, example()); !errors.Is(err, context.Canceled) {
		t.Errorf("Ensure: %v", err)
	}
	if err := Remove(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Remove: %v", err)
	}
}

func BenchmarkEnsure(b *testing.B) {
	for _, count := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("nothing to do, links=%d", count), func(b *testing.B) {
			ownNamespace(b)
			want := Rules{Port: 4789, VTEPs: example().VTEPs, Links: addLinks(b, count)}
			ensure(b, want)
			for b.Loop() {
				ensure(b, want)
			}
		})
	}
	b.Run("from nothing, links=1000", func(b *testing.B) {
		ownNamespace(b)
		want := Rules{Port: 4789, VTEPs: example().VTEPs, Links: addLinks(b, 1000)}
		for b.Loop() {
			ensure(b, want)
			b.StopTimer()
			if err := Remove(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}
