package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// ResolvePeers asks the kernel to resolve, or to confirm, the next hop towards
// each of the addresses (RFC 826), and returns without waiting for the answers.
//
// A host that has never spoken to a peer loses the first tunnel packet to it on
// the userspace datapath, because ovs-vswitchd drops what it cannot resolve yet;
// it learns neighbours from the answers to the host's own requests, and forgets
// them after a while. The error joins those of the addresses without a way.
func ResolvePeers(ctx context.Context, peers []netip.Addr) error {
	var failed []error
	for _, peer := range peers {
		if ctx.Err() != nil {
			return errors.Join(append(failed, ctx.Err())...)
		}
		if err := resolvePeer(peer); err != nil {
			failed = append(failed, fmt.Errorf("resolve the way to VTEP %s: %w", peer, err))
		}
	}
	return errors.Join(failed...)
}

func resolvePeer(peer netip.Addr) error {
	routes, err := netlink.RouteGet(peer.AsSlice())
	if err != nil {
		return err
	}
	if len(routes) == 0 {
		return errors.New("no route")
	}
	hop := net.IP(peer.AsSlice())
	if routes[0].Gw != nil {
		hop = routes[0].Gw
	}
	return probe(netlink.Neigh{LinkIndex: routes[0].LinkIndex, IP: hop})
}

// probe makes the kernel ask for a neighbour: one that it knows is asked to
// confirm, because ovs-vswitchd may have missed the first answer; otherwise
// NTF_USE does what sending a packet would have done.
func probe(n netlink.Neigh) error {
	known, err := dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(n.LinkIndex, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list neighbours: %w", err)
	}
	const valid = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE
	for _, k := range known {
		if k.IP.Equal(n.IP) && k.State&valid != 0 {
			k.State, k.Flags = netlink.NUD_PROBE, 0
			return netlink.NeighSet(&k)
		}
	}
	n.State, n.Flags = netlink.NUD_NONE, netlink.NTF_USE
	return netlink.NeighSet(&n)
}
