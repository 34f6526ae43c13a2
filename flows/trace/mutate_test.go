package trace_test

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
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
	case flows.TunDst:
		// The underlay has neighbours at these only.
		return flows.AddrValue(pick(r, vteps()[1:5]))
	case flows.InPort:
		return flows.Number(firstPort + n.Lo%4)
	case flows.Reg0, flows.Reg5:
		return flows.Number(n.Lo % 4)
	}
	return n
}

// mutate changes flows at random into others that Open vSwitch accepts.
func mutate(r *rand.Rand, set []flows.Flow) []flows.Flow {
	m := mutator{Rand: r, words: wordsOf(set)}
	by := map[flows.Key]flows.Flow{}
	for _, f := range set {
		by[f.Key] = f
	}
	for range 1 + r.IntN(25) {
		f := pick(r, set)
		switch r.IntN(8) {
		case 0:
			delete(by, f.Key)
			continue
		case 1:
			f = flows.Flow{Key: flows.Key{Table: pick(r, flows.Tables()), Match: m.match(flows.Match{})}}
			fallthrough
		case 2, 3:
			f.Priority = pick(r, []uint16{0, 10, 90, 100, 110, 200, 201, uint16(r.IntN(300)), uint16(r.IntN(300))})
		case 4, 5:
			delete(by, f.Key)
			f.Match = m.match(f.Match)
		}
		f.Actions = m.actions(f.Table, f.Match, f.Actions)
		f.Cookie = uint64(r.IntN(3))
		by[f.Key] = f
	}
	return slices.SortedFunc(maps.Values(by), flows.Compare)
}

// mutator makes what no compiler made.
type mutator struct {
	*rand.Rand
	words vocabulary
}

// match takes a condition away, masks one, or adds one, and then adds what the
// conditions presuppose.
func (m mutator) match(old flows.Match) flows.Match {
	conditions := slices.Collect(old.Fields())
	for range 1 + m.IntN(2) {
		if len(conditions) > 0 && m.IntN(2) == 0 {
			i := m.IntN(len(conditions))
			conditions = slices.Delete(conditions, i, i+1)
		}
		f := pick(m.Rand, matchable())
		c := flows.Exact(f, m.words.value(m.Rand, f))
		if m.IntN(3) == 0 && maskable(f) {
			c = flows.Masked(f, c.Value, flows.Value{Hi: m.Uint64(), Lo: m.Uint64() | 1})
		}
		conditions = append(conditions, c)
	}
	return m.sound(conditions)
}

// sound gives conditions their prerequisites, and leaves out those that fit to
// no packet that has the others.
func (m mutator) sound(conditions []flows.FieldMatch) flows.Match {
	types := []uint64{flows.EthTypeIPv4, flows.EthTypeARP, flows.EthTypeIPv6}
	known := trace.Packet{}
	exact := func(f flows.Field, v flows.Value) {
		known = known.With(f, v)
		conditions = append(conditions, flows.Exact(f, v))
	}
	for _, c := range conditions {
		if c.Field == flows.EthType {
			types = []uint64{c.Value.Lo}
		}
	}
	for _, c := range slices.Clone(conditions) {
		for _, t := range types {
			if known.Has(c.Field) {
				break
			}
			for _, proto := range []uint64{1, 6, 17, 58} {
				if p := known.With(flows.EthType, flows.Number(t)).With(flows.IPProto, flows.Number(proto)); p.Has(c.Field) && known.Get(flows.EthType).IsZero() {
					exact(flows.EthType, flows.Number(t))
					if !known.Has(c.Field) {
						exact(flows.IPProto, flows.Number(proto))
					}
					break
				}
			}
		}
		if c.Field == flows.IPProto || c.Field == flows.EthType {
			known = known.With(c.Field, c.Value)
		}
	}
	return flows.NewMatch(slices.DeleteFunc(conditions, func(c flows.FieldMatch) bool { return !known.Has(c.Field) })...)
}

// actions adds, takes away and changes steps, and puts them into the order that
// OpenFlow's instructions have.
func (m mutator) actions(table flows.TableID, match flows.Match, old flows.Actions) flows.Actions {
	steps := slices.Collect(old.All())
	for range 1 + m.IntN(3) {
		if len(steps) > 0 && m.IntN(3) == 0 {
			i := m.IntN(len(steps))
			steps = slices.Delete(steps, i, i+1)
		}
		if a, ok := m.action(table); ok && m.IntN(4) > 0 {
			steps = slices.Insert(steps, m.IntN(len(steps)+1), a)
		}
	}
	known := exactOf(match)
	steps = slices.DeleteFunc(steps, func(a flows.Action) bool {
		sets := a.Op == flows.OpSetField || a.Op == flows.OpMove
		return sets && !known.Has(a.Field) || a.Op == flows.OpMove && !known.Has(a.From)
	})
	var kept []flows.Action
	for _, ops := range [][]flows.Op{{flows.OpOutput, flows.OpController, flows.OpSetField, flows.OpMove, flows.OpResubmit}, {flows.OpWriteMetadata}, {flows.OpGoto}} {
		fitting := slices.DeleteFunc(slices.Clone(steps), func(a flows.Action) bool { return !slices.Contains(ops, a.Op) })
		if len(ops) == 1 && len(fitting) > 1 {
			fitting = fitting[:1]
		}
		kept = append(kept, fitting...)
	}
	return flows.NewActions(kept...)
}

