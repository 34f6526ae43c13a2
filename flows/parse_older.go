package flows

import (
	"fmt"
	"strings"
)

// parseOlder reads the actions that ovs-ofctl prints in place of set_field when
// it speaks OpenFlow 1.0, as it does by itself (ovs-actions(7)); false for any
// other.
func parseOlder(verb, operand string) (Action, bool, error) {
	if verb == "load" {
		a, err := parseLoad(operand)
		return a, true, err
	}
	f, known := map[string]Field{
		"mod_dl_src": EthSrc, "mod_dl_dst": EthDst, "mod_nw_src": IPSrc, "mod_nw_dst": IPDst,
		"set_tunnel": TunID, "set_tunnel64": TunID,
	}[verb]
	if !known {
		return Action{}, false, nil
	}
	v, err := f.parse(operand)
	return Set(f, v), true, err
}

// parseLoad reads NUMBER->FIELD[]. Parts of fields are not understood.
func parseLoad(operand string) (Action, error) {
	text, to, _ := strings.Cut(operand, "->")
	name, whole := strings.CutSuffix(to, "[]")
	f, known := nxmField(name)
	if !whole || !known {
		return Action{}, fmt.Errorf("load to unknown field %q", to)
	}
	n, err := number(text, min(f.Bits(), 64))
	return Set(f, Number(n)), err
}
