package flows

import (
	"fmt"
	"strconv"
)

// PortNo is an OpenFlow port number (OpenFlow 1.1 and later: 32 bits).
type PortNo uint32

// The reserved ports that flows may name (OpenFlow 1.5, 7.2.1).
const (
	PortInPort     PortNo = 0xfffffff8
	PortNormal     PortNo = 0xfffffffa
	PortFlood      PortNo = 0xfffffffb
	PortAll        PortNo = 0xfffffffc
	PortController PortNo = 0xfffffffd
	PortLocal      PortNo = 0xfffffffe
)

// maxPort is the largest number that a port of a switch may have (OVS keeps to
// the 16 bits of OpenFlow 1.0).
const maxPort PortNo = 0xfeff

// String writes the port as ovs-ofctl does: a number, or a reserved port's name.
func (p PortNo) String() string {
	switch p {
	case PortInPort:
		return "IN_PORT"
	case PortNormal:
		return "NORMAL"
	case PortFlood:
		return "FLOOD"
	case PortAll:
		return "ALL"
	case PortController:
		return "CONTROLLER"
	case PortLocal:
		return "LOCAL"
	}
	return strconv.FormatUint(uint64(p), 10)
}

// reservedPort finds a reserved port by its name.
func reservedPort(name string) (PortNo, bool) {
	for _, p := range []PortNo{PortInPort, PortNormal, PortFlood, PortAll, PortController, PortLocal} {
		if p.String() == name {
			return p, true
		}
	}
	return 0, false
}

func parsePort(text string) (PortNo, error) {
	if p, ok := reservedPort(text); ok {
		return p, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || PortNo(n) > maxPort {
		return 0, fmt.Errorf("%q is no OpenFlow port", text)
	}
	return PortNo(n), nil
}
