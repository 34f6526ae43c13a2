package capture

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// The directions of packets, as seen from the endpoint, or from the other host.
const (
	// From is what the endpoint, or the other host, sent.
	From = "from"
	// To is what it gets.
	To = "to"
)

// Line is one packet for people and programs.
type Line struct {
	At time.Time `json:"at"`
	// Direction is From or To, Whom the endpoint or the other host that it is about.
	Direction string `json:"direction"`
	Whom      string `json:"whom"`
	// Network is the packet's, empty where no network has the VNI; VNI is 0 for a
	// packet that was not in the tunnel.
	Network string `json:"network"`
	VNI     uint32 `json:"vni,omitempty"`
	// Src and Dst are the packet's ends, What it is, Length in bytes.
	Src    Party  `json:"src"`
	Dst    Party  `json:"dst"`
	What   string `json:"what"`
	Length int    `json:"length"`
}

// Names knows what packets' addresses are called. It is not changed.
type Names struct {
	networks map[uint32]overlay.Network
	nodes    map[netip.Addr]string
	holders  map[holder]overlay.Endpoint
}

// holder is a MAC address in a network, by the network's ID.
type holder struct {
	network string
	mac     overlay.MAC
}

// NewNames takes the names from the cluster's records.
func NewNames(s *overlay.Snapshot) *Names {
	n := &Names{networks: map[uint32]overlay.Network{}, nodes: map[netip.Addr]string{}, holders: map[holder]overlay.Endpoint{}}
	for network := range s.Networks() {
		n.networks[network.VNI] = network
		for e := range s.Endpoints(network.ID) {
			n.holders[holder{network.ID, e.MAC}] = e
		}
	}
	for node := range s.Nodes() {
		for _, addr := range node.VTEPs {
			n.nodes[addr.Unmap()] = node.Name
		}
	}
	return n
}

// At describes a packet at an endpoint of the network.
func (n *Names) At(p Packet, e overlay.Endpoint, network string) Line {
	l := n.line(p, e.Network)
	l.Network, l.Whom = network, e.Label()
	// What leaves the host enters the container.
	l.Direction = map[bool]string{true: To, false: From}[p.Out]
	return l
}

// Through describes a packet in the tunnel.
func (n *Names) Through(p Packet, e Envelope) Line {
	network := n.networks[e.VNI]
	l := n.line(p, network.ID)
	l.Network, l.VNI = network.Name, e.VNI
	l.Direction, l.Whom = From, n.host(e.Src)
	if p.Out {
		l.Direction, l.Whom = To, n.host(e.Dst)
	}
	return l
}

// host is a host's name, or its address where it is none of the cluster's.
func (n *Names) host(vtep netip.Addr) string {
	if name, known := n.nodes[vtep]; known {
		return name
	}
	return vtep.String()
}

func (n *Names) line(p Packet, network string) Line {
	d := describe(p.Data)
	return Line{At: p.At, Src: n.named(d.from, network), Dst: n.named(d.to, network), What: d.what, Length: p.Length}
}

// named gives a party its name. An endpoint that says it has another's address is
// called by its own, which its MAC tells.
func (n *Names) named(p Party, network string) Party {
	if e, known := n.holders[holder{network, p.MAC}]; known {
		p.Name = e.Label()
	}
	return p
}

// String writes the line for people; wide shows the MAC addresses as well.
func (l Line) String(wide bool) string {
	network := l.Network
	if network == "" {
		network = fmt.Sprintf("VNI %d", l.VNI)
	}
	if l.VNI > 0 {
		network += "  "
	} else {
		network = ""
	}
	return fmt.Sprintf("%s  %s%-4s %s  %s > %s  %s, %d bytes",
		l.At.Local().Format("15:04:05.000000"), network, l.Direction, l.Whom, l.Src.words(wide), l.Dst.words(wide), l.What, l.Length)
}

// words are a party's name with its address, or what there is of both.
func (p Party) words(wide bool) string {
	addr := p.MAC.String()
	if p.Addr.IsValid() {
		addr = p.Addr.String()
		if p.Port > 0 {
			addr = net.JoinHostPort(addr, strconv.Itoa(int(p.Port)))
		}
	}
	if wide && p.Addr.IsValid() {
		addr += " " + p.MAC.String()
	}
	if p.Name == "" {
		return addr
	}
	return p.Name + " (" + addr + ")"
}
