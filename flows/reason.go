package flows

import "github.com/ovsnet/ovsnet/overlay"

// Reason says in one line what the flow is for, in the names that the snapshot
// knows: "ARP answer for web-2 (10.0.0.3) in prod, on h2".
func Reason(f Flow, s *overlay.Snapshot) string {
	w := f.Why
	text := w.Rule.row().reason
	if w.Endpoint != "" {
		text += " " + endpointName(w, s)
	}
	if w.Network != "" {
		if w.Endpoint != "" {
			text += " in"
		}
		text += " " + networkName(w.Network, s)
	}
	switch {
	case w.Node != "" && w.Endpoint != "":
		text += ", on " + w.Node
	case w.Node != "":
		text += " " + w.Node
	}
	return text
}

func endpointName(w Why, s *overlay.Snapshot) string {
	e, ok := s.Endpoint(w.Network, w.Endpoint)
	switch {
	case !ok:
		return overlay.ShortID(w.Endpoint)
	case !e.IPv4.IsValid():
		return e.Label()
	}
	return e.Label() + " (" + e.IPv4.String() + ")"
}

func networkName(id string, s *overlay.Snapshot) string {
	if n, ok := s.Network(id); ok {
		return n.Name
	}
	return overlay.ShortID(id)
}
