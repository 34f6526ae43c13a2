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
	known := map[int][]netlink.Neigh{}
	for _, peer := range peers {
		if ctx.Err() != nil {
			return errors.Join(append(failed, ctx.Err())...)
		}
		if err := resolvePeer(peer, known); err != nil {
			failed = append(failed, fmt.Errorf("resolve the way to VTEP %s: %w", peer, err))
		}
	}
	return errors.Join(failed...)
}

// resolvePeer asks for one peer's next hop. known are the neighbours on the
// links that were looked at already, by the link's index.
func resolvePeer(peer netip.Addr, known map[int][]netlink.Neigh) error {
	routes, err := netlink.RouteGet(peer.AsSlice())
	if err != nil {
		return err
	}
	if len(routes) == 0 {
		return errors.New("no route")
	}
	link, hop := routes[0].LinkIndex, net.IP(peer.AsSlice())
	if routes[0].Gw != nil {
		hop = routes[0].Gw
	}
	if _, listed := known[link]; !listed {
		if known[link], err = dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(link, netlink.FAMILY_ALL) }); err != nil {
			return fmt.Errorf("list neighbours: %w", err)
		}
	}
	return netlink.NeighSet(inquiry(link, hop, known[link]))
}

// inquiry is what makes the kernel ask for a neighbour: one that it knows is
// asked to confirm, because ovs-vswitchd may have missed the first answer;
// otherwise NTF_USE does what sending a packet would have done.
func inquiry(link int, hop net.IP, known []netlink.Neigh) *netlink.Neigh {
	const valid = netlink.NUD_REACHABLE | netlink.NUD_STALE | netlink.NUD_DELAY | netlink.NUD_PROBE
	for _, n := range known {
		if n.IP.Equal(hop) && n.State&valid != 0 {
			n.State, n.Flags = netlink.NUD_PROBE, 0
			return &n
		}
	}
	return &netlink.Neigh{LinkIndex: link, IP: hop, State: netlink.NUD_NONE, Flags: netlink.NTF_USE}
}
