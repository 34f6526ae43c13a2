package openflow

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ovsnet/ovsnet/flows"
)

// ErrUnknown says that a flow has a field or an action that this package does
// not write.
var ErrUnknown = errors.New("not among the fields and actions that are written directly")

// The commands of a flow mod (OpenFlow 1.5, 7.3.4.1).
const (
	flowAdd          = 0
	flowDeleteStrict = 4
)

// anyone is OFPP_ANY, OFPG_ANY and OFP_NO_BUFFER, which all are this number.
const anyone = 0xffffffff

// AppendAdd appends the bundle's message that adds the flow, or puts it in the
// place of the one with its key, whose counters stay. n, from 1, is what a
// Refusal calls it by.
func AppendAdd(to []byte, n uint32, f flows.Flow) ([]byte, error) {
	begin := len(to)
	to = appendFlowMod(to, n, flowAdd, f.Cookie, f.Key)
	to, err := appendMatch(to, f.Match)
	if err == nil {
		to, err = appendInstructions(to, f.Actions)
	}
	if err != nil {
		return to[:begin], fmt.Errorf("flow %s: %w", f, err)
	}
	return sized(to, begin, f)
}

// AppendDelete appends the bundle's message that deletes the flow of exactly
// that key: loose deletes, which take more specific flows along, cannot be
// written.
func AppendDelete(to []byte, n uint32, k flows.Key) ([]byte, error) {
	begin := len(to)
	to = appendFlowMod(to, n, flowDeleteStrict, 0, k)
	to, err := appendMatch(to, k.Match)
	if err != nil {
		return to[:begin], fmt.Errorf("delete of %s: %w", k, err)
	}
	return sized(to, begin, k)
}

// inner is where in a bundle's message the flow mod begins.
const inner = headerSize + 8

// appendFlowMod appends the bundle's header, and the flow mod up to its match.
func appendFlowMod(to []byte, n uint32, command uint8, cookie uint64, k flows.Key) []byte {
	to = appendHeader(to, typeBundleAdd, 0, n)
	to = binary.BigEndian.AppendUint32(to, bundleID)
	to = append(to, 0, 0)
	to = binary.BigEndian.AppendUint16(to, bundleFlags)
	to = appendHeader(to, typeFlowMod, 0, n)
	to = binary.BigEndian.AppendUint64(to, cookie)
	to = append(to, 0, 0, 0, 0, 0, 0, 0, 0) // no cookie is compared
	to = append(to, byte(k.Table), command)
	to = append(to, 0, 0, 0, 0) // no time-out
	to = binary.BigEndian.AppendUint16(to, k.Priority)
	for range 3 {
		to = binary.BigEndian.AppendUint32(to, anyone)
	}
	return append(to, 0, 0, 0, 0) // neither flags nor importance
}

// sized writes the lengths of the message that begins there.
func sized(to []byte, begin int, what fmt.Stringer) ([]byte, error) {
	size := len(to) - begin
	if size > maxSize {
		return to[:begin], fmt.Errorf("flow %.200s…: its message of %d bytes is larger than OpenFlow's %d", what, size, maxSize)
	}
	binary.BigEndian.PutUint16(to[begin+2:], uint16(size))
	binary.BigEndian.PutUint16(to[begin+inner+2:], uint16(size-inner))
	return to, nil
}

// appendMatch appends an OXM match (OpenFlow 1.5, 7.2.3).
func appendMatch(to []byte, m flows.Match) ([]byte, error) {
	begin := len(to)
	to = append(to, 0, 1, 0, 0)
	for c := range m.Fields() {
		var err error
		if to, err = appendField(to, c.Field, c.Value, c.Mask); err != nil {
			return to, err
		}
	}
	binary.BigEndian.PutUint16(to[begin+2:], uint16(len(to)-begin))
	return padded(to, begin), nil
}

// padded fills up what begins there to a multiple of eight bytes.
func padded(to []byte, begin int) []byte {
	for (len(to)-begin)%8 != 0 {
		to = append(to, 0)
	}
	return to
}
