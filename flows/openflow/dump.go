package openflow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ovsnet/ovsnet/flows"
)

// The multipart messages by which flows are read (OpenFlow 1.5, 7.3.5).
const (
	typeMultipartRequest = 18
	typeMultipartReply   = 19
	multipartFlowDesc    = 1
	multipartMore        = 1
)

// AppendFlowsRequest appends the question for every flow of every table.
func AppendFlowsRequest(to []byte) []byte {
	const allTables = 0xff
	return appendFlowsRequest(to, allTables, 0, 0) // no cookie is compared
}

// AppendFindRequest appends the question for the flows of a table with a cookie.
func AppendFindRequest(to []byte, t flows.TableID, cookie uint64) []byte {
	return appendFlowsRequest(to, byte(t), cookie, math.MaxUint64)
}

func appendFlowsRequest(to []byte, table byte, cookie, mask uint64) []byte {
	to = appendHeader(to, typeMultipartRequest, 56, controlXID)
	to = append(to, 0, multipartFlowDesc, 0, 0, 0, 0, 0, 0)
	to = append(to, table, 0, 0, 0)
	to = binary.BigEndian.AppendUint32(to, anyone)
	to = binary.BigEndian.AppendUint32(to, anyone)
	to = append(to, 0, 0, 0, 0)
	to = binary.BigEndian.AppendUint64(to, cookie)
	to = binary.BigEndian.AppendUint64(to, mask)
	return append(to, 0, 1, 0, 4, 0, 0, 0, 0)
}

// errShort says that a message ends before what it announces.
var errShort = errors.New("the message is too short for what it says it holds")

// FlowReader reads what answers AppendFlowsRequest and AppendFindRequest. It is used by one goroutine.
type FlowReader struct {
	fields map[oxm]flows.Field
	// conditions and steps are where one flow's are gathered.
	conditions []flows.FieldMatch
	steps      []flows.Action
}

// NewFlowReader returns a FlowReader; the zero value is not valid.
func NewFlowReader() *FlowReader {
	r := &FlowReader{fields: map[oxm]flows.Field{}}
	for f := range flows.Field(flows.FieldCount) {
		if name, known := oxmOf(f); known {
			r.fields[name] = f
		}
	}
	return r
}

// Append appends the flows of one multipart body to the list. What has a field,
// an action, a time-out or a flag that is not known here is ErrUnknown.
func (r *FlowReader) Append(list []flows.Installed, body []byte) ([]flows.Installed, error) {
	for len(body) > 0 {
		record, rest, err := cut(body, 0)
		if err != nil {
			return list, err
		}
		f, err := r.flow(record)
		if err != nil {
			return list, err
		}
		list, body = append(list, f), rest
	}
	return list, nil
}

// cut takes the structure whose 16 bits of length are at that place off the rest.
func cut(from []byte, at int) (part, rest []byte, err error) {
	if len(from) < at+2 {
		return nil, nil, errShort
	}
	size := int(binary.BigEndian.Uint16(from[at:]))
	if size < at+2 || size > len(from) {
		return nil, nil, errShort
	}
	return from[:size], from[size:], nil
}

// cutPadded is cut for a structure that is filled up to eight bytes.
func cutPadded(from []byte) (part, rest []byte, err error) {
	part, rest, err = cut(from, 2)
	padding := (8 - len(part)%8) % 8
	if err == nil && (len(part) < 4 || len(rest) < padding) {
		err = errShort
	}
	if err != nil {
		return nil, nil, err
	}
	return part[4:], rest[padding:], nil
}

