package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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
	if err := Ensure(context.Background(), want); err != nil {
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

// ruleset is what nft lists, with all counters at nought.
func ruleset(t testing.TB) string {
	t.Helper()
	return regexp.MustCompile(`packets \d+ bytes \d+`).ReplaceAllString(command(t, "nft", "list", "ruleset"), "packets 0 bytes 0")
}

const listed = `table inet ovsnet {
	chain prerouting {
		type filter hook prerouting priority raw; policy accept;
		udp dport 4789 fib saddr . iif oif missing counter packets 0 bytes 0 drop comment "udp dport 4789 fib saddr . iif oif missing counter drop"
	}

	chain postrouting {
		type filter hook postrouting priority 300; policy accept;
		ip saddr 192.0.2.1 udp dport 4789 ct status snat,dnat counter packets 0 bytes 0 drop comment "ip saddr 192.0.2.1 udp dport 4789 ct status snat,dnat counter drop"
		ip6 saddr 2001:db8::1 udp dport 4789 ct status snat,dnat counter packets 0 bytes 0 drop comment "ip6 saddr 2001:db8::1 udp dport 4789 ct status snat,dnat counter drop"
	}
}
table netdev ovsnet {
	chain ov1 {
		type filter hook ingress device "ov1" priority filter; policy drop;
		counter packets 0 bytes 0 drop comment "counter drop"
	}

	chain ov2 {
		type filter hook ingress device "ov2" priority filter; policy drop;
		counter packets 0 bytes 0 drop comment "counter drop"
	}
}
`

func TestEnsureMakesWhatNftLists(t *testing.T) {
	ownNamespace(t)
	addLinks(t, 2)
	ensure(t, example())
	if diff := cmp.Diff(listed, ruleset(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRemoveLeavesOthers(t *testing.T) {
	ownNamespace(t)
	addLinks(t, 2)
	command(t, "nft", "add table inet others; add chain inet others prerouting { type filter hook prerouting priority raw; }")
	before := ruleset(t)
	for range 2 {
		ensure(t, example())
		if err := Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, ruleset(t)); diff != "" {
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
	_, ad, err := attributes(answers[0].Data)
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
		"add chain inet ovsnet prerouting { policy drop; }",
		"add chain inet ovsnet mine; add rule inet ovsnet mine accept; add chain inet ovsnet other; add rule inet ovsnet other jump mine",
		`delete chain netdev ovsnet ov2; add chain netdev ovsnet ov2 { type filter hook ingress device "ov1" priority 5; }`,
	} {
		t.Run(change, func(t *testing.T) {
			ownNamespace(t)
			addLinks(t, 2)
			ensure(t, example())
			command(t, "nft", change)
			if ruleset(t) == listed {
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
	for _, name := range []string{"inet", "netdev"} {
		text.WriteString("table " + name + " ovsnet {\n")
		for i, c := range map[string][]string{"inet": {"prerouting", "postrouting"}, "netdev": {"ov1", "ov2"}}[name] {
			if i > 0 {
				text.WriteString("\n")
			}
			_, body, _ := strings.Cut(command(t, "nft", "list chain "+name+" ovsnet "+c), "{\n")
			text.WriteString(strings.TrimSuffix(body, "}\n"))
		}
		text.WriteString("}\n")
	}
	if chains := strings.Count(ruleset(t), "\tchain "); chains != 4 {
		t.Errorf("%d chains:\n%s", chains, ruleset(t))
	}
	return regexp.MustCompile(`packets \d+ bytes \d+`).ReplaceAllString(text.String(), "packets 0 bytes 0")
}

func TestLinksComeAndGo(t *testing.T) {
	ownNamespace(t)
	addLinks(t, 2)
	want := example()
	want.Links = []string{"ov1", "ov2", "absent"}
	ensure(t, want)
	if diff := cmp.Diff(listed, ruleset(t)); diff != "" {
		t.Errorf("with a link that is not there (-want +got):\n%s", diff)
	}
	command(t, "ip", "link", "del", "ov2")
	want.Links = []string{"ov1"}
	ensure(t, want)
	if text := ruleset(t); strings.Contains(text, "ov2") || !strings.Contains(text, "ov1") {
		t.Errorf("after ov2 went:\n%s", text)
	}
	// The same name is another link now, and the chain must hang at it.
	command(t, "ip", "link", "del", "ov1")
	addLinks(t, 2)
	ensure(t, example())
	if diff := cmp.Diff(listed, sorted(t)); diff != "" {
		t.Errorf("with new links of the same names (-want +got):\n%s", diff)
	}
	if err := Ensure(t.Context(), Rules{Port: 4789, VTEPs: []netip.Addr{example().VTEPs[0]}}); err != nil {
		t.Fatal(err)
	}
	if text := ruleset(t); strings.Contains(text, "device") || strings.Contains(text, "192.0.2.1") {
		t.Errorf("without links, and with one address:\n%s", text)
	}
}

func TestEnsureEndsWithItsContext(t *testing.T) {
	ownNamespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Ensure(ctx, example()); !errors.Is(err, context.Canceled) {
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
