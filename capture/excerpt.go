package capture

import (
	"encoding/binary"
	"fmt"

	"github.com/ovsnet/ovsnet/overlay"
)

const (
	// MaxHeaders is how many bytes of headers an Excerpt has at most.
	MaxHeaders = 128
	// MaxExcerpt is how many bytes of a packet an Excerpt has at most.
	MaxExcerpt = 1500
	// seeing is what it costs to take a packet from the kernel, workBytes how many bytes
	// of one cost 1 to copy and compare, and stepping what an instruction of a filter
	// costs at most: all in some ten nanoseconds.
	seeing    = 800
	workBytes = 8
	stepping  = 2
)

// Excerpt is what of each packet somebody gets who is not to have all of it, and who
// may have made the filter to learn more than that. The filter is run in this
// process, bounded by its length as it jumps forward only; it never sees what its
// maker does not get.
type Excerpt struct {
	keeps func(data []byte) bool
	cost  int
	// most is how many bytes there are of a packet, contents whether of what is behind
	// its headers, too.
	most     int
	contents bool
}

// NewExcerpt returns an Excerpt of the packets that meet the filter: the first bytes,
// up to MaxExcerpt, or where that is 0 or there are to be no contents what is headers
// of them. A filter that is not one, or that only the kernel can run, is refused
// (Invalid).
func NewExcerpt(filter Filter, bytes int, contents bool) (Excerpt, error) {
	e := Excerpt{cost: stepping * len(filter), most: bytes, contents: contents && bytes > 0}
	if bytes < 0 || bytes > MaxExcerpt {
		return e, overlay.Refuse(overlay.Invalid, fmt.Sprintf("the first %d bytes of packets", bytes), fmt.Sprintf("ask for 1 to %d", MaxExcerpt), "that is more than goes to other hosts")
	}
	if bytes == 0 {
		e.most = MaxHeaders
	}
	err := fmt.Errorf("it has %d instructions", len(filter))
	if len(filter) <= maxProgram {
		e.keeps, err = filter.judge()
	}
	if err != nil {
		refusal := overlay.Refuse(overlay.Invalid, "filter", "leave out what is not in the packet itself, such as inbound or ifindex, or capture on that host", "it cannot be run for another host")
		refusal.Err = err
		return e, refusal
	}
	return e, nil
}

// Cost is how much work the filter may be for one packet, in some ten nanoseconds.
func (e Excerpt) Cost() int { return e.cost }

// CostOf is how much work it is to take a packet of so many bytes from the kernel, and
// to know it when it passes another link, in some ten nanoseconds.
func CostOf(bytes int) int { return seeing + bytes/workBytes }

// Of returns the packet with what the Excerpt has of it, and whether it meets the
// filter. What is behind the headers is overwritten with zeros in p's Data where
// there are to be no contents, so that a filter learns nothing of it.
func (e Excerpt) Of(p Packet) (Packet, bool) {
	end := len(p.Data)
	if !e.contents {
		end = headers(p.Data)
		clear(p.Data[end:])
	}
	if !e.keeps(p.Data) {
		return Packet{}, false
	}
	p.Data = p.Data[:min(end, e.most)]
	return p, true
}

// headers is how many bytes of a packet are headers, from that of Ethernet to that of
// TCP, UDP or ICMP, as far as describe reads them. What is not known is no header.
func headers(data []byte) int {
	at := ethernetSize
	if len(data) < at {
		return len(data)
	}
	kind := binary.BigEndian.Uint16(data[at-2:])
	if kind == etherVLAN && len(data) >= at+wordSize {
		at += wordSize
		kind = binary.BigEndian.Uint16(data[at-2:])
	}
	switch kind {
	case etherARP:
		at += arpSize
	case etherIPv4, etherIPv6:
		at += ipHeaders(data[at:])
	}
	return min(at, len(data))
}

// ipHeaders is how many bytes the header of an IP packet and that behind it have; it
// may be more than there are.
func ipHeaders(data []byte) int {
	src, _, proto, rest := ipHeader(data)
	switch {
	case !src.IsValid() && len(data) > 0 && data[0]>>versionShift != 4 && data[0]>>versionShift != 6:
		return 0 // it is no IP, whatever Ethernet says
	case !src.IsValid():
		return len(data) // not even one header
	case rest == nil:
		return max(int(data[0]&0x0f)*wordSize, ipv4Size) // of IPv6 there always is a rest
	}
	at := len(data) - len(rest)
	switch {
	case proto == protoTCP && len(rest) >= tcpSize:
		const offsetAt = 12
		return at + max(int(rest[offsetAt]>>4)*wordSize, tcpSize)
	case proto == protoTCP:
		return at + tcpSize
	case proto == protoUDP:
		return at + udpSize
	case proto == protoICMPv6 && len(rest) >= neighborSize && (rest[0] == neighborAsks || rest[0] == neighborAnswers):
		return at + neighborSize
	case proto == protoICMP, proto == protoICMPv6:
		return at + icmpSize
	}
	return at
}
