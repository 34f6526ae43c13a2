package tunnel

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ovsnet/ovsnet/overlay"
)

// Link is one of this host's network links.
type Link struct {
	// Name and Index are the kernel's.
	Name  string
	Index int
	// MTU is the link's MTU, in bytes.
	MTU int
	// Loopback says that nothing leaves the host by it.
	Loopback bool
	// Addrs are its addresses.
	Addrs []netip.Addr
}

// Path is how the kernel would send to a destination.
type Path struct {
	// To says for people where it leads: "etcd at 192.0.2.1", "the default route".
	To string
	// Source is the address that it would send from.
	Source netip.Addr
	// Link is the index of the link that it would send by.
	Link int
}

// Underlay is what Probe found out about this host.
type Underlay struct {
	// Links are the host's links.
	Links []Link
	// Etcd are the paths towards the etcd endpoints that are not on loopback, in
	// the order of the endpoints.
	Etcd []Path
	// Default are the paths of the default routes, IPv4 first.
	Default []Path
}

// VTEP is this host's tunnel end point.
type VTEP struct {
	// Addr is the address.
	Addr netip.Addr
	// Link is the name of the link that has it.
	Link string
	// MTU is what the underlay carries from there, in bytes.
	MTU int
	// Why says for people how it was chosen.
	Why string
}

const vtepRemedy = "set --vtep to an address of this host that the other hosts reach"

// Choose returns the host's VTEP: the wanted address if it is valid, else the
// source of the path towards the first etcd endpoint, else that of the default
// route. An address that is not on this host or that nobody else can reach is
// a Refusal of kind Invalid, no address at all one of kind Missing.
func Choose(wanted netip.Addr, u Underlay) (VTEP, error) {
	if wanted.IsValid() {
		return u.vtep(wanted.Unmap(), "set by --vtep")
	}
	for _, path := range slices.Concat(u.Etcd, u.Default) {
		addr := path.Source.Unmap()
		if addr.IsValid() && reachable(addr) {
			return u.vtep(addr, "this host's address towards "+path.To)
		}
	}
	return VTEP{}, overlay.Refuse(overlay.Missing, "VTEP address", vtepRemedy,
		"neither an etcd endpoint beyond loopback nor a default route tells which address to use")
}

// reachable reports whether other hosts may know the address as this one's.
// IPv6 link-local addresses mean nothing without the link, which a tunnel
// cannot name.
func reachable(addr netip.Addr) bool {
	return !addr.IsUnspecified() && !addr.IsLoopback() && !addr.IsMulticast() && !(addr.Is6() && addr.IsLinkLocalUnicast())
}

func (u Underlay) vtep(addr netip.Addr, why string) (VTEP, error) {
	object := "VTEP address " + addr.String()
	if !reachable(addr) {
		return VTEP{}, overlay.Refuse(overlay.Invalid, object, vtepRemedy, "other hosts cannot send to it")
	}
	i := slices.IndexFunc(u.Links, func(l Link) bool { return slices.Contains(l.Addrs, addr) })
	if i < 0 {
		return VTEP{}, overlay.Refuse(overlay.Invalid, object, vtepRemedy, "not an address of this host, which has %s", u.addresses())
	}
	mtu := u.carries(u.Links[i])
	if mtu == 0 {
		return VTEP{}, overlay.Refuse(overlay.Invalid, object, "give this host a route to the others",
			"it is on loopback link %s, and no route tells by which link packets leave", u.Links[i].Name)
	}
	return VTEP{Addr: addr, Link: u.Links[i].Name, MTU: mtu, Why: why}, nil
}

// carries returns the MTU of what leaves from the link's addresses: an address
// on loopback, as routing protocols announce them, leaves by another link.
func (u Underlay) carries(link Link) int {
	if !link.Loopback {
		return link.MTU
	}
	for _, path := range slices.Concat(u.Etcd, u.Default) {
		i := slices.IndexFunc(u.Links, func(l Link) bool { return l.Index == path.Link && !l.Loopback })
		if i >= 0 {
			return u.Links[i].MTU
		}
	}
	return 0
}

// addresses lists what could be chosen.
func (u Underlay) addresses() string {
	var list []string
	for _, link := range u.Links {
		for _, addr := range link.Addrs {
			if reachable(addr) {
				list = append(list, addr.String()+" ("+link.Name+")")
			}
		}
	}
	if len(list) == 0 {
		return "none that others could reach"
	}
	return strings.Join(list, ", ")
}
