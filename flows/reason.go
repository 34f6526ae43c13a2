package flows

import "github.com/ovsnet/ovsnet/overlay"

// Reason says in a line what the flow is for, with the names that the snapshot
// knows: "ARP answer for web-2 (10.0.0.3) in prod, on h2".
func Reason(f Flow, s *overlay.Snapshot) string {
	k := f.Why.Rule.known()
	text := k.meaning
	switch {
	case f.Why.Endpoint != "":
		text += " " + endpointName(f.Why, s) + " in " + networkName(f.Why.Network, s) + ", on " + f.Why.Node
	case f.Why.Network != "":
		text += " " + networkName(f.Why.Network, s)
	case f.Why.Node != "":
		text += " " + f.Why.Node
	}
	return text
}

func endpointName(w Why, s *overlay.Snapshot) string {
	e, ok := s.Endpoint(w.Network, w.Endpoint)
	if !ok {
		return overlay.ShortID(w.Endpoint)
	}
	return e.Label() + " (" + e.IPv4.String() + ")"
}

func networkName(id string, s *overlay.Snapshot) string {
	if n, ok := s.Network(id); ok {
		return n.Name
	}
	return overlay.ShortID(id)
}
