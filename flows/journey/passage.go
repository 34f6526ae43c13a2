package journey

import (
	"net/netip"

	"github.com/ovsnet/ovsnet/flows"
)

// Source is who tells of a host.
type Source string

// The sources.
const (
	// ByAgent is the host's agent.
	ByAgent Source = "agent"
	// ByHost is the host itself, which was read without its agent.
	ByHost Source = "host"
	// ByRecords is nobody on the host: what its flows should be follows from the
	// cluster's records, with every endpoint there taken to be plugged in.
	ByRecords Source = "records"
)

// Passage is a packet's way through one host.
type Passage struct {
	// Node is the host's name.
	Node   string `json:"node"`
	Source Source `json:"source"`
	// Silent is why the host itself said nothing, with ByRecords.
	Silent string `json:"silent,omitempty"`
	// Entry says where the packet comes in, and Packet is the packet then, in the
	// words of `ovs-appctl ofproto/trace`.
	Entry  string `json:"entry"`
	Packet string `json:"packet"`
	// Desired is the way through the flows that should be there, as ovsnet evaluates
	// them; Installed the one through those that are, as Open vSwitch does. It is
	// nil where Open vSwitch was not asked, and Unasked says why.
	Desired   Way    `json:"desired"`
	Installed *Way   `json:"installed"`
	Unasked   string `json:"unasked,omitempty"`
	// Disagreements are what the two ways differ in; Findings say in sentences what
	// is wrong on the host, the first cause first.
	Disagreements []Disagreement `json:"disagreements"`
	Findings      []Finding      `json:"findings"`
}

// Way is one engine's account.
type Way struct {
	Steps []Step `json:"steps"`
	// Exits are the packets that leave; none where it was dropped.
	Exits []Exit `json:"exits"`
	// Why says for what reason the packet ends at the last step; empty where
	// something leaves.
	Why string `json:"why,omitempty"`
	// Warnings are what the engine did not do, or does not know.
	Warnings []string `json:"warnings"`
}

// Step is one look-up in a table.
type Step struct {
	Table     flows.TableID `json:"table"`
	TableName string        `json:"table_name"`
	// Miss is set where no flow matched; then the rest is empty.
	Miss     bool   `json:"miss,omitempty"`
	Priority uint16 `json:"priority"`
	Match    string `json:"match"`
	// Actions are what the flow does, and Should what it should do where that is
	// something else.
	Actions string `json:"actions"`
	Should  string `json:"should,omitempty"`
	// Cookie is in hex, Rule the kind of flow; "foreign" for one that is not
	// ovsnet's.
	Cookie string `json:"cookie"`
	Rule   string `json:"rule"`
	// Reason says in a line what the flow is for.
	Reason string `json:"reason"`
	State  State  `json:"state"`
	// Packets and Bytes are what the installed flow has matched so far.
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// State is how a step's flow stands between desired and installed.
type State string

// The states.
const (
	// Agreed is installed as desired.
	Agreed State = "installed"
	// Missing is desired, and Open vSwitch does not have it.
	Missing State = "missing"
	// Altered is installed with other actions or another cookie.
	Altered State = "altered"
	// Vanishing is one of ovsnet's that is no longer desired.
	Vanishing State = "vanishing"
	// Foreign is not ovsnet's.
	Foreign State = "foreign"
	// Unseen is desired, and nobody looked what is installed.
	Unseen State = "unseen"
)

// Exit is one packet that leaves a host's bridge.
type Exit struct {
	// Port is the OpenFlow port, Frame the packet's headers by then.
	Port  uint32 `json:"port"`
	Frame string `json:"frame"`
	// Endpoint is whose port it is; nil for the tunnel and for ports that are no
	// endpoint's. Name says it in words.
	Endpoint *EndpointName `json:"endpoint,omitempty"`
	Name     string        `json:"name"`
	// Back is set where it leaves by the port that it came in by: an answer.
	Back bool `json:"back,omitempty"`
	// Tunnel is how it is encapsulated, Host the host that has the destination;
	// empty where none does.
	Tunnel *Outer `json:"tunnel,omitempty"`
	Host   string `json:"host,omitempty"`
}

// Disagreement is one thing on which ovsnet's evaluation of the desired flows and
// Open vSwitch's trace of the installed ones differ.
type Disagreement struct {
	// About is the aspect, Step the number of the look-up from 1, 0 for what is of
	// the whole packet.
	About string `json:"about"`
	Step  int    `json:"step"`
	// Desired and Installed are what either says; empty for nothing.
	Desired   string `json:"desired"`
	Installed string `json:"installed"`
}

// Finding is one thing that is wrong on a host.
type Finding struct {
	// Table is where it is; empty for what is of no table.
	Table string `json:"table,omitempty"`
	// Text is a sentence.
	Text string `json:"text"`
}

// way is what really happens, as far as it is known.
func (p Passage) way() Way {
	if p.Installed != nil {
		return *p.Installed
	}
	return p.Desired
}

// nodeAt returns the host that has the VTEP; empty where none has.
func (b Bridge) nodeAt(vtep netip.Addr) string {
	for n := range b.Snapshot.Nodes() {
		for _, a := range n.VTEPs {
			if a.Unmap() == vtep {
				return n.Name
			}
		}
	}
	return ""
}
