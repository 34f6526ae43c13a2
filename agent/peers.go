package agent

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// readyTimeout bounds one look at the ways to all peers.
const readyTimeout = 10 * time.Second

// readyPeers asks for the way to hosts that flows lead to, when there is a new
// one and now and then.
func (l *Loop) readyPeers(r *round) {
	if !r.scope.peers && !r.scope.full && !r.scope.audit {
		return // to list them takes longer than one endpoint's flows
	}
	peers := peersOf(l.applied, l.local, l.cfg.Node, l.cfg.Route)
	if !r.scope.full && !r.scope.audit && slices.Equal(peers, l.peers) {
		return
	}
	l.peers = peers
	l.readying.order(peers)
}

// ready resolves the ways to the peers.
func (l *Loop) ready(ctx context.Context, peers []netip.Addr) error {
	err := l.parts.Peers.Resolve(ctx, peers)
	if err != nil && ctx.Err() == nil {
		l.cfg.Logger.Warn("a peer cannot be reached", "error", err)
	}
	return err
}

// movesPeers reports whether such changes between two snapshots may change what
// peersOf returns: whatever is about a host, or about an endpoint here, and what
// makes a host a member of a network or ends that.
func movesPeers(before, after *overlay.Snapshot, changes overlay.Changes, self string) bool {
	for _, c := range changes.Endpoints {
		for _, e := range []*overlay.Endpoint{c.Before, c.After} {
			if e != nil && (e.Node == self || before.HasMember(e.Network, e.Node) != after.HasMember(e.Network, e.Node)) {
				return true
			}
		}
	}
	return len(changes.Nodes) > 0
}

// peersOf returns the VTEPs of the hosts that share a network with this one,
// sorted.
func peersOf(s *overlay.Snapshot, local map[string]overlay.Endpoint, self string, route flows.Route) []netip.Addr {
	hosts, networks := map[string]bool{}, map[string]bool{}
	for _, e := range local {
		networks[e.Network] = true
	}
	for network := range networks {
		for host := range s.MemberHosts(network) {
			hosts[host] = host != self
		}
	}
	var addrs []netip.Addr
	for host, other := range hosts {
		peer, known := s.Node(host)
		if addr, ok := route(peer); other && known && ok {
			addrs = append(addrs, addr)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}
