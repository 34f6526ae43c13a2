package openflow

import (
	"encoding/binary"
	"fmt"

	"github.com/ovsnet/ovsnet/flows"
)

// instructions reads what a flow does.
func (r *FlowReader) instructions(from []byte) (flows.Actions, error) {
	steps := r.steps[:0]
	for len(from) > 0 {
		part, rest, err := cut(from, 2)
		if err != nil || len(part) < 8 {
			return flows.Actions{}, errShort
		}
		switch kind := binary.BigEndian.Uint16(part); {
		case kind == instructionApply:
			steps, err = r.actions(steps, part[8:])
		case kind == instructionGoto:
			steps = append(steps, flows.Goto(flows.TableID(part[4])))
		case kind == instructionWriteMetadata && len(part) == 24:
			mask := valueOf(part[16:24])
			steps = append(steps, flows.Action{Op: flows.OpWriteMetadata, Value: valueOf(part[8:16]).And(mask), Mask: mask})
		default:
			err = fmt.Errorf("instruction %d: %w", kind, ErrUnknown)
		}
		if err != nil {
			return flows.Actions{}, err
		}
		from = rest
	}
	r.steps = steps
	return flows.NewActions(steps...), nil
}

// actions reads the list of an Apply instruction.
func (r *FlowReader) actions(steps []flows.Action, from []byte) ([]flows.Action, error) {
	for len(from) > 0 {
		part, rest, err := cut(from, 2)
		if err != nil || len(part) < 8 {
			return steps, errShort
		}
		a, err := r.action(part)
		if err != nil {
			return steps, err
		}
		steps, from = append(steps, a), rest
	}
	return steps, nil
}

func (r *FlowReader) action(part []byte) (flows.Action, error) {
	kind := binary.BigEndian.Uint16(part)
	switch {
	case kind == actionOutput && len(part) == 16:
		port := flows.PortNo(binary.BigEndian.Uint32(part[4:]))
		if port == flows.PortController {
			return flows.Action{Op: flows.OpController, MaxLen: binary.BigEndian.Uint16(part[8:])}, nil
		}
		return flows.Output(port), nil
	case kind == actionGroup && len(part) == 8:
		return flows.Action{Op: flows.OpGroup, Port: flows.PortNo(binary.BigEndian.Uint32(part[4:]))}, nil
	case kind == actionSetField:
		set, _, err := r.field(r.conditions[:0], part[4:])
		if err != nil || len(set) != 1 {
			return flows.Action{}, fmt.Errorf("set_field: %w", ErrUnknown)
		}
		r.conditions = set
		return flows.Action{Op: flows.OpSetField, Field: set[0].Field, Value: set[0].Value, Mask: set[0].Mask}, nil
	case kind == actionCopyField && len(part) == 24:
		return r.move(part)
	case kind == actionExperimenter && len(part) == 16 && binary.BigEndian.Uint32(part[4:]) == nicira && binary.BigEndian.Uint16(part[8:]) == resubmitTable:
		return flows.Action{Op: flows.OpResubmit, Port: widened(binary.BigEndian.Uint16(part[10:])), Table: flows.TableID(part[12])}, nil
	}
	return flows.Action{}, fmt.Errorf("action %d: %w", kind, ErrUnknown)
}

// move reads a copy of one whole field to another.
func (r *FlowReader) move(part []byte) (flows.Action, error) {
	bits, from, to := binary.BigEndian.Uint16(part[4:]), binary.BigEndian.Uint16(part[6:]), binary.BigEndian.Uint16(part[8:])
	source, known := r.fields[oxm{binary.BigEndian.Uint16(part[12:]), part[14] >> 1}]
	target, too := r.fields[oxm{binary.BigEndian.Uint16(part[16:]), part[18] >> 1}]
	if !known || !too || from != 0 || to != 0 || int(bits) != source.Bits() || int(bits) != target.Bits() {
		return flows.Action{}, fmt.Errorf("a copy of %d bits: %w", bits, ErrUnknown)
	}
	return flows.Move(source, target), nil
}

// widened gives a port of OpenFlow 1.0 its number of 32 bits.
func widened(port uint16) flows.PortNo {
	const reserved = 0xff00
	if port >= reserved {
		return flows.PortNo(port) | 0xffff0000
	}
	return flows.PortNo(port)
}
