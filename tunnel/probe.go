package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/ovsnet/ovsnet/overlay"
)

// dumpAttempts bounds how often an interrupted netlink dump is read again.
const dumpAttempts = 10

// Probe reads this host's links, addresses and the paths towards the etcd
// endpoints (URLs or host:port) and the default routes. Endpoints whose name
// cannot be resolved are passed over, unless none is left to go by, which is a
// Refusal of kind Unavailable.
func Probe(ctx context.Context, etcd []string) (Underlay, error) {
	links, err := probeLinks()
	if err != nil {
		return Underlay{}, err
	}
	targets, err := resolve(ctx, etcd)
	if err != nil {
		return Underlay{}, err
	}
	u := Underlay{Links: links}
	for _, target := range targets {
		path, ok := pathTo(target)
		if ok {
			u.Etcd = append(u.Etcd, path)
		}
	}
	u.Default, err = defaultPaths(links)
	return u, err
}

// resolve returns the addresses of the endpoints that are not on loopback.
func resolve(ctx context.Context, endpoints []string) ([]netip.Addr, error) {
	var targets []netip.Addr
	var failed error
	for _, endpoint := range endpoints {
		host, err := EndpointHost(endpoint)
		if err != nil {
			return nil, err
		}
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, addr := range addrs {
			if addr = addr.Unmap(); !addr.IsLoopback() {
				targets = append(targets, addr)
			}
		}
	}
	if failed != nil && len(targets) == 0 {
		return nil, &overlay.Refusal{Kind: overlay.Unavailable, Object: "VTEP address",
			Cause: "the etcd endpoints cannot be resolved, so the way to them is unknown", Remedy: vtepRemedy, Err: failed}
	}
	return targets, nil
}

// pathTo asks the kernel how it would send to the target; false where it has
// no way to.
func pathTo(target netip.Addr) (Path, bool) {
	routes, err := netlink.RouteGet(target.AsSlice())
	if err != nil || len(routes) == 0 {
		return Path{}, false
	}
	source, ok := netip.AddrFromSlice(routes[0].Src)
	return Path{To: "etcd at " + target.String(), Source: source.Unmap(), Link: routes[0].LinkIndex}, ok
}

func probeLinks() ([]Link, error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list network links: %w", err)
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	byLink := map[int][]netip.Addr{}
	for _, a := range addrs {
		if addr, ok := netip.AddrFromSlice(a.IP); ok {
			byLink[a.LinkIndex] = append(byLink[a.LinkIndex], addr.Unmap())
		}
	}
	all := make([]Link, 0, len(links))
	for _, l := range links {
		at := l.Attrs()
		all = append(all, Link{
			Name: at.Name, Index: at.Index, MTU: at.MTU,
			Loopback: at.Flags&net.FlagLoopback != 0, Addrs: byLink[at.Index],
		})
	}
	return all, nil
}

// defaultPaths returns the source and link of the default routes with the
// lowest metric, IPv4 first.
func defaultPaths(links []Link) ([]Path, error) {
	routes, err := mainRoutes()
	if err != nil {
		return nil, err
	}
	var paths []Path
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		if best, ok := bestDefault(routes, family); ok {
			paths = append(paths, defaultPath(best, family, links))
		}
	}
	return paths, nil
}

// bestDefault returns the family's default route with the lowest metric.
func bestDefault(routes []netlink.Route, family int) (netlink.Route, bool) {
	var best netlink.Route
	found := false
	for _, r := range routes {
		if r.Family == family && isDefault(r) && (!found || r.Priority < best.Priority) {
			best, found = r, true
		}
	}
	return best, found
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}

// defaultPath takes the route's preferred source, or the address that the
// kernel uses towards the gateway, or the link's first of the family.
func defaultPath(r netlink.Route, family int, links []Link) Path {
	index, gateway := r.LinkIndex, r.Gw
	if len(r.MultiPath) > 0 {
		index, gateway = r.MultiPath[0].LinkIndex, r.MultiPath[0].Gw
	}
	path := Path{To: "the default route", Link: index}
	if source, ok := netip.AddrFromSlice(r.Src); ok {
		path.Source = source.Unmap()
		return path
	}
	if to, ok := netip.AddrFromSlice(gateway); ok && !to.IsLinkLocalUnicast() {
		if towards, ok := pathTo(to); ok {
			path.Source = towards.Source
			return path
		}
	}
	for _, link := range links {
		if link.Index == index {
			i := slices.IndexFunc(link.Addrs, func(a netip.Addr) bool { return a.Is4() == (family == netlink.FAMILY_V4) && reachable(a) })
			if i >= 0 {
				path.Source = link.Addrs[i]
			}
		}
	}
	return path
}

// dump calls a netlink dump until it was not interrupted (NLM_F_DUMP_INTR).
func dump[T any](list func() ([]T, error)) ([]T, error) {
	var last error
	for range dumpAttempts {
		items, err := list()
		if err == nil {
			return items, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, syscall.EINTR) {
			return nil, err
		}
		last = err
	}
	return nil, fmt.Errorf("interrupted %d times in a row: %w", dumpAttempts, last)
}
