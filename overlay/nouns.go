package overlay

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// MaxVNI is the largest VXLAN network identifier (RFC 7348: 24 bits); the
// smallest that a network may have is 1.
const MaxVNI = 1<<24 - 1

// MinMTU is the smallest MTU a network may have: the smallest that IPv4 hosts
// must be able to forward (RFC 791).
const MinMTU = 68

// MaxMTU is the largest MTU an Ethernet link may be given on Linux.
const MaxMTU = 65535

// DefaultSpace is the address space of networks that were given no name of
// their own: there, no two networks may have overlapping subnets.
const DefaultSpace = "default"

// Subnet is one address range of a network.
type Subnet struct {
	// Prefix is the subnet, masked.
	Prefix netip.Prefix `json:"prefix"`
	// Gateway is the address that Docker announces as the subnet's gateway. No
	// endpoint may have it.
	Gateway netip.Addr `json:"gateway,omitzero"`
	// Aux are the addresses that Docker was told to keep away from endpoints.
	Aux []netip.Addr `json:"aux,omitempty"`
}

// Network is one layer-2 network that containers on any host may join.
type Network struct {
	// ID is unique for ever: 32 lower-case hex digits.
	ID string `json:"id"`
	// Name is unique among the networks that exist.
	Name string `json:"name"`
	// VNI is the VXLAN network identifier, 1 to MaxVNI, unique.
	VNI uint32 `json:"vni"`
	// Space is the address space that the subnets are claimed in: DefaultSpace,
	// or the network's own, which is then its name.
	Space string `json:"space"`
	// Subnets are at most one for each family, IPv4 first.
	Subnets []Subnet `json:"subnets"`
	// MTU is what containers' links get, in bytes, MinMTU to MaxMTU.
	MTU int `json:"mtu"`
	// Internal networks get no way out of the overlay through the host.
	Internal bool `json:"internal,omitempty"`
	// Durable networks were made by an operator and stay until removed; the
	// others go with their last attachment.
	Durable bool `json:"durable,omitempty"`
	// Created is when the network was made, by the clock of the host that did.
	Created time.Time `json:"created"`
	// Revision is the store's revision of this record.
	Revision int64 `json:"-"`
}

// IPv4 returns the network's IPv4 subnet; false where it has none.
func (n Network) IPv4() (Subnet, bool) {
	i := slices.IndexFunc(n.Subnets, func(s Subnet) bool { return s.Prefix.Addr().Is4() })
	if i < 0 {
		return Subnet{}, false
	}
	return n.Subnets[i], true
}

// Endpoint is one container's place in one network.
type Endpoint struct {
	// ID is Docker's endpoint ID.
	ID string `json:"id"`
	// Network is the Network's ID.
	Network string `json:"network"`
	// Node is the name of the host it lives on.
	Node string `json:"node"`
	// MAC is unique within the network.
	MAC MAC `json:"mac"`
	// IPv4 and IPv6 are its addresses, unique within the address space; invalid
	// where it has none of the family.
	IPv4 netip.Addr `json:"ipv4,omitzero"`
	IPv6 netip.Addr `json:"ipv6,omitzero"`
	// ForeignIPAM says that the address was claimed when the endpoint was made,
	// because another IPAM driver chose it and will not release it here.
	ForeignIPAM bool `json:"foreign_ipam,omitempty"`
	// Names are what users call it: container and host names, possibly none.
	Names []string `json:"names,omitempty"`
	// Created is when it was made, by the clock of its host.
	Created time.Time `json:"created"`
	// Revision is the store's revision of this record.
	Revision int64 `json:"-"`
}

// Addrs returns the addresses that the endpoint has, IPv4 first.
func (e Endpoint) Addrs() []netip.Addr {
	return slices.DeleteFunc([]netip.Addr{e.IPv4, e.IPv6}, func(a netip.Addr) bool { return !a.IsValid() })
}

// Label names the endpoint for people: its first name, or a short ID.
func (e Endpoint) Label() string {
	if len(e.Names) > 0 {
		return e.Names[0]
	}
	return ShortID(e.ID)
}

// Node is the durable record of one host. Flows follow only this record; a host
// whose agent is away keeps it.
type Node struct {
	// Name is unique; by default the host's name.
	Name string `json:"name"`
	// VTEPs are the underlay addresses that this host's tunnel packets may come
	// from and be sent to, the preferred one first (RFC 7348: VXLAN tunnel end
	// point).
	VTEPs []netip.Addr `json:"vteps"`
	// Region groups hosts that reach each other privately; empty is one region.
	Region string `json:"region,omitempty"`
	// Datapath is OVS's datapath type on this host: "system" or "netdev".
	Datapath string `json:"datapath"`
	// MTU is the largest network MTU that this host's underlay carries, in bytes.
	MTU int `json:"mtu"`
	// Version is the build of the agent that wrote the record.
	Version string `json:"version,omitempty"`
	// Revision is the store's revision of this record.
	Revision int64 `json:"-"`
}

// VTEP returns the preferred tunnel address; the zero Addr where there is none.
func (n Node) VTEP() netip.Addr {
	if len(n.VTEPs) == 0 {
		return netip.Addr{}
	}
	return n.VTEPs[0]
}

