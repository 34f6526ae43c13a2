package openflow

import (
	"encoding/binary"
	"fmt"

	"github.com/ovsnet/ovsnet/flows"
)

// The instructions (OpenFlow 1.5, 7.2.4).
const (
	instructionGoto          = 1
	instructionWriteMetadata = 2
	instructionApply         = 4
)

// The actions (OpenFlow 1.5, 7.2.6), and that by which OVS takes its own
// (ovs-actions(7)).
const (
	actionOutput       = 0
	actionGroup        = 22
	actionSetField     = 25
	actionCopyField    = 28
	actionExperimenter = 0xffff

	nicira        = 0x00002320
	resubmitTable = 14
)

// appendInstructions appends what the flow does; nothing for a drop. Apply comes
// first, as ovs-ofctl has it, whatever the order of the instructions.
func appendInstructions(to []byte, steps flows.Actions) ([]byte, error) {
	begin := len(to)
	to = append(to, 0, instructionApply, 0, 0, 0, 0, 0, 0)
	var rest []byte
	for a := range steps.All() {
		var err error
		switch a.Op {
		case flows.OpGoto:
			rest = append(rest, 0, instructionGoto, 0, 8, byte(a.Table), 0, 0, 0)
		case flows.OpWriteMetadata:
			rest = append(rest, 0, instructionWriteMetadata, 0, 24, 0, 0, 0, 0)
			rest = appendValue(appendValue(rest, a.Value, 8), a.Mask, 8)
		default:
			to, err = appendAction(to, a)
		}
		if err != nil {
			return to, err
		}
	}
	size := len(to) - begin
	if size == headerSize {
		return append(to[:begin], rest...), nil
	}
	if size > maxSize {
		return to, fmt.Errorf("actions of %d bytes are more than OpenFlow's %d", size, maxSize)
	}
	binary.BigEndian.PutUint16(to[begin+2:], uint16(size))
	return append(to, rest...), nil
}

// appendAction appends an action of the Apply instruction.
func appendAction(to []byte, a flows.Action) ([]byte, error) {
	begin := len(to)
	var err error
	switch a.Op {
	case flows.OpOutput:
		return appendOutput(to, a.Port, 0), nil
	case flows.OpController:
		return appendOutput(to, flows.PortController, a.MaxLen), nil
	case flows.OpGroup:
		return binary.BigEndian.AppendUint32(append(to, 0, actionGroup, 0, 8), uint32(a.Port)), nil
	case flows.OpResubmit:
		return appendResubmit(to, a), nil
	case flows.OpSetField:
		to = append(to, 0, actionSetField, 0, 0)
		to, err = appendField(to, a.Field, a.Value, a.Mask)
	case flows.OpMove:
		to = append(to, 0, actionCopyField, 0, 0)
		to = binary.BigEndian.AppendUint16(to, uint16(a.Field.Bits()))
		to = append(to, 0, 0, 0, 0, 0, 0) // from and to bit 0
		if to, err = appendFieldHeader(to, a.From, false); err == nil {
			to, err = appendFieldHeader(to, a.Field, false)
		}
	default:
		return to, fmt.Errorf("action %s: %w", a, ErrUnknown)
	}
	to = padded(to, begin)
	binary.BigEndian.PutUint16(to[begin+2:], uint16(len(to)-begin))
	return to, err
}

func appendOutput(to []byte, p flows.PortNo, maxLen uint16) []byte {
	to = append(to, 0, actionOutput, 0, 16)
	to = binary.BigEndian.AppendUint32(to, uint32(p))
	to = binary.BigEndian.AppendUint16(to, maxLen)
	return append(to, 0, 0, 0, 0, 0, 0)
}

// appendResubmit appends OVS's own action, in which ports have the 16 bits of
// OpenFlow 1.0: reserved ones lose their upper half.
func appendResubmit(to []byte, a flows.Action) []byte {
	to = binary.BigEndian.AppendUint16(to, actionExperimenter)
	to = binary.BigEndian.AppendUint16(to, 16)
	to = binary.BigEndian.AppendUint32(to, nicira)
	to = binary.BigEndian.AppendUint16(to, resubmitTable)
	to = binary.BigEndian.AppendUint16(to, uint16(a.Port))
	return append(to, byte(a.Table), 0, 0, 0)
}
