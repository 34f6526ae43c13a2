package trace_test

import (
	"math/rand/v2"

	"github.com/ovsnet/ovsnet/flows"
)

// vocabulary are the values that flows speak of, by field.
type vocabulary map[flows.Field][]flows.Value

func wordsOf(set []flows.Flow) vocabulary {
	v := vocabulary{}
	for _, f := range set {
		for c := range f.Match.Fields() {
			v[c.Field] = append(v[c.Field], c.Value)
		}
		for a := range f.Actions.All() {
			if a.Op == flows.OpSetField {
				v[a.Field] = append(v[a.Field], a.Value)
			}
		}
	}
	return v
}

// value is one for a field, mostly known; where Open vSwitch's trace takes no
// other, a sound one.
func (v vocabulary) value(r *rand.Rand, f flows.Field) flows.Value {
	if known := v[f]; len(known) > 0 && r.IntN(3) > 0 {
		return pick(r, known)
	}
	n := flows.Value{Hi: r.Uint64(), Lo: r.Uint64()}.And(f.Full())
	switch f {
	case flows.VlanTCI:
		return flows.Number(0x1000 | n.Lo)
	case flows.IPTOS:
		return n.And(flows.Number(0xfc))
	case flows.ArpOp:
		return flows.Number(1 + n.Lo%4)
	case flows.Reg0, flows.Reg5:
		return flows.Number(n.Lo % 4)
	}
	return n
}

func mutate(_ *rand.Rand, set []flows.Flow) []flows.Flow { return set }