// Attachment says that a host's Docker has a network, under an ID of its own
// (networks of local scope have another ID on every host).
type Attachment struct {
	// Network is the Network's ID and Node the host's name.
	Network string `json:"network"`
	Node    string `json:"node"`
	// DockerNetwork is Docker's NetworkID on that host.
	DockerNetwork string `json:"docker_network"`
	// DockerName is what that host's Docker calls the network, once it is known.
	DockerName string `json:"docker_name,omitempty"`
	// Daemon is the ID of the Docker daemon that has the network, once one was seen
	// to list it.
	Daemon string `json:"daemon,omitempty"`
	// Pool is the pool ID that Docker was given on that host; empty where
	// another IPAM driver chose the subnet.
	Pool string `json:"pool,omitempty"`
	// Created is when the network was created there.
	Created time.Time `json:"created"`
	// Revision is the store's revision of this record.
	Revision int64 `json:"-"`
}

// ShortID returns the first 12 characters of an ID, as Docker shows them.
func ShortID(id string) string { return id[:min(len(id), 12)] }

const nameRemedy = "use 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit"

// ValidateName refuses what cannot be the name of a network or node; what says
// which of them, for the message.
func ValidateName(what, name string) error {
	bad := strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	})
	if bad >= 0 || len(name) == 0 || len(name) > 63 || strings.ContainsRune("._-", rune(name[0])) {
		return Refuse(Invalid, what+" \""+name+"\"", nameRemedy, "not a valid name")
	}
	return nil
}

// Validate refuses a network whose name, VNI, MTU or subnets cannot be.
func (n Network) Validate() error {
	object := "network \"" + n.Name + "\""
	if err := ValidateName("network", n.Name); err != nil {
		return err
	}
	if n.VNI < 1 || n.VNI > MaxVNI {
		return Refuse(Invalid, object, "choose a VNI from 1 to 16777215, or leave it out", "VNI %d is out of range", n.VNI)
	}
	if n.MTU < MinMTU || n.MTU > MaxMTU {
		return Refuse(Invalid, object, "choose an MTU from 68 to what the underlay carries, or leave it out", "MTU %d is out of range", n.MTU)
	}
	if !oneOfEachFamily(n.Subnets) {
		return Refuse(Invalid, object, "give one IPv4 subnet and at most one IPv6 subnet, in this order", "it has %d subnets, not one of each family", len(n.Subnets))
	}
	for _, s := range n.Subnets {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// CheckUnderlay refuses a network that the cluster's hosts could not use: one
// whose subnet has a host's VTEP address (Conflict), or whose MTU is above what
// the underlay of every host carries (Invalid). Without hosts nothing is refused.
func (n Network) CheckUnderlay(nodes iter.Seq[Node]) error {
	object := "network \"" + n.Name + "\""
	hosts, largest := 0, 0
	for node := range nodes {
		hosts, largest = hosts+1, max(largest, node.MTU)
		for _, vtep := range node.VTEPs {
			for _, s := range n.Subnets {
				if s.Prefix.Contains(vtep.Unmap()) {
					return Refuse(Conflict, object, "choose a subnet that the underlay does not use", "subnet %s has the VTEP address %s of node %q", s.Prefix, vtep, node.Name)
				}
			}
		}
	}
	if hosts > 0 && n.MTU > largest {
		return Refuse(Invalid, object, "choose a smaller MTU, or raise that of the underlay", "MTU %d is above %d, the most that any host's underlay carries", n.MTU, largest)
	}
	return nil
}

// SmallestMTU is the largest network MTU, in bytes, that every one of the hosts
// carries; 0 without hosts.
func SmallestMTU(nodes iter.Seq[Node]) int {
	smallest := 0
	for node := range nodes {
		if smallest == 0 || node.MTU < smallest {
			smallest = node.MTU
		}
	}
	return smallest
}

// oneOfEachFamily reports whether the subnets are one of IPv4 and, after it, at
// most one of IPv6.
func oneOfEachFamily(subnets []Subnet) bool {
	v4 := func(i int) bool { return subnets[i].Prefix.Addr().Is4() }
	return len(subnets) == 1 && v4(0) || len(subnets) == 2 && v4(0) && !v4(1)
}

// Validate refuses a node whose name or VTEP addresses cannot be.
func (n Node) Validate() error {
	if err := ValidateName("node", n.Name); err != nil {
		return err
	}
	if len(n.VTEPs) == 0 {
		return Refuse(Invalid, "node \""+n.Name+"\"", "set --vtep", "no VTEP address")
	}
	for _, a := range n.VTEPs {
		// A zone means something on one host only, and can be any text.
		if a.Zone() != "" {
			return Refuse(Invalid, "node \""+n.Name+"\"", "set --vtep to an address that is not link-local", "VTEP address %s has a zone", a.WithZone(""))
		}
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
			return Refuse(Invalid, "node \""+n.Name+"\"", "set --vtep to a unicast address of this host that the other hosts reach", "VTEP address %s cannot be reached by others", a)
		}
	}
	return nil
}
