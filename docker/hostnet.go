package docker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/ovsnet/ovsnet/overlay"
)

// HostNet reads what is in use on this host, for HostRoutes: its routes other
// than the default route, its own addresses, its nameservers (all three are
// what Docker compares with), and the tunnel addresses of its peers.
type HostNet struct {
	// ResolvConf are the files to read nameservers from; missing ones are
	// skipped.
	ResolvConf []string
	// Peers yields the hosts of the overlay that are known.
	Peers func() iter.Seq[overlay.Node]
}

// DefaultResolvConf are the files that Docker reads: the second one has the
// real nameservers where systemd-resolved runs.
func DefaultResolvConf() []string {
	return []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}
}

// Occupied reads all of it anew, routes first.
func (h *HostNet) Occupied(ctx context.Context) ([]Occupied, error) {
	kernel, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer kernel.Close()
	links, err := complete(kernel.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	names := make(map[int]string, len(links))
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
	}
	routes, err := complete(func() ([]netlink.Route, error) { return kernel.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	addrs, err := complete(func() ([]netlink.Addr, error) { return kernel.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	occupied := append(fromRoutes(routes, names), fromAddrs(addrs, names)...)
	servers, err := h.nameservers()
	if err != nil {
		return nil, err
	}
	occupied = append(occupied, servers...)
	for peer := range h.Peers() {
		for _, vtep := range peer.VTEPs {
			occupied = append(occupied, Occupied{single(vtep), fmt.Sprintf("underlay: tunnel address %s of node %q", vtep, peer.Name)})
		}
	}
	return occupied, nil
}

// fromRoutes leaves the default route out, which everything overlaps.
func fromRoutes(routes []netlink.Route, names map[int]string) []Occupied {
	var occupied []Occupied
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		addr, ok := netip.AddrFromSlice(r.Dst.IP)
		bits, _ := r.Dst.Mask.Size()
		if !ok || bits == 0 {
			continue
		}
		prefix := netip.PrefixFrom(addr.Unmap(), bits)
		what := "route " + prefix.String()
		if name := names[r.LinkIndex]; name != "" {
			what += " through " + name
		}
		occupied = append(occupied, Occupied{prefix, what})
	}
	return occupied
}

func fromAddrs(addrs []netlink.Addr, names map[int]string) []Occupied {
	var occupied []Occupied
	for _, a := range addrs {
		if addr, ok := netip.AddrFromSlice(a.IP); ok {
			addr = addr.Unmap()
			occupied = append(occupied, Occupied{single(addr), fmt.Sprintf("address %s of %s", addr, names[a.LinkIndex])})
		}
	}
	return occupied
}

func single(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

func (h *HostNet) nameservers() ([]Occupied, error) {
	var occupied []Occupied
	for _, path := range h.ResolvConf {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read nameservers: %w", err)
		}
		found, err := parseNameservers(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("read nameservers from %s: %w", path, err)
		}
		occupied = append(occupied, found...)
	}
	return occupied, nil
}

// parseNameservers reads the nameserver lines of a file as resolv.conf(5)
// describes it; all else in it is no concern of ours.
func parseNameservers(file io.Reader) ([]Occupied, error) {
	var occupied []Occupied
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(words[1]); err == nil {
			addr = addr.WithZone("").Unmap()
			occupied = append(occupied, Occupied{single(addr), "nameserver " + addr.String()})
		}
	}
	return occupied, lines.Err()
}
