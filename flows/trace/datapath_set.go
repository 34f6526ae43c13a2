package trace

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// datapathFields are the fields that the datapath sets, by header and name;
// read only. What is not here is no field of ours and stays out of a comparison.
var datapathFields = map[string]flows.Field{
	"eth.src": flows.EthSrc, "eth.dst": flows.EthDst,
	"ipv4.src": flows.IPSrc, "ipv4.dst": flows.IPDst, "ipv4.ttl": flows.IPTTL, "ipv4.proto": flows.IPProto, "ipv4.tos": flows.IPTOS,
	"ipv6.src": flows.IPv6Src, "ipv6.dst": flows.IPv6Dst, "ipv6.hlimit": flows.IPTTL, "ipv6.proto": flows.IPProto, "ipv6.tclass": flows.IPTOS,
	"arp.sip": flows.ArpSPA, "arp.tip": flows.ArpTPA, "arp.op": flows.ArpOp, "arp.sha": flows.ArpSHA, "arp.tha": flows.ArpTHA,
	"tcp.src": flows.TPSrc, "tcp.dst": flows.TPDst, "udp.src": flows.TPSrc, "udp.dst": flows.TPDst,
	"sctp.src": flows.TPSrc, "sctp.dst": flows.TPDst,
	"icmp.type": flows.ICMPType, "icmp.code": flows.ICMPCode, "icmpv6.type": flows.ICMPType, "icmpv6.code": flows.ICMPCode,
	"nd.target": flows.NDTarget, "nd.sll": flows.NDSLL, "nd.tll": flows.NDTLL,
}

// set reads HEADER(NAME=VALUE[/MASK],…).
func (d *datapathParser) set(text string) error {
	header, operands, err := callOf(text)
	if err != nil {
		return err
	}
	if header == "tunnel" {
		return d.setTunnel(operands)
	}
	for _, part := range splitList(operands) {
		name, operand, _ := strings.Cut(part, "=")
		f, ours := datapathFields[header+"."+name]
		if !ours {
			continue
		}
		value, mask, err := valueAndMask(operand)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", name, header, err)
		}
		d.change(f, value, mask)
		if f == flows.IPTOS {
			d.change(flows.IPECN, value, mask)
		}
	}
	return nil
}

// setTunnel is how the kernel's datapath is told where a tunnel port leads to.
func (d *datapathParser) setTunnel(operands string) error {
	var t Tunnel
	for _, part := range splitList(operands) {
		name, operand, _ := strings.Cut(part, "=")
		switch name {
		case "tun_id":
			id, err := strconv.ParseUint(operand, 0, 64)
			if err != nil {
				return fmt.Errorf("tunnel's ID %q cannot be read", operand)
			}
			t.VNI = uint32(id & vniMask)
		case "dst", "ipv6_dst":
			dst, err := netip.ParseAddr(operand)
			if err != nil {
				return fmt.Errorf("tunnel's destination: %w", err)
			}
			t.Dst = dst
		}
	}
	d.tunnel = &t
	return nil
}

// valueAndMask reads VALUE[/MASK]: both addresses, or both numbers.
func valueAndMask(text string) (value, mask flows.Value, err error) {
	plain, masked, found := strings.Cut(text, "/")
	if value, err = datapathValue(plain); err != nil || !found {
		return value, flows.Value{}.Not(), err
	}
	mask, err = datapathValue(masked)
	return value, mask, err
}

func datapathValue(text string) (flows.Value, error) {
	if n, err := strconv.ParseUint(text, 0, 64); err == nil {
		return flows.Number(n), nil
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return flows.AddrValue(a), nil
	}
	if m, err := overlay.ParseMAC(text); err == nil {
		return flows.MACValue(m), nil
	}
	return flows.Value{}, fmt.Errorf("%q is no value", text)
}
