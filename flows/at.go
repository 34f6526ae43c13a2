package flows

// At returns, sorted, the flows that are desired at those places since the last
// Update. Of the endpoints, which are the many, it makes only the flows of those
// that the places' matches name by port, MAC or address.
func (c *Compiler) At(places map[Where]bool) []Flow {
	if c.last == nil {
		return nil
	}
	named := map[Value]bool{}
	for at := range places {
		for condition := range at.Match.Fields() {
			named[condition.Value] = true
		}
	}
	in := c.last
	return settled(func(yield func([]Flow) bool) {
		pick := func(unit []Flow) {
			for _, f := range unit {
				if places[f.Where()] {
					yield([]Flow{f})
				}
			}
		}
		pick(in.ofHost())
		for n := range in.snapshot.Nodes() {
			pick(in.ofNode(n.Name))
		}
		for network := range in.locals {
			pick(in.ofNetwork(network))
			for e := range in.snapshot.Endpoints(network) {
				port := uint64(in.host.Ports[e.ID].OFPort)
				if named[MACValue(e.MAC)] || e.IPv4.IsValid() && named[AddrValue(e.IPv4)] || port > 0 && named[Number(port)] {
					pick(in.ofEndpoint(network, e.ID))
				}
			}
		}
	})
}
