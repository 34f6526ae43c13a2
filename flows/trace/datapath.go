package trace

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
)

// OFSend is one packet that Open vSwitch's datapath lets leave.
type OFSend struct {
	// Port is the datapath's number, which is not OpenFlow's (see ParsePorts).
	Port uint32
	// Controller is set for a packet to the controller, which has no port.
	Controller bool
	// Changes are what the headers became, the later ones over the earlier.
	Changes []flows.FieldMatch
	// Tunnel is where it is encapsulated to; nil where it is not.
	Tunnel *Tunnel
}

// datapathParser follows a list of datapath actions.
type datapathParser struct {
	sends   []OFSend
	changes []flows.FieldMatch
	tunnel  *Tunnel
}

// list follows the actions one after the other.
func (d *datapathParser) list(text string) error {
	if text == "drop" || text == "" {
		return nil
	}
	for _, action := range splitList(text) {
		name, operands, err := callOf(action)
		if err != nil {
			return err
		}
		if name == "tnl_push" {
			// What follows happens to the outer packet.
			return d.push(operands)
		}
		if err := d.action(name, operands); err != nil {
			return err
		}
	}
	return nil
}

func (d *datapathParser) action(name, operands string) error {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		d.send(OFSend{Port: uint32(n), Tunnel: d.tunnel})
		return nil
	}
	switch name {
	case "set":
		return d.set(operands)
	case "clone":
		inner := *d
		err := inner.list(operands)
		d.sends = inner.sends
		return err
	case "userspace":
		if strings.Contains(operands, "controller(") {
			d.send(OFSend{Controller: true})
		}
		return nil
	case "push_vlan":
		return d.tag(operands)
	case "pop_vlan":
		d.change(flows.VlanTCI, flows.Value{}, flows.VlanTCI.Full())
		return nil
	case "trunc":
		return nil
	}
	return fmt.Errorf("datapath action %q is not known", name)
}

func (d *datapathParser) send(s OFSend) {
	s.Changes = append([]flows.FieldMatch(nil), d.changes...)
	d.sends = append(d.sends, s)
}

func (d *datapathParser) change(f flows.Field, v, mask flows.Value) {
	if f == flows.IPTOS {
		mask = mask.And(flows.Number(dscpMask))
	}
	d.changes = append(d.changes, flows.Masked(f, v, mask.And(f.Full())))
}

// splitList splits at the commas outside of parentheses.
func splitList(text string) []string {
	var parts []string
	depth, begin := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts, begin = append(parts, text[begin:i]), i+1
			}
		}
	}
	return append(parts, text[begin:])
}

// callOf splits NAME(OPERANDS), where the operands may be missing.
func callOf(action string) (name, operands string, err error) {
	name, rest, found := strings.Cut(action, "(")
	operands, closed := strings.CutSuffix(rest, ")")
	if found != closed {
		return "", "", fmt.Errorf("datapath action %q has no end", action)
	}
	return name, operands, nil
}

// pushed finds, in a header to be pushed, where VXLAN leads to.
var pushed = regexp.MustCompile(`ipv[46]\(src=[^,]*,dst=([^,)]+).*,vxlan\(flags=0x[0-9a-f]+,vni=0x([0-9a-f]{1,6})\)`)

// push encapsulates the packet in userspace: tnl_pop's opposite.
func (d *datapathParser) push(operands string) error {
	port, _, found := strings.Cut(strings.TrimPrefix(operands, "tnl_port("), ")")
	n, err := strconv.ParseUint(port, 10, 32)
	if !found || err != nil {
		return fmt.Errorf("tunnel port of %q cannot be read", operands)
	}
	header := pushed.FindStringSubmatch(operands)
	if header == nil {
		return fmt.Errorf("tunnel header of %q is not VXLAN's", operands)
	}
	dst, err := netip.ParseAddr(header[1])
	if err != nil {
		return fmt.Errorf("tunnel destination: %w", err)
	}
	vni, err := strconv.ParseUint(header[2], 16, 24)
	if err != nil {
		return fmt.Errorf("tunnel's VNI: %w", err)
	}
	d.send(OFSend{Port: uint32(n), Tunnel: &Tunnel{Dst: dst, VNI: uint32(vni)}})
	return nil
}

func (d *datapathParser) tag(operands string) error {
	tci := uint64(vlanPresent)
	for _, part := range splitList(operands) {
		name, value, _ := strings.Cut(part, "=")
		n, err := strconv.ParseUint(value, 0, 16)
		if err != nil {
			return fmt.Errorf("VLAN tag %q cannot be read", operands)
		}
		switch name {
		case "vid":
			tci |= n
		case "pcp":
			tci |= n << pcpShift
		}
	}
	d.change(flows.VlanTCI, flows.Number(tci), flows.VlanTCI.Full())
	return nil
}
