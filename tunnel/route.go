package tunnel

import (
	"net/netip"

	"github.com/ovsnet/ovsnet/overlay"
)

// RouteFor returns the choice of the address that this host sends a peer's
// packets to. Of the peer's VTEP addresses of the family of self's own (a
// packet has one outer family), it is the first, private, one inside a region
// and the last, public, one between regions. It is false for a peer that has
// none of the family.
func RouteFor(self overlay.Node) func(peer overlay.Node) (netip.Addr, bool) {
	own := self.VTEP().Unmap()
	return func(peer overlay.Node) (netip.Addr, bool) {
		var chosen netip.Addr
		for _, vtep := range peer.VTEPs {
			if vtep = vtep.Unmap(); vtep.Is4() != own.Is4() {
				continue
			}
			chosen = vtep
			if peer.Region == self.Region {
				break
			}
		}
		return chosen, chosen.IsValid() && own.IsValid()
	}
}
