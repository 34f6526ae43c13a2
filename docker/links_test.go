package docker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/overlay"
)

// listedLinks is what the agent needs of links beside what the plugin needs.
type listedLinks interface {
	Links
	List(ctx context.Context) (map[string]Link, error)
}

// ownNamespace moves the test into a network namespace of its own, which ends
// with the test: its thread is never given back.
func ownNamespace(t *testing.T) {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

func endpointNamed(id string) overlay.Endpoint {
	addr := netip.MustParseAddr("10.40.0.2")
	return overlay.Endpoint{ID: id, IPv4: addr, MAC: overlay.MACFromAddr(addr)}
}

// testLinks is what every implementation of links does.
func testLinks(t *testing.T, links listedLinks) {
	e := endpointNamed("e1")
	list := func() map[string]Link {
		t.Helper()
		all, err := links.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	create := func(e overlay.Endpoint, mtu int) int {
		t.Helper()
		index, err := links.Create(t.Context(), e, mtu)
		check(err)
		return index
	}
	check(links.Delete(t.Context(), e.PortName()))
	first := create(e, 1400)
	for range 2 {
		again := create(e, 1400)
		made := list()[e.PortName()]
		if made.Name != e.PortName() || made.Index != first || again != first || made.MTU != 1400 || !made.Waiting || !made.Up || made.Running {
			t.Errorf("made %+v", made)
		}
	}
	other := create(e, 1300)
	if all := list(); len(all) != 1 || other == first || all[e.PortName()].Index != other || all[e.PortName()].MTU != 1300 {
		t.Errorf("after another MTU there are %+v", all)
	}
	create(endpointNamed("e2"), 1400)
	check(links.Delete(t.Context(), e.PortName()))
	check(links.Delete(t.Context(), e.PortName()))
	if all := list(); len(all) != 1 || all[portOf("e2")].Name == "" {
		t.Errorf("after the removal there are %+v", all)
	}
	if err := links.Delete(t.Context(), "eth0"); err == nil {
		t.Error("a link that is no endpoint's was removed")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := links.Create(ended, e, 1400); err == nil || links.Delete(ended, portOf("e2")) == nil {
		t.Error("an ended context was not noticed")
	}
	check(links.Delete(t.Context(), portOf("e2")))
}

func TestFakeLinks(t *testing.T) { testLinks(t, newFakeLinks()) }

func TestHostLinks(t *testing.T) {
	ownNamespace(t)
	testLinks(t, &HostLinks{Offload: func() bool { return true }})
}

// TestHostLinksPeer looks at the container's end, before and after it moves.
func TestHostLinksPeer(t *testing.T) {
	ownNamespace(t)
	links := &HostLinks{Offload: func() bool { return true }}
	e := endpointNamed("e1")
	if _, err := links.Create(t.Context(), e, 1400); err != nil {
		t.Fatal(err)
	}
	peer, err := netlink.LinkByName(e.PeerName())
	if err != nil {
		t.Fatal(err)
	}
	if attrs := peer.Attrs(); attrs.MTU != 1400 || attrs.HardwareAddr.String() != e.MAC.String() || attrs.Flags&net.FlagUp != 0 {
		t.Errorf("the container's end is %+v", attrs)
	}
	host, err := netlink.LinkByName(e.PortName())
	if err != nil {
		t.Fatal(err)
	}
	mode, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + e.PortName() + "/addr_gen_mode")
	if err != nil || strings.TrimSpace(string(mode)) != fmt.Sprint(addrGenNone) {
		t.Errorf("the host's end will get an IPv6 address: mode %s (%v)", mode, err)
	}
	moveAway(t, peer)
	all, err := links.List(t.Context())
	if moved := all[e.PortName()]; err != nil || moved.Waiting || !moved.Up {
		t.Errorf("after the move: %+v (%v)", moved, err)
	}
	// Docker asks again for an endpoint whose container died with its end.
	if _, err := links.Create(t.Context(), e, 1400); err != nil {
		t.Fatal(err)
	}
	all, err = links.List(t.Context())
	if again := all[e.PortName()]; err != nil || !again.Waiting || again.Index == host.Attrs().Index {
		t.Errorf("after a repeat: %+v (%v)", again, err)
	}
}

// moveAway moves a link into another, new namespace.
func moveAway(t *testing.T, link netlink.Link) {
	t.Helper()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	there, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetNsFd(link, int(there.Fd())); err != nil {
		t.Fatal(err)
	}
}

// TestHostLinksOffload reads the checksum offload of the container's end back.
func TestHostLinksOffload(t *testing.T) {
	ownNamespace(t)
	for _, offload := range []bool{true, false} {
		e := endpointNamed(fmt.Sprint(offload))
		links := &HostLinks{Offload: func() bool { return offload }}
		if _, err := links.Create(t.Context(), e, 1400); err != nil {
			t.Fatal(err)
		}
		for what, command := range map[string]uint32{"checksum": unix.ETHTOOL_GTXCSUM, "segmentation": unix.ETHTOOL_GTSO} {
			if value, err := ethtool(e.PeerName(), command, 0); err != nil || (value == 1) != offload {
				t.Errorf("%s offload is %d (%v), want %t", what, value, err, offload)
			}
		}
	}
	if err := disableOffload("nothing"); err == nil {
		t.Error("a missing link has an offload")
	}
}

// TestHostLinksBusy lists while links come and go, which interrupts dumps.
func TestHostLinksBusy(t *testing.T) {
	ownNamespace(t)
	links := &HostLinks{Offload: func() bool { return true }}
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	ctx, stop := context.WithCancel(t.Context())
	var churn sync.WaitGroup
	churn.Go(func() {
		runtime.LockOSThread()
		if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
			return
		}
		for i := 0; ctx.Err() == nil; i++ {
			e := endpointNamed(fmt.Sprint("churn", i%5))
			if _, err := links.Create(context.WithoutCancel(ctx), e, 1400); err != nil {
				t.Error(err)
			}
			if err := links.Delete(context.WithoutCancel(ctx), e.PortName()); err != nil {
				t.Error(err)
			}
		}
	})
	stays := endpointNamed("stays")
	if _, err := links.Create(t.Context(), stays, 1400); err != nil {
		t.Error(err)
	}
	for range 50 {
		if all, err := links.List(t.Context()); err != nil || !all[stays.PortName()].Up {
			t.Errorf("the list has %v (%v)", all, err)
		}
	}
	stop()
	churn.Wait()
}
