package trace

import (
	"cmp"
	"iter"
	"slices"

	"github.com/ovsnet/ovsnet/flows"
)

// Ports are the ports of a bridge.
type Ports struct {
	// Tunnel is the tunnel port; 0 while there is none.
	Tunnel flows.PortNo
	// All are all ports, with the tunnel's and PortLocal. With none, every port
	// that a flow names is taken to exist.
	All []flows.PortNo
}

// Bridge is a set of flows, indexed by what they match on. It does not change,
// and any goroutine may use it.
type Bridge struct {
	ports  Ports
	exists map[flows.PortNo]bool
	tables [256][]*shape
}

// shape is all flows of one table that match on the same bits of the same
// fields: a packet's bits there are the match of those that take it.
type shape struct {
	// fields are the bits, as conditions whose values do not count.
	fields []flows.FieldMatch
	// best is the highest priority of the flows.
	best  uint16
	flows map[flows.Match][]*flows.Flow
}

// NewBridge returns a bridge with the flows. Of two with one key the last one
// holds, as in the switch.
func NewBridge(ports Ports, set iter.Seq[flows.Flow]) *Bridge {
	b := &Bridge{ports: ports, exists: map[flows.PortNo]bool{}}
	for _, p := range ports.All {
		b.exists[p] = true
	}
	type place struct {
		table flows.TableID
		bits  flows.Match
	}
	shapes := map[place]*shape{}
	for f := range set {
		bits := bitsOf(f.Match)
		at := place{f.Table, bits}
		s, known := shapes[at]
		if !known {
			s = &shape{fields: slices.Collect(bits.Fields()), flows: map[flows.Match][]*flows.Flow{}}
			shapes[at] = s
			b.tables[f.Table] = append(b.tables[f.Table], s)
		}
		s.add(f)
	}
	for _, table := range b.tables {
		slices.SortStableFunc(table, func(a, b *shape) int { return cmp.Compare(b.best, a.best) })
	}
	return b
}

// Run evaluates one packet through the flows. For more than one packet, keep
// the Bridge.
func Run(ports Ports, set []flows.Flow, p Packet) Result {
	return NewBridge(ports, slices.Values(set)).Run(p)
}

// bitsOf returns the match's masks, as a match.
func bitsOf(m flows.Match) flows.Match {
	conditions := make([]flows.FieldMatch, 0, 8)
	for c := range m.Fields() {
		conditions = append(conditions, flows.Masked(c.Field, c.Mask, c.Mask))
	}
	return flows.NewMatch(conditions...)
}

func (s *shape) add(f flows.Flow) {
	same := s.flows[f.Match]
	for i, o := range same {
		if o.Priority == f.Priority {
			same[i] = &f
			return
		}
	}
	s.flows[f.Match] = append(same, &f)
	s.best = max(s.best, f.Priority)
}

// taking returns the flows of the shape that match the packet.
func (s *shape) taking(p *Packet) []*flows.Flow {
	var room [8]flows.FieldMatch
	conditions := room[:0]
	for _, c := range s.fields {
		if !p.Has(c.Field) {
			return nil
		}
		conditions = append(conditions, flows.Masked(c.Field, p.Get(c.Field), c.Mask))
	}
	return s.flows[flows.NewMatch(conditions...)]
}

// lookup returns the flows of the highest priority that match, of which there
// should be one.
func (b *Bridge) lookup(t flows.TableID, p *Packet) []*flows.Flow {
	var found []*flows.Flow
	for _, s := range b.tables[t] {
		if len(found) > 0 && s.best < found[0].Priority {
			break
		}
		for _, f := range s.taking(p) {
			switch {
			case len(found) == 0 || f.Priority > found[0].Priority:
				found = append(found[:0:0], f)
			case f.Priority == found[0].Priority:
				found = append(found, f)
			}
		}
	}
	slices.SortFunc(found, func(a, b *flows.Flow) int { return flows.Compare(*a, *b) })
	return found
}
