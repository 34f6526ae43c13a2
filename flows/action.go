package flows

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strconv"
)

// Op is what an action does.
type Op uint8

// The actions that ovsnet sends or understands, named as in ovs-actions(7).
// Dropping is the absence of any.
const (
	// OpOutput sends a copy to Port.
	OpOutput Op = iota + 1
	// OpController sends up to MaxLen bytes to the controller.
	OpController
	// OpGroup processes the group Port.
	OpGroup
	// OpSetField gives the bits of Field under Mask those of Value.
	OpSetField
	// OpMove copies the whole of From to Field.
	OpMove
	// OpResubmit looks the packet up again in Table, as coming from Port
	// (PortInPort for no change).
	OpResubmit
	// OpWriteMetadata gives metadata's bits under Mask those of Value on the
	// way to the next table.
	OpWriteMetadata
	// OpGoto goes on in Table.
	OpGoto
)

// Action is one step of a flow. Which members count depends on Op.
type Action struct {
	Op          Op
	Port        PortNo
	MaxLen      uint16
	Field, From Field
	Value, Mask Value
	Table       TableID
}

// Output sends a copy to the port.
func Output(p PortNo) Action { return Action{Op: OpOutput, Port: p} }

// Set gives the whole field a value.
func Set(f Field, v Value) Action {
	return Action{Op: OpSetField, Field: f, Value: v, Mask: f.Full()}
}

// Move copies one field to another of the same width.
func Move(from, to Field) Action { return Action{Op: OpMove, From: from, Field: to} }

// Resubmit looks the packet up in a table and comes back.
func Resubmit(t TableID) Action { return Action{Op: OpResubmit, Port: PortInPort, Table: t} }

// Goto goes on in a table.
func Goto(t TableID) Action { return Action{Op: OpGoto, Table: t} }

// String writes the action as ovs-ofctl does.
func (a Action) String() string { return string(a.appendText(nil)) }

func (a Action) appendText(to []byte) []byte {
	switch a.Op {
	case OpOutput:
		if _, reserved := reservedPort(a.Port.String()); !reserved {
			to = append(to, "output:"...)
		}
		return append(to, a.Port.String()...)
	case OpController:
		return fmt.Appendf(to, "CONTROLLER:%d", a.MaxLen)
	case OpGroup:
		return fmt.Appendf(to, "group:%d", uint32(a.Port))
	case OpSetField:
		return append(append(a.appendOperand(append(to, "set_field:"...)), "->"...), fieldRows[a.Field].set...)
	case OpMove:
		return fmt.Appendf(to, "move:%s[]->%s[]", fieldRows[a.From].nxm, fieldRows[a.Field].nxm)
	case OpResubmit:
		if a.Port == PortInPort {
			return fmt.Appendf(to, "resubmit(,%d)", a.Table)
		}
		return fmt.Appendf(to, "resubmit(%s,%d)", a.Port, a.Table)
	case OpWriteMetadata:
		return a.appendOperand(append(to, "write_metadata:"...))
	case OpGoto:
		return strconv.AppendUint(append(to, "goto_table:"...), uint64(a.Table), 10)
	}
	return fmt.Appendf(to, "action%d", a.Op)
}

// target is the field that the action writes.
func (a Action) target() Field {
	if a.Op == OpWriteMetadata {
		return Metadata
	}
	return a.Field
}

func (a Action) appendOperand(to []byte) []byte {
	f := a.target()
	to = f.appendText(to, a.Value)
	if a.Mask == f.Full() {
		return to
	}
	return f.appendMask(append(to, '/'), a.Mask)
}

// Actions are a flow's steps in their order, packed like a Match and, like it,
// comparable. The zero Actions drop the packet.
type Actions struct{ packed string }

// NewActions returns those steps.
func NewActions(steps ...Action) Actions {
	packed := make([]byte, 0, 128)
	for _, a := range steps {
		packed = a.pack(packed)
	}
	return Actions{packed: string(packed)}
}

// maskedOp marks, in the packed form, an Op whose mask follows.
const maskedOp = 0x80

func (a Action) pack(to []byte) []byte {
	to = append(to, byte(a.Op))
	at := len(to) - 1
	switch a.Op {
	case OpOutput, OpGroup:
		return binary.BigEndian.AppendUint32(to, uint32(a.Port))
	case OpController:
		return binary.BigEndian.AppendUint16(to, a.MaxLen)
	case OpMove:
		return append(to, byte(a.From), byte(a.Field))
	case OpResubmit:
		return append(binary.BigEndian.AppendUint32(to, uint32(a.Port)), byte(a.Table))
	case OpGoto:
		return append(to, byte(a.Table))
	}
	f := a.target()
	to = append(to, byte(f))
	if a.Mask != f.Full() {
		to[at] |= maskedOp
		to = appendValue(to, a.Mask, f.width())
	}
	return appendValue(to, a.Value, f.width())
}

// unpack takes one action off the packed form.
func unpack(packed string) (Action, string) {
	a := Action{Op: Op(packed[0] &^ maskedOp)}
	masked := packed[0]&maskedOp != 0
	rest := packed[1:]
	var n Value
	switch a.Op {
	case OpOutput, OpGroup:
		n, rest = takeValue(rest, 4)
		a.Port = PortNo(n.Lo)
	case OpController:
		n, rest = takeValue(rest, 2)
		a.MaxLen = uint16(n.Lo)
	case OpMove:
		a.From, a.Field, rest = Field(rest[0]), Field(rest[1]), rest[2:]
	case OpResubmit:
		n, rest = takeValue(rest, 4)
		a.Port, a.Table, rest = PortNo(n.Lo), TableID(rest[0]), rest[1:]
	case OpGoto:
		a.Table, rest = TableID(rest[0]), rest[1:]
	default:
		a.Field, rest = Field(rest[0]), rest[1:]
		a.Mask = a.Field.Full()
		if masked {
			a.Mask, rest = takeValue(rest, a.Field.width())
		}
		a.Value, rest = takeValue(rest, a.Field.width())
		if a.Op == OpWriteMetadata {
			a.Field = 0
		}
	}
	return a, rest
}

// All yields the steps in their order.
func (a Actions) All() iter.Seq[Action] {
	return func(yield func(Action) bool) {
		for rest := a.packed; rest != ""; {
			var step Action
			step, rest = unpack(rest)
			if !yield(step) {
				return
			}
		}
	}
}

// Drop reports whether there is no step: the packet ends here.
func (a Actions) Drop() bool { return a.packed == "" }

// MarshalText writes the actions as String does.
func (a Actions) MarshalText() ([]byte, error) { return a.appendText(nil), nil }

// String writes the actions as ovs-ofctl does.
func (a Actions) String() string { return string(a.appendText(nil)) }

func (a Actions) appendText(to []byte) []byte {
	if a.Drop() {
		return append(to, "drop"...)
	}
	first := true
	for step := range a.All() {
		if !first {
			to = append(to, ',')
		}
		first = false
		to = step.appendText(to)
	}
	return to
}
