package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/overlay"
)

// Link is the link of an endpoint as it stands in this host's namespace.
type Link struct {
	// Name is the name of the host's end, overlay.Endpoint.PortName.
	Name string
	// Index is the kernel's number of the host's end.
	Index int
	// MTU of the host's end, in bytes.
	MTU int
	// Waiting says that the container's end is still, or again, in this
	// namespace: no container has it.
	Waiting bool
	// Up says that the host's end is set up, and Running that packets can pass,
	// which needs the container's end up as well.
	Up, Running bool
}

// HostLinks makes, removes and lists endpoints' links (veth pairs) in the
// network namespace of the calling thread. It is a Links.
type HostLinks struct {
	// Offload tells whether containers may leave checksums and segmentation to
	// their link. They may not where OVS forwards in user space: it takes
	// packets off the link as they are, without a checksum. Asked at each Create.
	Offload func() bool
}

// addrGenNone is IN6_ADDR_GEN_MODE_NONE of linux/if_link.h: no link-local
// address.
const addrGenNone = 1

// Create makes the link of the endpoint, as Links says. A link of that name
// whose container's end is gone, or whose MTU or MAC differ, is made anew.
func (l *HostLinks) Create(ctx context.Context, endpoint overlay.Endpoint, mtu int) (index int, err error) {
	kernel, err := open(ctx)
	if err != nil {
		return 0, err
	}
	defer kernel.Close()
	index, err = l.fitting(kernel, endpoint, mtu)
	if err != nil || index != 0 {
		return index, err
	}
	if index, err = l.make(kernel, endpoint, mtu); err != nil {
		return 0, and(fmt.Errorf("make link %s of endpoint %s: %w", endpoint.PortName(), overlay.ShortID(endpoint.ID), err),
			remove(kernel, endpoint.PortName()))
	}
	return index, nil
}

// fitting is the index of the endpoint's link if it exists as it should be; one
// that does not fit is removed.
func (l *HostLinks) fitting(kernel *netlink.Handle, endpoint overlay.Endpoint, mtu int) (index int, err error) {
	host, err := find(kernel, endpoint.PortName())
	if err != nil {
		return 0, err
	}
	peer, err := find(kernel, endpoint.PeerName())
	if err != nil {
		return 0, err
	}
	if host != nil && peer != nil && isUp(host) && host.Attrs().ParentIndex == peer.Attrs().Index &&
		host.Attrs().MTU == mtu && peer.Attrs().MTU == mtu && bytes.Equal(peer.Attrs().HardwareAddr, endpoint.MAC[:]) {
		return host.Attrs().Index, l.setOffload(endpoint.PeerName())
	}
	return 0, and(remove(kernel, endpoint.PortName()), remove(kernel, endpoint.PeerName()))
}

// make makes the link, all of it set before the host's end comes up.
func (l *HostLinks) make(kernel *netlink.Handle, endpoint overlay.Endpoint, mtu int) (index int, err error) {
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: endpoint.PortName(), MTU: mtu, TxQLen: -1})
	veth.PeerName, veth.PeerMTU, veth.PeerHardwareAddr = endpoint.PeerName(), uint32(mtu), net.HardwareAddr(endpoint.MAC[:])
	if err := kernel.LinkAdd(veth); err != nil {
		return 0, err
	}
	// The host's end is a port of the switch; with an IPv6 address of its own the
	// host would talk to the container through it.
	if err := kernel.LinkSetIP6AddrGenMode(veth, addrGenNone); err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EAFNOSUPPORT) {
		return 0, fmt.Errorf("keep IPv6 off it: %w", err)
	}
	if err := l.setOffload(endpoint.PeerName()); err != nil {
		return 0, err
	}
	if err := kernel.LinkSetUp(veth); err != nil {
		return 0, fmt.Errorf("set it up: %w", err)
	}
	return veth.Index, nil
}

func (l *HostLinks) setOffload(name string) error {
	if l.Offload() {
		return nil
	}
	return disableOffload(name)
}

// Delete removes the link whose host's end has that name; one that is absent is
// no error. A name that no endpoint's link can have is refused.
func (l *HostLinks) Delete(ctx context.Context, name string) error {
	if !isPortName(name) {
		return overlay.Refuse(overlay.Invalid, "link "+name, "", "not a link of an endpoint")
	}
	kernel, err := open(ctx)
	if err != nil {
		return err
	}
	defer kernel.Close()
	return remove(kernel, name)
}

// portLinks are the hosts' ends of endpoints' links.
func portLinks(ctx context.Context) ([]netlink.Link, error) {
	kernel, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer kernel.Close()
	all, err := complete(kernel.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return slices.DeleteFunc(all, func(link netlink.Link) bool { return link.Type() != "veth" || !isPortName(link.Attrs().Name) }), nil
}

// List returns the links of endpoints by the names of their hosts' ends.
func (l *HostLinks) List(ctx context.Context) (map[string]Link, error) {
	links, err := portLinks(ctx)
	if err != nil {
		return nil, err
	}
	found := make(map[string]Link)
	for _, link := range links {
		attrs := link.Attrs()
		found[attrs.Name] = Link{
			Name: attrs.Name, Index: attrs.Index, MTU: attrs.MTU,
			// The kernel names the other end's namespace only where it is another.
			Waiting: attrs.NetNsID < 0,
			Up:      isUp(link), Running: attrs.OperState == netlink.OperUp,
		}
	}
	return found, nil
}

// portPrefix and portDigits are of the names that overlay.Endpoint.PortName
// makes: a prefix and that many lower-case hex digits.
const (
	portPrefix = "ovsn"
	portDigits = 11
)

func isPortName(name string) bool {
	digits, ok := strings.CutPrefix(name, portPrefix)
	return ok && len(digits) == portDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

func isUp(link netlink.Link) bool { return link.Attrs().Flags&net.FlagUp != 0 }

// open returns a connection to the kernel that lives as long as one operation:
// kept ones would have to be watched for overruns, and cost 50 µs to make.
func open(ctx context.Context) (*netlink.Handle, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("talk to the kernel: %w", err)
	}
	kernel, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("talk to the kernel: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := kernel.SetSocketTimeout(max(time.Until(deadline), time.Millisecond)); err != nil {
			kernel.Close()
			return nil, fmt.Errorf("talk to the kernel: %w", err)
		}
	}
	return kernel, nil
}

// dumpTries is how often a list is asked for again that changed while the
// kernel wrote it. Each try takes milliseconds.
const dumpTries = 20

// complete asks for a list until none of it changed meanwhile (EINTR).
func complete[T any](list func() ([]T, error)) (all []T, err error) {
	for range dumpTries {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) {
			return all, err
		}
	}
	return nil, fmt.Errorf("it changed during each of %d readings: %w", dumpTries, err)
}

// find returns the link of that name, or nil.
func find(kernel *netlink.Handle, name string) (netlink.Link, error) {
	link, err := kernel.LinkByName(name)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at link %s: %w", name, err)
	}
	return link, nil
}

// remove removes the link of that name if there is one.
func remove(kernel *netlink.Handle, name string) error {
	link, err := find(kernel, name)
	if err != nil || link == nil {
		return err
	}
	if err := kernel.LinkDel(link); err != nil && !gone(err) {
		return fmt.Errorf("remove link %s: %w", name, err)
	}
	return nil
}

// gone reports whether the error says that the link does not exist.
func gone(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing) || errors.Is(err, unix.ENODEV) || errors.Is(err, os.ErrNotExist)
}
