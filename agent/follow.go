package agent

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/net/bpf"

	"github.com/ovsnet/ovsnet/overlay"
)

// Follow is an inquiry about what happens on a host from a moment on. The first begins
// to keep it, each further one takes what came since, and one ends it.
type Follow struct {
	// Session is a number of 128 random bits in hex, by which the asker's inquiries
	// belong together.
	Session string `json:"session"`
	// Begin is what is to be followed. It is in the first inquiry, which may be asked
	// twice.
	Begin *Wanted `json:"begin,omitempty"`
	// After is how many events the asker has. Later ones that were told before are told
	// again: an answer may have been lost.
	After uint64 `json:"after,omitempty"`
	// End says that the asker wants no more.
	End bool `json:"end,omitempty"`
}

// Wanted is what is to be followed: one of both.
type Wanted struct {
	// Flows asks for every FlowChange.
	Flows bool `json:"flows,omitempty"`
	// Packets asks for every Packet that passes.
	Packets *Tapping `json:"packets,omitempty"`
}

// Tapping says which packets are to be followed.
type Tapping struct {
	// Endpoint is where; nil is the tunnel, and there VNI a network's, or 0 for all.
	Endpoint *EndpointName `json:"endpoint,omitempty"`
	VNI      uint32        `json:"vni,omitempty"`
	// Bytes is how much of each packet is wanted, from its beginning; 0 is its headers.
	Bytes int `json:"bytes,omitempty"`
	// Filter is a program that decides which packets are wanted (bpf(4)), about those
	// inside the tunnel; an empty one takes all.
	Filter []bpf.RawInstruction `json:"filter,omitempty"`
}

// Packet is one packet that passed.
type Packet struct {
	// At is when, by the host's clock.
	At time.Time `json:"at"`
	// Out says that it left the host by the link: into the container, or towards
	// another host.
	Out bool `json:"out,omitempty"`
	// Length is how long it was, in bytes, and Data its beginning, from its Ethernet
	// header on.
	Length int    `json:"length"`
	Data   []byte `json:"data"`
	// Envelope is what it had in the tunnel, else nil.
	Envelope *Envelope `json:"envelope,omitempty"`
}

// Envelope is what a packet was wrapped in between two hosts: their tunnel addresses,
// and the network's number.
type Envelope struct {
	Src netip.Addr `json:"src"`
	Dst netip.Addr `json:"dst"`
	VNI uint32     `json:"vni"`
}

// Page is what is told at once to who follows.
type Page struct {
	// Gone says that the agent knows nothing of the session, or no more.
	Gone bool `json:"gone,omitempty"`
	// Events are what happened, each as JSON: those behind After.
	Events []json.RawMessage `json:"events,omitempty"`
	// More says that more waits already.
	More bool `json:"more,omitempty"`
	// Lost is how many packets came too fast so far. FlowChanges tell themselves what
	// is missing before them.
	Lost uint64 `json:"lost,omitempty"`
	// Port is the UDP port of the host's tunnels.
	Port uint16 `json:"port,omitempty"`
	// Ended is why there will be no more events than these.
	Ended *overlay.Fault `json:"ended,omitempty"`
}

// Extent is how much of the packets on a host others may follow.
type Extent int

// Nothing, the headers up to those of TCP, UDP and ICMP, or contents as well.
const (
	NoCapture Extent = iota
	CaptureHeaders
	CaptureContents
)

// mostHeaders is how many bytes may be asked for where there are only headers.
const mostHeaders = 128

// check refuses what no asker asks.
func (q Follow) check() error {
	const bytes = 16
	if id, err := hex.DecodeString(q.Session); err != nil || len(id) != bytes {
		return overlay.Refuse(overlay.Invalid, "following", "run the same release of ovsnet on every host", "its session is no number of %d hexadecimal digits", 2*bytes)
	}
	if w := q.Begin; w != nil && (w.Flows == (w.Packets != nil) || q.After > 0) {
		return overlay.Refuse(overlay.Invalid, "following", "run the same release of ovsnet on every host", "it asks to begin with nothing, with two things at once, or with what was before")
	}
	return nil
}

// allow refuses what of packets may not be told to others.
func (x Extent) allow(node string, t Tapping) error {
	object := "packets on " + node
	switch {
	case x == NoCapture:
		return overlay.Refuse(overlay.Invalid, object, "run ovsnet capture on that host", "its agent shows none to other hosts (--remote-capture off)")
	case x == CaptureHeaders && t.Bytes > mostHeaders:
		return overlay.Refuse(overlay.Invalid, object, fmt.Sprintf("use --snap %d or less, leave it out, or run ovsnet capture on that host", mostHeaders),
			"its agent shows their headers to other hosts and no contents (--remote-capture headers)")
	}
	return nil
}
