package flows

import "github.com/ovsnet/ovsnet/overlay"

// maxCopies is how many copies one flow makes. About 1,000 fit into an OpenFlow
// message (64 KiB, OpenFlow 1.5, 7.1); half of that leaves room for IPv6.
const maxCopies = 500

// flooding is what a network's broadcast needs.
type flooding struct {
	network overlay.Network
	// ports are those of the endpoints here; peers are the other member hosts,
	// those with IPv4 addresses first.
	ports  []uint32
	peers  []peer
	tunnel uint32
}

// flows copies what comes from here to the endpoints here and once to each
// peer, and what comes from a peer to the endpoints here only. OVS itself
// never sends a copy out of the port that the packet came in by.
func (f flooding) flows() []Flow {
	fromHere := chain(fromHere(f.network.VNI), Why{Rule: FloodFromHere, Network: f.network.ID}, f.copies(true))
	return append(fromHere, chain(fromPeers(f.network.VNI), Why{Rule: FloodFromTunnel, Network: f.network.ID}, f.copies(false))...)
}

// copies are the actions of each copy. Local ones come first, while the packet
// has no tunnel fields yet. IPv6 peers come last and undo the IPv4 destination,
// because OVS prefers that.
func (f flooding) copies(remote bool) [][]Action {
	var list [][]Action
	for _, p := range f.ports {
		list = append(list, []Action{Output(PortNo(p))})
	}
	if !remote {
		return list
	}
	for _, p := range f.peers {
		steps := []Action{Set(TunID, Number(uint64(f.network.VNI)))}
		if !p.addr.Is4() && f.peers[0].addr.Is4() {
			steps = append(steps, Set(TunDst, Number(0)))
		}
		list = append(list, append(steps, p.set(), Output(PortNo(f.tunnel))))
	}
	return list
}

// chain makes one flow of all copies, or, where one cannot hold them, one flow
// that calls the parts one after the other. reg0 numbers the parts from 1. The
// caller matches on reg0 being 0, so that a part that somebody deleted is
// missed and not an endless loop.
func chain(network FieldMatch, why Why, copies [][]Action) []Flow {
	if len(copies) <= maxCopies {
		return []Flow{rule(Flood, priorityNormal, why, NewMatch(network), join(copies)...)}
	}
	var flows []Flow
	var calls []Action
	part := why
	part.Rule = FloodPart
	for n := 1; len(copies) > 0; n++ {
		size := min(maxCopies, len(copies))
		number := Number(uint64(n))
		flows = append(flows, rule(Flood, priorityNormal, part, NewMatch(Exact(Reg0, number), network), join(copies[:size])...))
		calls = append(calls, Set(Reg0, number), Resubmit(Flood))
		copies = copies[size:]
	}
	return append(flows, rule(Flood, priorityNormal, why, NewMatch(Exact(Reg0, Number(0)), network), calls...))
}

// join puts the copies' actions one after the other and leaves out every set
// that would change nothing.
func join(copies [][]Action) []Action {
	var all []Action
	has := map[Field]Value{}
	for _, steps := range copies {
		for _, a := range steps {
			if a.Op == OpSetField {
				if had, ok := has[a.Field]; ok && had == a.Value {
					continue
				}
				has[a.Field] = a.Value
			}
			all = append(all, a)
		}
	}
	return all
}
