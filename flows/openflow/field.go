package openflow

import (
	"encoding/binary"
	"fmt"

	"github.com/ovsnet/ovsnet/flows"
)

// The classes of fields: OpenFlow's own, and Nicira's extensions, which OVS
// takes in any version (ovs-fields(7)).
const (
	classNicira   = 0x0001
	classOpenFlow = 0x8000
)

// oxm is a field's class and its number there (OpenFlow 1.5, 7.2.3.8).
type oxm struct {
	class  uint16
	number uint8
}

// oxmOf gives a field's name on the wire; false for a field that is not written.
func oxmOf(f flows.Field) (oxm, bool) {
	if f <= flows.Reg15 {
		return oxm{classNicira, uint8(f - flows.Reg0)}, true
	}
	switch f {
	case flows.TunSrc:
		return oxm{classNicira, 31}, true
	case flows.TunDst:
		return oxm{classNicira, 32}, true
	case flows.TunIPv6Src:
		return oxm{classNicira, 109}, true
	case flows.TunIPv6Dst:
		return oxm{classNicira, 110}, true
	}
	number, known := openFlowNumber(f)
	return oxm{classOpenFlow, number}, known
}

// openFlowNumber is of OpenFlow's own fields (OpenFlow 1.5, table 13).
func openFlowNumber(f flows.Field) (uint8, bool) {
	switch f {
	case flows.InPort:
		return 0, true
	case flows.Metadata:
		return 2, true
	case flows.EthDst:
		return 3, true
	case flows.EthSrc:
		return 4, true
	case flows.EthType:
		return 5, true
	case flows.IPSrc:
		return 11, true
	case flows.IPDst:
		return 12, true
	case flows.ArpOp:
		return 21, true
	case flows.ArpSPA:
		return 22, true
	case flows.ArpTPA:
		return 23, true
	case flows.ArpSHA:
		return 24, true
	case flows.ArpTHA:
		return 25, true
	case flows.IPv6Src:
		return 26, true
	case flows.IPv6Dst:
		return 27, true
	case flows.TunID:
		return 38, true
	}
	return 0, false
}

// appendFieldHeader appends a field's header; masked says that a mask follows
// the value.
func appendFieldHeader(to []byte, f flows.Field, masked bool) ([]byte, error) {
	name, known := oxmOf(f)
	if !known {
		return to, fmt.Errorf("field %s: %w", f, ErrUnknown)
	}
	to = binary.BigEndian.AppendUint16(to, name.class)
	if masked {
		return append(to, name.number<<1|1, byte(2*width(f))), nil
	}
	return append(to, name.number<<1, byte(width(f))), nil
}

// appendField appends a field with its value and, unless it covers the whole
// field, the mask.
func appendField(to []byte, f flows.Field, value, mask flows.Value) ([]byte, error) {
	masked := mask != f.Full()
	to, err := appendFieldHeader(to, f, masked)
	if err != nil {
		return to, err
	}
	to = appendValue(to, value, width(f))
	if masked {
		to = appendValue(to, mask, width(f))
	}
	return to, nil
}

// width is a field's size in bytes.
func width(f flows.Field) int { return (f.Bits() + 7) / 8 }

// appendValue appends the lowest bytes of the value, the highest of them first.
func appendValue(to []byte, v flows.Value, width int) []byte {
	for shift := 8 * (width - 1); shift >= 0; shift -= 8 {
		if shift >= 64 {
			to = append(to, byte(v.Hi>>(shift-64)))
		} else {
			to = append(to, byte(v.Lo>>shift))
		}
	}
	return to
}
