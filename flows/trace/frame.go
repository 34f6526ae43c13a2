package trace

import (
	"fmt"

	"github.com/ovsnet/ovsnet/flows"
)

// maxFrame bounds what ParseFrame reads, in bytes; all fields of a packet take
// about 600.
const maxFrame = 1024

// Match returns what the packet has, as the match that takes this packet. What
// is zero is left out.
func (p Packet) Match() flows.Match {
	conditions := make([]flows.FieldMatch, 0, 16)
	for f := range flows.Field(flows.FieldCount) {
		if c := p.exact(f); c != (flows.FieldMatch{}) {
			conditions = append(conditions, c)
		}
	}
	return flows.NewMatch(conditions...)
}

// ParseFrame reads the headers of a packet as Match writes them: exact values of
// fields that travel with a packet (ovs-fields(7)). A port, a tunnel, metadata
// and registers, which end at a bridge, are errors, as is whatever Match would
// write in another way: the text may come from another host.
func ParseFrame(text string) (Packet, error) {
	if len(text) > maxFrame {
		return Packet{}, fmt.Errorf("a frame of %d bytes; at most %d are read", len(text), maxFrame)
	}
	read, err := flows.ParseLine("priority=0," + text + " actions=drop")
	if err != nil {
		return Packet{}, fmt.Errorf("frame %q: %w", text, err)
	}
	var p Packet
	for c := range read.Match.Fields() {
		if c.Mask != c.Field.Full() {
			return Packet{}, fmt.Errorf("frame %q: %s is no exact value", text, c)
		}
		p = p.With(c.Field, c.Value)
	}
	if p.Frame() != p {
		return Packet{}, fmt.Errorf("frame %q: it names more than headers", text)
	}
	if written := p.Match().String(); written != text {
		return Packet{}, fmt.Errorf("frame %q: it should be written %q", text, written)
	}
	return p, nil
}

// Leaving returns the packet that came in as it leaves, and by which of the
// bridge's ports; false where the datapath's port is none of the bridge's.
func (s OFSend) Leaving(p Packet, ports Datapath) (Send, bool) {
	for _, c := range s.Changes {
		p.set(c.Field, c.Value, c.Mask)
	}
	port, known := ports[s.Port]
	if s.Controller {
		port, known = flows.PortController, true
	}
	return Send{Port: port, Packet: p, Tunnel: s.Tunnel}, known
}
