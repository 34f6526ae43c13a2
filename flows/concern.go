package flows

import "github.com/ovsnet/ovsnet/overlay"

// Concerning returns, sorted, the flows that the host should have without those of
// the endpoints that do not concern the caller: a packet meets an endpoint's
// flows only by its port, MAC or addresses, so that one packet needs a few
// endpoints' flows and not those of ten thousand. The port is 0 for an endpoint
// that has none here.
func Concerning(s *overlay.Snapshot, h Host, route Route, concerns func(e overlay.Endpoint, port uint32) bool) []Flow {
	return settled(func(yield func([]Flow) bool) {
		in := newInput(s, h, route)
		if !yield(in.ofHost()) {
			return
		}
		for n := range s.Nodes() {
			if !yield(in.ofNode(n.Name)) {
				return
			}
		}
		for network := range in.locals {
			if !yield(in.ofNetwork(network)) {
				return
			}
			for e := range s.Endpoints(network) {
				if concerns(e, in.host.Ports[e.ID].OFPort) && !yield(in.ofEndpoint(network, e.ID)) {
					return
				}
			}
		}
	})
}