// flow reads struct ofp_flow_desc (OpenFlow 1.5, 7.3.5.2).
func (r *FlowReader) flow(record []byte) (flows.Installed, error) {
	const head = 24
	if len(record) < head {
		return flows.Installed{}, errShort
	}
	f := flows.Installed{}
	f.Table, f.Priority = flows.TableID(record[4]), binary.BigEndian.Uint16(record[6:])
	f.Cookie = binary.BigEndian.Uint64(record[16:])
	if binary.BigEndian.Uint64(record[8:]) != 0 {
		return f, fmt.Errorf("time-outs, flags or importance: %w", ErrUnknown)
	}
	match, rest, err := cutPadded(record[head:])
	if err != nil {
		return f, err
	}
	if f.Match, err = r.match(match); err != nil {
		return f, err
	}
	counted, rest, err := cutPadded(rest)
	if err != nil {
		return f, err
	}
	if err := readCounters(&f, counted); err != nil {
		return f, err
	}
	f.Actions, err = r.instructions(rest)
	return f, err
}

// readCounters reads OXS fields (OpenFlow 1.5, 7.2.4.3), each of two numbers of 32 bits or one of 64.
func readCounters(f *flows.Installed, from []byte) error {
	for len(from) > 0 {
		if len(from) < 4 || len(from) < 4+int(from[3]) {
			return errShort
		}
		value, number := from[4:4+int(from[3])], from[2]>>1
		from = from[4+int(from[3]):]
		if len(value) != 8 {
			continue // the number of flows, and what nobody asked for
		}
		whole := binary.BigEndian.Uint64(value)
		span := time.Duration(whole>>32)*time.Second + time.Duration(uint32(whole))
		switch number {
		case 0:
			f.Duration = span
		case 1:
			f.Idle = span
		case 4:
			f.Packets = whole
		case 5:
			f.Bytes = whole
		}
	}
	return nil
}

// match reads OXM fields.
func (r *FlowReader) match(from []byte) (flows.Match, error) {
	r.conditions = r.conditions[:0]
	for len(from) > 0 {
		var err error
		if r.conditions, from, err = r.field(r.conditions, from); err != nil {
			return flows.Match{}, err
		}
	}
	return flows.NewMatch(r.conditions...), nil
}

// classPacketRegs is of the fields in which OVS shows two of its registers at once (OpenFlow 1.5, 7.2.3.10).
const classPacketRegs = 0x8001

// field appends the next field with its value and mask, and gives the rest.
func (r *FlowReader) field(to []flows.FieldMatch, from []byte) (found []flows.FieldMatch, rest []byte, err error) {
	if len(from) < 4 || len(from) < 4+int(from[3]) {
		return to, nil, errShort
	}
	name, masked := oxm{binary.BigEndian.Uint16(from), from[2] >> 1}, from[2]&1 == 1
	value, rest := from[4:4+int(from[3])], from[4+int(from[3]):]
	var mask []byte
	if masked {
		value, mask = value[:len(value)/2], value[len(value)/2:]
	}
	if name.class == classPacketRegs && name.number < 8 && len(value) == 8 {
		high, low := flows.Reg0+flows.Field(2*name.number), flows.Reg0+flows.Field(2*name.number)+1
		return append(to, condition(high, value[:4], half(mask, 0)), condition(low, value[4:], half(mask, 4))), rest, nil
	}
	f, known := r.fields[name]
	if !known || len(value) != width(f) || masked && len(mask) != width(f) {
		return to, nil, fmt.Errorf("field %d of class %#x: %w", name.number, name.class, ErrUnknown)
	}
	return append(to, condition(f, value, mask)), rest, nil
}

func half(mask []byte, at int) []byte {
	if mask == nil {
		return nil
	}
	return mask[at : at+4]
}

// condition is a field with that value, under that mask where there is one.
func condition(f flows.Field, value, mask []byte) flows.FieldMatch {
	if mask == nil {
		return flows.Exact(f, valueOf(value))
	}
	return flows.Masked(f, valueOf(value).And(valueOf(mask)), valueOf(mask))
}

func valueOf(raw []byte) flows.Value {
	var v flows.Value
	for _, b := range raw {
		v.Hi, v.Lo = v.Hi<<8|v.Lo>>56, v.Lo<<8|uint64(b)
	}
	return v
}
