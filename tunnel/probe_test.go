package tunnel

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/ovsnet/ovsnet/overlay"
)

// inNamespace runs the test on a thread in a network namespace of its own,
// with lo up and, for every name, a dummy link with the addresses.
func inNamespace(t *testing.T, links map[string][]string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	runtime.LockOSThread()
	before, err := netns.Get()
	check(t, err)
	fresh, err := netns.New()
	check(t, err)
	t.Cleanup(func() {
		if err := errors.Join(netns.Set(before), fresh.Close(), before.Close()); err != nil {
			t.Error(err)
			return
		}
		runtime.UnlockOSThread()
	})
	up(t, "lo")
	for name, prefixes := range links {
		check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "p" + name}))
		up(t, "p"+name)
		up(t, name)
		link, err := netlink.LinkByName(name)
		check(t, err)
		for _, prefix := range prefixes {
			a, err := netlink.ParseAddr(prefix)
			check(t, err)
			a.Flags = syscall.IFA_F_NODAD
			check(t, netlink.AddrAdd(link, a))
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func up(t *testing.T, name string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	check(t, err)
	check(t, netlink.LinkSetUp(link))
}

func addRoute(t *testing.T, to, via string, metric int) {
	t.Helper()
	route := netlink.Route{Gw: addr(via).AsSlice(), Priority: metric}
	if to != "" {
		dst, err := netlink.ParseIPNet(to)
		check(t, err)
		route.Dst = dst
	}
	check(t, netlink.RouteAdd(&route))
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func chosen(t *testing.T, etcd ...string) VTEP {
	t.Helper()
	u, err := Probe(limited(t), etcd)
	check(t, err)
	vtep, err := Choose(netip.Addr{}, u)
	check(t, err)
	return vtep
}

func TestProbeFollowsTheRoute(t *testing.T) {
	inNamespace(t, map[string][]string{
		"eth0": {"192.0.2.10/24", "198.51.100.10/24", "2001:db8::10/64"},
		"eth1": {"10.1.0.10/24"},
	})
	link, err := netlink.LinkByName("eth1")
	check(t, err)
	check(t, netlink.LinkSetMTU(link, 1400))
	addRoute(t, "", "192.0.2.1", 100)
	addRoute(t, "10.9.0.0/16", "10.1.0.1", 0)

	if got := chosen(t, "http://127.0.0.1:2379", "https://10.9.0.5:2379"); got.Addr != addr("10.1.0.10") || got.Link != "eth1" || got.MTU != 1400 {
		t.Errorf("towards etcd: %+v", got)
	}
	if got := chosen(t, "https://[2001:db8::5]:2379"); got.Addr != addr("2001:db8::10") || got.MTU != 1500 {
		t.Errorf("towards etcd over IPv6: %+v", got)
	}
	if got := chosen(t, "https://10.1.0.10:2379"); got.Addr != addr("10.1.0.10") || got.Link != "eth1" {
		t.Errorf("etcd on this host: %+v", got)
	}
	if got := chosen(t, "http://[::1]:2379"); got.Addr != addr("192.0.2.10") || got.Link != "eth0" {
		t.Errorf("by the default route: %+v", got)
	}
	// The address beside the gateway, not the link's first; and the lower metric.
	addRoute(t, "", "198.51.100.1", 50)
	if got := chosen(t); got.Addr != addr("198.51.100.10") {
		t.Errorf("by the better default route: %+v", got)
	}
}

func TestProbeWithoutAnyRoute(t *testing.T) {
	inNamespace(t, nil)
	u, err := Probe(limited(t), []string{"https://192.0.2.1:2379"})
	check(t, err)
	if _, err := Choose(netip.Addr{}, u); !overlay.IsKind(err, overlay.Missing) {
		t.Errorf("Choose: %v", err)
	}
	if _, err := Probe(limited(t), []string{"https://"}); !overlay.IsKind(err, overlay.Invalid) {
		t.Errorf("Probe: %v", err)
	}
}

func TestHostRoutes(t *testing.T) {
	inNamespace(t, map[string][]string{"eth0": {"192.0.2.10/24", "2001:db8::10/64"}})
	addRoute(t, "", "192.0.2.1", 0)
	addRoute(t, "10.9.0.0/16", "192.0.2.1", 0)
	dst, err := netlink.ParseIPNet("10.66.0.0/16")
	check(t, err)
	check(t, netlink.RouteAdd(&netlink.Route{Dst: dst, Type: syscall.RTN_BLACKHOLE}))
	found, err := HostRoutes(limited(t))
	check(t, err)
	var list []string
	for _, o := range found {
		if !strings.HasPrefix(o.What, "nameserver ") {
			list = append(list, o.What)
		}
	}
	slices.Sort(list)
	want := []string{
		"address 192.0.2.10 of eth0", "address 2001:db8::10 of eth0", "route 10.66.0.0/16",
		"route 10.9.0.0/16 by eth0", "route 192.0.2.0/24 by eth0", "route 2001:db8::/64 by eth0",
	}
	if !slices.Equal(list, want) {
		t.Errorf("occupied: %q, want %q", list, want)
	}
}

func TestBestDefault(t *testing.T) {
	zero, err := netlink.ParseIPNet("0.0.0.0/0")
	check(t, err)
	some, err := netlink.ParseIPNet("10.0.0.0/8")
	check(t, err)
	routes := []netlink.Route{
		{Family: netlink.FAMILY_V4, Dst: some, Priority: 1, LinkIndex: 1},
		{Family: netlink.FAMILY_V6, Priority: 2, LinkIndex: 2},
		{Family: netlink.FAMILY_V4, Dst: zero, Priority: 200, LinkIndex: 3},
		{Family: netlink.FAMILY_V4, Priority: 100, LinkIndex: 4},
		{Family: netlink.FAMILY_V4, Priority: 100, LinkIndex: 5},
	}
	for family, want := range map[int]int{netlink.FAMILY_V4: 4, netlink.FAMILY_V6: 2} {
		if got, ok := bestDefault(routes, family); !ok || got.LinkIndex != want {
			t.Errorf("family %d: %+v, %v", family, got, ok)
		}
	}
	if got, ok := bestDefault(routes[:1], netlink.FAMILY_V4); ok {
		t.Errorf("no default route, but %+v", got)
	}
}

func TestDumpIsReadAgain(t *testing.T) {
	calls := 0
	got, err := dump(func() ([]int, error) {
		switch calls++; calls {
		case 1:
			return []int{1}, netlink.ErrDumpInterrupted
		case 2:
			return nil, syscall.EINTR
		}
		return []int{1, 2}, nil
	})
	if err != nil || calls != 3 || !slices.Equal(got, []int{1, 2}) {
		t.Errorf("%v, %v after %d calls", got, err, calls)
	}
	if _, err := dump(func() ([]int, error) { return nil, netlink.ErrDumpInterrupted }); !errors.Is(err, netlink.ErrDumpInterrupted) {
		t.Errorf("interrupted for ever: %v", err)
	}
	calls = 0
	if _, err := dump(func() ([]int, error) { calls++; return nil, syscall.EPERM }); !errors.Is(err, syscall.EPERM) || calls != 1 {
		t.Errorf("another error: %v after %d calls", err, calls)
	}
}
