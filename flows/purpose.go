package flows

import "github.com/ovsnet/ovsnet/overlay"

// ruleMask are the bits of a cookie that name the rule.
const ruleMask = 0xff << hashBits

// Purposes returns what leads a cookie of ovsnet's back to what its flow is or was
// for: the rule, and whom it is about, if that is one whom the snapshot knows.
func Purposes(s *overlay.Snapshot) func(cookie uint64) Why {
	about := map[uint64]Why{}
	note := func(w Why) { about[w.Cookie()] = w }
	note(Why{})
	for n := range s.Nodes() {
		note(Why{Node: n.Name})
	}
	for network := range s.MemberNetworks() {
		note(Why{Network: network})
		for e := range s.Endpoints(network) {
			note(Why{Network: network, Endpoint: e.ID, Node: e.Node})
		}
	}
	return func(cookie uint64) Why {
		w := about[cookie&^ruleMask]
		w.Rule = RuleOf(cookie)
		return w
	}
}

// Formerly says in one line what a flow that is no longer wanted was for.
func Formerly(w Why, s *overlay.Snapshot) string {
	if w.Network+w.Endpoint+w.Node == "" {
		return "no longer wanted: " + w.Rule.Meaning()
	}
	return "no longer wanted: " + Reason(Flow{Why: w}, s)
}