// exactOf is a packet that the match takes, as far as whole fields go.
func exactOf(match flows.Match) trace.Packet {
	p := trace.Packet{}
	for c := range match.Fields() {
		if c.Mask == c.Field.Full() {
			p = p.With(c.Field, c.Value)
		}
	}
	return p
}

// action is a random step for a flow of that table; false where there is none.
func (m mutator) action(table flows.TableID) (flows.Action, bool) {
	ports := []flows.PortNo{firstPort, firstPort + 1, lastPort, tunnel, 99, flows.PortInPort, flows.PortLocal, flows.PortAll, flows.PortFlood, flows.PortController}
	all := append([]flows.TableID{table}, flows.Tables()...)
	switch m.IntN(9) {
	case 0, 1, 2:
		return flows.Output(pick(m.Rand, ports)), true
	case 3:
		f := pick(m.Rand, settable())
		return flows.Set(f, m.words.value(m.Rand, f)), true
	case 4:
		f := pick(m.Rand, settable())
		mask := flows.Value{Hi: m.Uint64(), Lo: m.Uint64() | 1}.And(f.Full())
		if !maskable(f) {
			mask = f.Full()
		}
		return flows.Action{Op: flows.OpSetField, Field: f, Value: m.words.value(m.Rand, f).And(mask), Mask: mask}, true
	case 5:
		pair := pick(m.Rand, [][2]flows.Field{
			{flows.EthSrc, flows.EthDst}, {flows.IPSrc, flows.IPDst}, {flows.ArpSPA, flows.ArpTPA}, {flows.ArpSHA, flows.ArpTHA},
			{flows.IPDst, flows.Reg5}, {flows.Reg5, flows.Reg0}, {flows.ArpTPA, flows.ArpSPA}, {flows.EthDst, flows.ArpSHA}, {flows.Metadata, flows.TunID},
			{flows.TunSrc, flows.TunDst}, {flows.IPv6Src, flows.IPv6Dst},
		})
		return flows.Move(pair[0], pair[1]), true
	case 6:
		a := flows.Resubmit(pick(m.Rand, all))
		if m.IntN(2) == 0 {
			a.Port = pick(m.Rand, []flows.PortNo{firstPort, firstPort + 1, tunnel})
		}
		return a, true
	case 7:
		mask := flows.Metadata.Full()
		if m.IntN(2) == 0 {
			mask = flows.Number(m.Uint64() | 1)
		}
		return flows.Action{Op: flows.OpWriteMetadata, Value: m.words.value(m.Rand, flows.Metadata).And(mask), Mask: mask}, true
	}
	later := slices.DeleteFunc(all, func(t flows.TableID) bool { return t <= table })
	if len(later) == 0 {
		return flows.Action{}, false
	}
	return flows.Goto(pick(m.Rand, later)), true
}

func matchable() []flows.Field {
	return append(settable(), flows.InPort, flows.TPSrc, flows.TPDst, flows.IPTOS, flows.ICMPType, flows.TunSrc)
}

func settable() []flows.Field {
	return []flows.Field{
		flows.EthSrc, flows.EthDst, flows.IPSrc, flows.IPDst, flows.IPTTL, flows.IPECN, flows.ArpSPA, flows.ArpTPA, flows.ArpSHA, flows.ArpTHA,
		flows.ArpOp, flows.Reg0, flows.Reg5, flows.Metadata, flows.TunID, flows.TunDst, flows.VlanTCI, flows.IPv6Src, flows.IPv6Dst,
	}
}

// maskable are the fields of which Open vSwitch takes any part. It would take
// parts of IPv6 addresses, but ovs-ofctl reads a mask's first digits as a prefix
// length, and a part of tun_dst is the address of nobody.
func maskable(f flows.Field) bool {
	switch f {
	case flows.InPort, flows.IPTTL, flows.IPECN, flows.IPTOS, flows.ArpOp, flows.ICMPType, flows.VlanTCI, flows.IPv6Src, flows.IPv6Dst, flows.TunDst:
		return false
	}
	return true
}
