package topology

import (
	"net/netip"
	"time"
)

// MaxTunnels is how many tunnels a Map has whether or not they were measured.
const MaxTunnels = 2000

// Map is the cluster at one moment, as `ovsnet topology -o json` prints it. Its
// lists are sorted by name.
type Map struct {
	// At is when, by the clock of the host that asked; Revision is etcd's.
	At        time.Time  `json:"at"`
	Revision  int64      `json:"revision"`
	Hosts     []Host     `json:"hosts"`
	Networks  []Network  `json:"networks"`
	Endpoints []Endpoint `json:"endpoints"`
	// Tunnels are all, or beyond MaxTunnels those that were measured; TunnelCount is
	// how many there are.
	Tunnels     []Tunnel `json:"tunnels"`
	TunnelCount int      `json:"tunnel_count"`
}

// State is how a host stands.
type State string

// The states.
const (
	// Ready is a host on which containers can join, by its agent's own word.
	Ready State = "ready"
	// NotReady is one on which they cannot.
	NotReady State = "not ready"
	// Silent is one whose agent shows a sign of life and gave no answer.
	Silent State = "silent"
	// Alive is one that was not asked, and shows a sign of life.
	Alive State = "alive"
	// Away is one without a sign of life. Its flows go on.
	Away State = "away"
)

// Host is one host.
type Host struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Reasons are why containers cannot join, why there is no answer, or why nothing
	// was measured.
	Reasons []string `json:"reasons"`
	// VTEPs are the tunnel addresses, the preferred one first.
	VTEPs    []netip.Addr `json:"vteps"`
	Region   string       `json:"region"`
	Datapath string       `json:"datapath"`
	// MTU is the largest a network may have there, in bytes.
	MTU     int    `json:"mtu"`
	Version string `json:"version"`
	// Endpoints is how many live there.
	Endpoints int `json:"endpoints"`
}

// Network is one network.
type Network struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	VNI      uint32         `json:"vni"`
	Subnets  []netip.Prefix `json:"subnets"`
	MTU      int            `json:"mtu"`
	Internal bool           `json:"internal"`
	// Hosts are those that have endpoints of it; Endpoints is how many there are.
	Hosts     []string `json:"hosts"`
	Endpoints int      `json:"endpoints"`
}

// Endpoint is one container's place in one network.
type Endpoint struct {
	ID string `json:"id"`
	// Name is what people call it.
	Name string `json:"name"`
	// Network is the network's ID, Node the host's name.
	Network string     `json:"network"`
	Node    string     `json:"node"`
	IPv4    netip.Addr `json:"ipv4,omitzero"`
	IPv6    netip.Addr `json:"ipv6,omitzero"`
	MAC     string     `json:"mac"`
}

// Tunnel is a pair of hosts that have endpoints of one network.
type Tunnel struct {
	// A and B are the hosts' names, A before B.
	A string `json:"a"`
	B string `json:"b"`
	// Networks are the names of those that it carries.
	Networks []string `json:"networks"`
	// Forth is what A measured towards B, Back what B did towards A; nil where
	// nobody measured.
	Forth *Path `json:"forth,omitempty"`
	Back  *Path `json:"back,omitempty"`
}

// Path is what a host measured of the underlay's way to a peer's tunnel address,
// there and back, with ICMP echo.
type Path struct {
	// Peer is the other host's name, Address its tunnel address.
	Peer    string     `json:"peer"`
	Address netip.Addr `json:"address"`
	// Sent and Received count requests and answers.
	Sent     int `json:"sent"`
	Received int `json:"received"`
	// Mean, Min and Max are round trips in milliseconds; 0 without an answer.
	Mean float64 `json:"rtt_ms"`
	Min  float64 `json:"rtt_min_ms"`
	Max  float64 `json:"rtt_max_ms"`
	// Problem is why requests could not be sent.
	Problem string `json:"problem,omitempty"`
}

// Report is what one host's agent says for the Map.
type Report struct {
	// Ready says that containers can join; Reasons why they cannot.
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
	// Paths are the ways to the hosts that it has tunnels to, as they were measured
	// for this report; Unmeasured says why there are none.
	Paths      []Path `json:"paths"`
	Unmeasured string `json:"unmeasured,omitempty"`
	// Others is how many more hosts it has tunnels to.
	Others int `json:"others,omitempty"`
}

// Traffic is what the endpoints of one host have sent and received so far.
type Traffic struct {
	Node string `json:"node"`
	// At is when, by the host's clock.
	At        time.Time         `json:"at"`
	Endpoints []EndpointTraffic `json:"endpoints"`
}

// EndpointTraffic is that of one endpoint, since its link was made.
type EndpointTraffic struct {
	// Network and Endpoint are IDs.
	Network  string `json:"network"`
	Endpoint string `json:"endpoint"`
	// FromPackets and FromBytes came from the container, ToPackets and ToBytes went
	// to it; Drops are packets that its link dropped, and Spoofed those from it that
	// were not sent as itself.
	FromPackets uint64 `json:"from_packets"`
	FromBytes   uint64 `json:"from_bytes"`
	ToPackets   uint64 `json:"to_packets"`
	ToBytes     uint64 `json:"to_bytes"`
	Drops       uint64 `json:"link_drops"`
	Spoofed     uint64 `json:"spoofed"`
}
