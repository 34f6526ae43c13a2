package capture

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/overlay"
)

// onVlan10 and onIP are what tcpdump makes of "vlan 10" and "ip".
const (
	onVlan10 = "9\n40 0 0 12\n21 2 0 33024\n21 1 0 34984\n21 0 4 37120\n40 0 0 14\n84 0 0 4095\n21 0 1 10\n6 0 0 262144\n6 0 0 0\n"
	onIP     = "4\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n6 0 0 0\n"
)

// cable is a veth pair in a network namespace of the test's own; what is sent comes
// in at the link named here.
type cable struct {
	t     *testing.T
	index int
	fd    int
}

const here = "here"

func newCable(t *testing.T) cable {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	// The thread is never given back, and the namespace ends with it.
	runtime.LockOSThread()
	c := cable{t: t}
	c.check(unix.Unshare(unix.CLONE_NEWNET))
	c.check(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: here}, PeerName: "there"}))
	for _, name := range []string{here, "there"} {
		link, err := netlink.LinkByName(name)
		c.check(err)
		c.check(netlink.LinkSetUp(link))
	}
	there, err := net.InterfaceByName("there")
	c.check(err)
	c.index = there.Index
	c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	c.check(err)
	t.Cleanup(func() { _ = unix.Close(c.fd) })
	return c
}

func (c cable) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c cable) send(text string) {
	c.t.Helper()
	c.check(unix.Sendto(c.fd, frame(c.t, text), 0, &unix.SockaddrLinklayer{Ifindex: c.index}))
}

func (c cable) listen(program string) *Socket {
	c.t.Helper()
	filter, err := parseProgram(program)
	c.check(err)
	s, err := ListenLink(here, filter)
	c.check(err)
	c.t.Cleanup(func() { _ = s.Close() })
	return s
}

// expect takes the next packet, which is to be this one.
func (c cable) expect(s *Socket, text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	p, err := s.Next(ctx)
	if want := frame(c.t, text); err != nil || string(p.Data) != string(want) || p.Length != len(want) || p.Out || time.Since(p.At).Abs() > time.Minute {
		c.t.Fatalf("%x of %d bytes at %s, out: %v, error %v; want %x", p.Data, p.Length, p.At, p.Out, err, want)
	}
}

// The kernel takes a VLAN tag out of a packet before its filters see that; a filter
// is about the packet as it was on the wire, tag and all.
func TestFiltersSeeTags(t *testing.T) {
	c := newCable(t)
	vlan, ip := c.listen(onVlan10), c.listen(onIP)
	other := strings.Replace(oneTagged, "8100 000a", "8100 000b", 1)
	for _, text := range []string{other, oneAsks, oneTagged, oneSends} {
		c.send(text)
	}
	c.expect(vlan, oneTagged)
	c.expect(ip, oneSends)
}

// Some filters only the kernel can run, as those that ask for the direction.
func TestKernelsFilters(t *testing.T) {
	c := newCable(t)
	inbound := c.listen("4\n40 0 0 4294963204\n21 0 1 4\n6 0 0 0\n6 0 0 262144\n")
	c.send(oneSends)
	c.send(oneTagged)
	c.expect(inbound, oneSends)
	c.expect(inbound, oneTagged)
}

// On a trunk the kernel has a VLAN tag beside a tunnel packet, which begins with its
// IP header.
func TestTunnelOnATrunk(t *testing.T) {
	c := newCable(t)
	tunnel, err := ListenTunnel(4789, nil, nil)
	c.check(err)
	defer func() { _ = tunnel.Close() }()
	c.send("02420a0a0003 02420a0a0002 8100 000a 0800" + outer + onePinged)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	p, e, err := tunnel.Next(ctx)
	if err != nil || string(p.Data) != string(frame(t, onePinged)) || p.Length != len(p.Data) || e.VNI != 4096 || e.Src.String() != "192.0.2.1" {
		t.Errorf("%x of %d bytes in %+v, error %v", p.Data, p.Length, e, err)
	}
}

// What passed before a link went down is shown before that is told.
func TestTheLastPackets(t *testing.T) {
	c := newCable(t)
	s, witness := c.listen(onIP), c.listen(onIP)
	c.send(oneSends)
	c.send(oneDials)
	// The link takes away what it has not handed on yet.
	c.expect(witness, oneSends)
	c.expect(witness, oneDials)
	link, err := netlink.LinkByName(here)
	c.check(err)
	c.check(netlink.LinkDel(link))
	c.expect(s, oneSends)
	c.expect(s, oneDials)
	for range 2 {
		if _, err := s.Next(t.Context()); !overlay.IsKind(err, overlay.Missing) {
			t.Errorf("after the last packet: error %v", err)
		}
	}
}

// Whoever waits for a packet is let go when he wants no more.
func TestNextEnds(t *testing.T) {
	s := newCable(t).listen(onVlan10)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// What has no room in what may wait is lost, and counted.
func TestHold(t *testing.T) {
	c := newCable(t)
	s, witness := c.listen(onIP), c.listen(onIP)
	c.check(s.Hold(1))
	for range 40 {
		c.send(oneSends)
	}
	for range 40 {
		c.expect(witness, oneSends)
	}
	if n, err := s.Dropped(); n < 20 || n > 40 || err != nil {
		t.Errorf("%d are lost, error %v", n, err)
	}
	c.expect(s, oneSends)
}

// Every packet that is taken is asked for, also one that is not shown because it is
// another host's, or was seen already.
func TestPace(t *testing.T) {
	c := newCable(t)
	tunnel, err := ListenTunnel(4789, []netip.Addr{netip.MustParseAddr("192.0.2.200")}, nil)
	c.check(err)
	defer func() { _ = tunnel.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var asked []int
	enough := errors.New("enough")
	tunnel.Pace(func(_ context.Context, bytes int) error {
		if asked = append(asked, bytes); len(asked) == 6 {
			return enough
		}
		return nil
	})
	for range 3 {
		c.send("02420a0a0003 02420a0a0002 0800" + outer + onePinged) // leaves one link and comes in at the other
	}
	_, _, err = tunnel.Next(ctx)
	want := len(frame(t, outer+onePinged))
	if !errors.Is(err, enough) || len(asked) != 6 || slices.ContainsFunc(asked, func(n int) bool { return n != want }) {
		t.Errorf("asked for %d, of %d bytes each, error %v", asked, want, err)
	}
}
