package tunnel

import (
	"net/netip"
	"strconv"
)

// PortName is the name of the host's one tunnel port.
const PortName = "ovsnet-vxlan"

// DefaultUDPPort is VXLAN's port (RFC 7348 section 8.1, IANA).
const DefaultUDPPort = 4789

// Port is what the tunnel port is in OVSDB.
type Port struct {
	// Name and Type are those of the interface.
	Name, Type string
	// Options are the interface's options (ovs-vswitchd.conf.db(5), Tunnel
	// Options), complete.
	Options map[string]string
}

// PortSpec returns the tunnel port of a host with that VTEP address. It is the
// same on the kernel's and the userspace datapath:
//
//   - remote_ip=flow and key=flow: flows set peer and VNI, one port serves all;
//   - local_ip: packets leave from the VTEP address alone, since peers drop what
//     comes from an address that they do not know;
//   - csum: the outer UDP checksum is sent. RFC 7348 would rather have zero over
//     IPv4, but then nothing on the way protects the VNI, and a flipped bit
//     delivers a packet to another network; with the kernel the sum is made from
//     the inner one or by the card, and lets more cards check and merge what
//     they receive. Over IPv6 it is due anyway (RFC 8200 section 8.1), and
//     receivers drop packets without. The userspace datapath computes it, which
//     is little beside what else a packet costs there;
//   - df_default: outer IPv4 packets are never fragmented (RFC 7348 section 4.3),
//     so that an underlay that carries less than it says drops and reports
//     instead of splitting every large packet in two; the userspace datapath
//     does not reassemble at all.
func PortSpec(vtep netip.Addr, udpPort uint16) Port {
	return Port{Name: PortName, Type: "vxlan", Options: map[string]string{
		"remote_ip":  "flow",
		"key":        "flow",
		"local_ip":   vtep.Unmap().String(),
		"dst_port":   strconv.Itoa(int(udpPort)),
		"csum":       "true",
		"df_default": "true",
	}}
}
