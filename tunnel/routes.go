package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
)

// HostRoutes returns what this host's main routing table leads to, its
// addresses, and its nameservers, without the default routes and what never
// leaves a link. dockerd takes no subnet that overlaps a route or a nameserver,
// and asks for another one, for ever.
func HostRoutes(ctx context.Context) ([]Occupied, error) {
	routes, err := mainRoutes()
	if err != nil {
		return nil, err
	}
	links, err := probeLinks()
	if err != nil {
		return nil, err
	}
	names := linkNames(links)
	var found []Occupied
	for _, r := range routes {
		if prefix, ok := prefixOf(r.Dst); ok {
			found = append(found, Occupied{Prefix: prefix, What: describeRoute(prefix, names[r.LinkIndex])})
		}
	}
	for _, link := range links {
		for _, addr := range link.Addrs {
			if reachable(addr) {
				found = append(found, Occupied{Prefix: netip.PrefixFrom(addr, addr.BitLen()), What: "address " + addr.String() + " of " + link.Name})
			}
		}
	}
	nameservers, err := nameservers("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
	if err != nil {
		return nil, err
	}
	return append(found, nameservers...), ctx.Err()
}

func mainRoutes() ([]netlink.Route, error) {
	routes, err := dump(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}

func linkNames(links []Link) map[int]string {
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Index] = l.Name
	}
	return names
}

func describeRoute(prefix netip.Prefix, link string) string {
	if link == "" {
		return "route " + prefix.String()
	}
	return "route " + prefix.String() + " by " + link
}

// prefixOf returns a route's destination; false for a default route and for
// link-local and multicast ranges, which every link has for itself.
func prefixOf(dst *net.IPNet) (netip.Prefix, bool) {
	if dst == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(dst.IP)
	ones, _ := dst.Mask.Size()
	if !ok || ones == 0 || addr.IsLinkLocalUnicast() || addr.IsMulticast() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr.Unmap(), ones).Masked(), true
}

// nameservers reads those of the files that exist.
func nameservers(paths ...string) ([]Occupied, error) {
	var found []Occupied
	for _, path := range paths {
		file, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read nameservers: %w", err)
		}
		for _, addr := range parseNameservers(file) {
			found = append(found, Occupied{Prefix: netip.PrefixFrom(addr, addr.BitLen()), What: "nameserver " + addr.String() + " in " + path})
		}
		if err := file.Close(); err != nil {
			return nil, fmt.Errorf("read nameservers: %w", err)
		}
	}
	return found, nil
}

// parseNameservers returns the addresses of resolv.conf(5) that are not on
// loopback. What it does not understand it passes over, as resolvers do.
func parseNameservers(r io.Reader) []netip.Addr {
	var found []netip.Addr
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil && !addr.IsLoopback() {
			found = append(found, addr.Unmap().WithZone(""))
		}
	}
	return found
}
