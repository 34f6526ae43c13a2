package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/ovsnet/ovsnet/tests/lab/machine"
)

// namespace is a network namespace opened for changes from outside.
type namespace struct {
	fd netns.NsHandle
	*netlink.Handle
}

func openNamespace(p machine.Process) (namespace, error) {
	fd, err := netns.GetFromPath(p.NetNS())
	if err != nil {
		return namespace{}, fmt.Errorf("open the network namespace of process %d: %w", p.PID, err)
	}
	handle, err := netlink.NewHandleAt(fd)
	if err != nil {
		return namespace{}, errors.Join(fmt.Errorf("open netlink in %s: %w", p.NetNS(), err), fd.Close())
	}
	return namespace{fd: fd, Handle: handle}, nil
}

func (n namespace) close() {
	n.Close()
	n.fd.Close()
}

// makeUnderlay makes the bridge that joins the hosts. It has an address, so that the hosts' default routes have a next
// hop that answers, but passes nothing on.
func makeUnderlay(netInit machine.Process, p Plan) error {
	ns, err := openNamespace(netInit)
	if err != nil {
		return err
	}
	defer ns.close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = underlayBridge, p.MTU, p.Net.LinkMAC
	if err := ns.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("make the underlay bridge: %w", err)
	}
	return errors.Join(linkUp(ns, "lo"), address(ns, underlayBridge, p.Net.Address))
}

// plug connects a host to the underlay. With the netdev datapath the address is not here but on br-phy.
func plug(netInit, hostInit machine.Process, p Plan, h HostPlan) error {
	under, err := openNamespace(netInit)
	if err != nil {
		return err
	}
	defer under.close()
	host, err := openNamespace(hostInit)
	if err != nil {
		return err
	}
	defer host.close()
	if err := cable(under, host, p, h); err != nil {
		return fmt.Errorf("plug %s into the underlay: %w", h.Name, err)
	}
	if err := linkUp(host, "lo"); err != nil {
		return err
	}
	if p.Datapath == Netdev {
		return mute(host)
	}
	return configure(host, uplink, p, h)
}

func cable(under, host namespace, p Plan, h HostPlan) error {
	bridge, err := under.LinkByName(underlayBridge)
	if err != nil {
		return fmt.Errorf("find %s: %w", underlayBridge, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.MasterIndex = h.Name, p.MTU, bridge.Attrs().Index
	veth := &netlink.Veth{
		LinkAttrs: attrs, PeerName: uplink, PeerHardwareAddr: h.LinkMAC, PeerMTU: uint32(p.MTU),
		PeerNamespace: netlink.NsFd(int(host.fd)),
	}
	if err := under.LinkAdd(veth); err != nil {
		return fmt.Errorf("make the veth pair: %w", err)
	}
	return linkUp(under, h.Name)
}

// mute keeps the kernel's own stack from answering on a link that belongs to OVS.
func mute(host namespace) error {
	link, err := host.LinkByName(uplink)
	if err != nil {
		return fmt.Errorf("find %s: %w", uplink, err)
	}
	const none = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h: no link-local address
	err = errors.Join(host.LinkSetARPOff(link), host.LinkSetIP6AddrGenMode(link, none))
	if err != nil {
		return fmt.Errorf("switch address resolution off on %s: %w", uplink, err)
	}
	return linkUp(host, uplink)
}

// configure gives a host its underlay address and default route on the named link.
func configure(ns namespace, name string, p Plan, h HostPlan) error {
	if err := address(ns, name, h.Address); err != nil {
		return err
	}
	link, err := ns.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: p.Net.Address.Addr().AsSlice(), Dst: defaultRoute()}
	if err := ns.RouteReplace(route); err != nil {
		return fmt.Errorf("route by way of %s: %w", name, err)
	}
	return nil
}

func defaultRoute() *net.IPNet { return &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)} }

func address(ns namespace, name string, prefix netip.Prefix) error {
	link, err := ns.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), 32)}}
	if err := ns.AddrReplace(link, addr); err != nil {
		return fmt.Errorf("set %s on %s: %w", prefix, name, err)
	}
	return linkUp(ns, name)
}

func linkUp(ns namespace, name string) error {
	link, err := ns.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	if err := ns.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}
