package inspect

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// State is how an installed flow stands to the desired one of its key.
type State string

// The states.
const (
	// Installed is as it should be.
	Installed State = "installed"
	// Missing is desired, and OVS does not have it.
	Missing State = "missing"
	// Altered has other actions, another cookie or options than desired.
	Altered State = "altered"
	// Vanishing is one of ovsnet's that is no longer desired.
	Vanishing State = "vanishing"
	// Foreign is not ovsnet's.
	Foreign State = "foreign"
	// Unseen is desired, and nobody looked what is installed.
	Unseen State = "unseen"
)

// Bridge is one host's flows, as they are and as they should be; NewBridge makes
// one.
type Bridge struct {
	// Snapshot, Host and Route are what the desired flows follow from.
	Snapshot *overlay.Snapshot
	Host     flows.Host
	Route    flows.Route
	// Installed is a dump.
	Installed []flows.Installed
	// PortNames are the OpenFlow numbers of ports by their names, by which dumped
	// lines may call them; nil where nobody asks.
	PortNames map[string]uint32

	// desired returns the desired flows, which are compiled once; purpose is
	// flows.Purposes of the Snapshot, and names who has what.
	desired func() []flows.Flow
	purpose func() func(cookie uint64) flows.Why
	names   func() names
}

// NewBridge returns a host's flows from what the desired ones follow from and a
// dump.
func NewBridge(s *overlay.Snapshot, h flows.Host, route flows.Route, installed []flows.Installed) Bridge {
	return Bridge{Snapshot: s, Host: h, Route: route, Installed: installed,
		desired: sync.OnceValue(func() []flows.Flow { return flows.Compile(s, h, route) }),
		purpose: sync.OnceValue(func() func(uint64) flows.Why { return flows.Purposes(s) }),
		names:   sync.OnceValue(func() names { return newNames(s, h) })}
}

// Compile compiles the desired flows, which whatever asks for them does otherwise: a
// caller may do it while it waits for the dump. Installed may be set meanwhile, and
// nothing else.
func (b Bridge) Compile() { b.desired() }

// pair is an installed flow and the desired one of its key; either may be nil.
type pair struct {
	has  *flows.Installed
	want *flows.Flow
	// foreign counts the foreign flows up to this one, where it is one.
	foreign int
}

// mostShadows is of how many foreign flows it is told from which others they take
// packets: each is held against all, and somebody may have added thousands.
const mostShadows = 50

// counted gives a foreign flow its number.
func (p pair) counted(foreign *int) pair {
	if p.state() == Foreign {
		*foreign++
		p.foreign = *foreign
	}
	return p
}

// pairs yields the flows in the order in which people read them. What could not
// be read stands with its table and priority, where only its actions are not
// understood with the flow that it takes the place of.
func (b Bridge) pairs() iter.Seq[pair] {
	desired := b.desired()
	// Sorted are the numbers of flows, which are large.
	installed := make([]int, len(b.Installed))
	for i := range installed {
		installed[i] = i
	}
	slices.SortFunc(installed, func(i, j int) int {
		has, other := &b.Installed[i], &b.Installed[j]
		return cmp.Or(place(has.Key, has.Raw, other.Key, other.Raw), i-j)
	})
	return func(yield func(pair) bool) {
		foreign := 0
		for i, j := 0, 0; i < len(installed) || j < len(desired); {
			var p pair
			order := 0
			switch {
			case i == len(installed):
				order = 1
			case j == len(desired):
				order = -1
			default:
				has := &b.Installed[installed[i]]
				order = place(has.Key, has.Raw, desired[j].Key, "")
			}
			if order <= 0 {
				p.has, i = &b.Installed[installed[i]], i+1
			}
			if order >= 0 {
				p.want, j = &desired[j], j+1
			}
			if !yield(p.counted(&foreign)) {
				return
			}
		}
	}
}

// place orders flows as flows.Compare does, those whose match is not understood
// after the others of their priority.
func place(a flows.Key, raw string, b flows.Key, otherRaw string) int {
	if a.Table != b.Table || a.Priority != b.Priority || raw == otherRaw {
		return a.Compare(b)
	}
	return strings.Compare(raw, otherRaw)
}

func (p pair) state() State {
	switch {
	case p.has == nil:
		return Missing
	case p.want == nil && flows.Ours(p.has.Cookie):
		return Vanishing
	case p.want == nil:
		return Foreign
	case len(p.alterations()) > 0:
		return Altered
	}
	return Installed
}

// alterations names what of an installed flow is not as desired.
func (p pair) alterations() []string {
	var list []string
	switch {
	case p.has.Unread != nil:
		list = append(list, "actions, not understood: "+p.has.Unread.Cause)
	case p.has.Actions != p.want.Actions:
		list = append(list, "actions")
	}
	if p.has.Cookie != p.want.Cookie {
		list = append(list, "cookie")
	}
	if p.has.Options != "" {
		list = append(list, "options "+strings.TrimSpace(p.has.Options))
	}
	return list
}

// flow is the flow as it is, or should be where it is not.
func (p pair) flow() flows.Flow {
	if p.has != nil {
		return p.has.Flow
	}
	return *p.want
}

// why is what the flow is for, or was where it is no longer desired; of a foreign
// one nothing is known.
func (b Bridge) why(p pair) flows.Why {
	switch {
	case p.want != nil:
		return p.want.Why
	case p.state() == Vanishing:
		return b.purpose()(p.has.Cookie)
	}
	return flows.Why{}
}

// reason says in one line what the flow is for, and what is wrong with it.
func (b Bridge) reason(p pair) string {
	switch p.state() {
	case Missing:
		return "missing: " + flows.Reason(*p.want, b.Snapshot)
	case Altered:
		return "altered (" + strings.Join(p.alterations(), ", ") + "): " + flows.Reason(*p.want, b.Snapshot)
	case Vanishing:
		return flows.Formerly(b.why(p), b.Snapshot) + p.unread()
	case Foreign:
		return "not ovsnet's" + b.shadow(p)
	}
	return flows.Reason(*p.want, b.Snapshot)
}

// shadow says which desired flows a foreign one takes packets from.
func (b Bridge) shadow(p pair) string {
	switch {
	case p.has.Raw != "":
		return p.unread()
	case p.foreign > mostShadows:
		return p.unread() + fmt.Sprintf("; whose packets it takes is told of the first %d such flows", mostShadows)
	}
	first, more := "", 0
	for i := range b.desired() {
		want := &b.desired()[i]
		if want.Table != p.has.Table || want.Priority > p.has.Priority || !overlap(want.Match, p.has.Match) {
			continue
		}
		if more++; first == "" {
			first = flows.Reason(*want, b.Snapshot)
		}
	}
	switch more {
	case 0:
		return p.unread()
	case 1:
		return p.unread() + "; it takes packets from: " + first
	}
	return p.unread() + fmt.Sprintf("; it takes packets from: %s, and from %d more", first, more-1)
}

// unread says what of an installed flow is not understood.
func (p pair) unread() string {
	if p.has.Unread == nil {
		return ""
	}
	return ", and not understood: " + p.has.Unread.Cause
}

// overlap reports whether some packet meets both matches, as far as single
// fields show.
func overlap(a, b flows.Match) bool {
	for c := range a.Fields() {
		o, both := b.Get(c.Field)
		if mask := c.Mask.And(o.Mask); both && c.Value.And(mask) != o.Value.And(mask) {
			return false
		}
	}
	return true
}
