package journey

import (
	"encoding/hex"
	"fmt"

	"github.com/ovsnet/ovsnet/overlay"
)

// Probe is a packet that is really sent. It says no more than which: its bytes
// follow from the records, so that whoever may ask for one has no way to send
// anything else.
type Probe struct {
	// From and To are two endpoints of one network.
	From EndpointName `json:"from"`
	To   EndpointName `json:"to"`
	// Proto, SPort, DPort and IPv6 are as in Wish.
	Proto string `json:"proto,omitempty"`
	SPort uint16 `json:"sport,omitempty"`
	DPort uint16 `json:"dport,omitempty"`
	IPv6  bool   `json:"ipv6,omitempty"`
	// Token tells the packet from every other: TokenSize bytes in hex.
	Token string `json:"token"`
}

// TokenSize is that of a Token, in bytes. A probe ends with it.
const TokenSize = 8

// probeText is what a probe carries, so that whoever sees one knows what it is. Of
// some protocols there is room for its beginning only.
const (
	probeText    = "ovsnet flows trace --live "
	arpTextSize  = 10
	ndTextSize   = 6
	probeRemedy  = "leave out --live, and nothing is sent"
	probeSubject = "probe"
)

// NewProbe is the probe that a wish asks for. One that says that it is from somebody
// else, or crosses networks, is refused.
func NewProbe(from, to overlay.Endpoint, w Wish, token [TokenSize]byte) (Probe, error) {
	switch {
	case w.DstMAC != (overlay.MAC{}):
		return Probe{}, overlay.Refuse(overlay.Invalid, "--live", probeRemedy, "a packet is sent to endpoints only")
	case w.SrcMAC != (overlay.MAC{}) || w.SrcAddr.IsValid():
		return Probe{}, overlay.Refuse(overlay.Invalid, "--live", probeRemedy, "no packet is sent in another's name")
	case from.Network != to.Network:
		return Probe{}, overlay.Refuse(overlay.Invalid, "--live", probeRemedy, "%s and %s are in different networks, and probes stay in one", from.Label(), to.Label())
	case from.ID == to.ID:
		return Probe{}, overlay.Refuse(overlay.Invalid, "--live", "name two endpoints", "nobody sends packets to himself")
	}
	return Probe{
		From: EndpointName{from.Network, from.ID}, To: EndpointName{to.Network, to.ID},
		Proto: w.Proto, SPort: w.SPort, DPort: w.DPort, IPv6: w.IPv6, Token: hex.EncodeToString(token[:]),
	}, nil
}

// Wish is the packet that the probe is.
func (p Probe) Wish() Wish {
	return Wish{Proto: p.Proto, SPort: p.SPort, DPort: p.DPort, IPv6: p.IPv6}
}

// ends are the probe's endpoints of record.
func (p Probe) ends(s *overlay.Snapshot) (from, to overlay.Endpoint, err error) {
	if p.From.Network != p.To.Network || p.From.Endpoint == p.To.Endpoint {
		return from, to, overlay.Refuse(overlay.Invalid, probeSubject, "run the same release of ovsnet on every host", "it leads from one endpoint to another of its network")
	}
	from, known := s.Endpoint(p.From.Network, p.From.Endpoint)
	to, knownToo := s.Endpoint(p.To.Network, p.To.Endpoint)
	if !known || !knownToo {
		return from, to, overlay.Refuse(overlay.Missing, probeSubject, "try again", "the host does not know both endpoints yet")
	}
	return from, to, nil
}

// token is the probe's token as bytes.
func (p Probe) token() (token [TokenSize]byte, err error) {
	raw, err := hex.DecodeString(p.Token)
	if err != nil || len(raw) != TokenSize {
		return token, overlay.Refuse(overlay.Invalid, probeSubject, "run the same release of ovsnet on every host", "its token is not %d bytes in hex", TokenSize)
	}
	return [TokenSize]byte(raw), nil
}

// Sendable is a probe with what the records say of it.
type Sendable struct {
	From, To overlay.Endpoint
	Token    [TokenSize]byte
	// Frame is the packet from its Ethernet header on; it ends with Token, and so
	// does an answer, at the same place.
	Frame []byte
	// Answers says that an answer comes back to the sender: from the switch, or from
	// the receiver's kernel.
	Answers bool
}

// Sendable makes the probe's packet of the cluster's records.
func (p Probe) Sendable(s *overlay.Snapshot) (Sendable, error) {
	from, to, err := p.ends(s)
	if err != nil {
		return Sendable{}, err
	}
	token, err := p.token()
	if err != nil {
		return Sendable{}, err
	}
	packets, err := Packets(from, to, p.Wish())
	if err != nil {
		return Sendable{}, err
	}
	text := probeText
	switch p.Proto {
	case "arp":
		text = text[:arpTextSize]
	case "nd":
		text = text[:ndTextSize]
	}
	frame, err := packets[len(packets)-1].Frame.Bytes(append([]byte(text), token[:]...))
	if err != nil {
		return Sendable{}, fmt.Errorf("write the probe: %w", err)
	}
	icmp := p.Proto == "icmp" || p.Proto == "" && p.DPort == 0
	return Sendable{From: from, To: to, Token: token, Frame: frame, Answers: icmp || p.Proto == "arp"}, nil
}
