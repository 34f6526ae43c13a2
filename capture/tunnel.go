package capture

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/bpf"
)

// Envelope is what a packet was wrapped in between two hosts.
type Envelope struct {
	// Src and Dst are the hosts' tunnel addresses, VNI the network's number.
	Src, Dst netip.Addr
	VNI      uint32
}

// Tunnel captures what goes through the tunnel. It is used by one goroutine; Dropped
// may be called from another.
type Tunnel struct {
	socket *Socket
	port   uint16
	vteps  []netip.Addr
	keeps  func([]byte) bool
	passed *passed
}

// ListenTunnel begins to capture what is sent to the tunnel's UDP port by or to one
// of the host's tunnel addresses, or any where none is known, and meets, without
// its envelope, the filter. Errors are those of ListenLink.
func ListenTunnel(port uint16, vteps []netip.Addr, filter Filter) (*Tunnel, error) {
	keeps, err := filter.judge()
	if err != nil {
		return nil, err
	}
	outer, err := toPort(port)
	if err != nil {
		return nil, err
	}
	s, err := listenAll(outer)
	if err != nil {
		return nil, err
	}
	return &Tunnel{socket: s, port: port, vteps: vteps, keeps: keeps, passed: newPassed()}, nil
}

// Next returns the next packet, from its own Ethernet header on, and what it was
// wrapped in. Data stands until the next call.
func (t *Tunnel) Next(ctx context.Context) (Packet, Envelope, error) {
	for {
		p, err := t.socket.Next(ctx)
		if err != nil {
			return Packet{}, Envelope{}, err
		}
		envelope, inner, wrapped := unwrap(p.Data, t.port)
		if !wrapped || !t.concerns(envelope) || t.passed.already(p) || !t.keeps(inner) {
			continue
		}
		p.Length -= len(p.Data) - len(inner)
		p.Data = inner
		return p, envelope, nil
	}
}

// concerns reports whether the packet is this host's.
func (t *Tunnel) concerns(e Envelope) bool {
	return len(t.vteps) == 0 || slices.Contains(t.vteps, e.Src) || slices.Contains(t.vteps, e.Dst)
}

// Hold is as of Socket.
func (t *Tunnel) Hold(bytes int) error { return t.socket.Hold(bytes) }

// Pace is as of Socket, about packets in their envelope.
func (t *Tunnel) Pace(ask func(ctx context.Context, bytes int) error) { t.socket.Pace(ask) }

// Dropped is as of Socket.
func (t *Tunnel) Dropped() (uint64, error) { return t.socket.Dropped() }

// Close ends the capture.
func (t *Tunnel) Close() error { return t.socket.Close() }

// toPort is a program, for packets from their IP header on, that takes UDP to the
// port; of fragments only the first, which has the headers.
func toPort(port uint16) (Filter, error) {
	return assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: versionShift},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6, SkipTrue: 8},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 4, SkipTrue: 11},
		bpf.LoadAbsolute{Off: ipv4Proto, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoUDP, SkipTrue: 9},
		bpf.LoadAbsolute{Off: ipv4Fragment, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: fragmentMask, SkipTrue: 7},
		bpf.LoadMemShift{Off: 0},
		bpf.LoadIndirect{Off: 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(port), SkipTrue: 5, SkipFalse: 4},
		bpf.LoadAbsolute{Off: ipv6Proto, Size: 1}, // not IPv4
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoUDP, SkipTrue: 2},
		bpf.LoadAbsolute{Off: ipv6Size + 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(port), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: MaxLength},
	})
}

// unwrap takes a VXLAN packet to the port, from its IP header on, out of its
// envelope.
func unwrap(data []byte, port uint16) (e Envelope, inner []byte, wrapped bool) {
	var rest []byte
	var proto byte
	if e.Src, e.Dst, proto, rest = ipHeader(data); proto != protoUDP {
		return e, nil, false
	}
	if len(rest) < udpSize+vxlanSize+ethernetSize || binary.BigEndian.Uint16(rest[2:]) != port || rest[udpSize]&vxlanHasVNI == 0 {
		return e, nil, false
	}
	e.VNI = binary.BigEndian.Uint32(rest[udpSize+4:]) >> 8
	return e, rest[udpSize+vxlanSize:], true
}

// passed remembers on which link packets were seen first: on their way through the
// host some pass several.
type passed struct {
	seed  maphash.Seed
	first map[uint64]sighting
	// order is how the keys of first came, a ring of them.
	order [remembered]uint64
	next  int
}

type sighting struct {
	link int
	out  bool
	at   time.Time
}

const (
	// remembered is how many packets are, and passing how long one takes through the
	// host's links.
	remembered = 4096
	passing    = 100 * time.Millisecond
)

func newPassed() *passed { return &passed{seed: maphash.MakeSeed(), first: map[uint64]sighting{}} }

// already reports whether the packet was seen on another link. The same packet on
// the same link was sent twice.
func (s *passed) already(p Packet) bool {
	key := maphash.Bytes(s.seed, invariant(p.Data))
	before, known := s.first[key]
	if known && (before.link != p.link || before.out != p.Out) && p.At.Sub(before.at) < passing {
		return true
	}
	if !known {
		delete(s.first, s.order[s.next])
		s.order[s.next], s.next = key, (s.next+1)%remembered
	}
	s.first[key] = sighting{p.link, p.Out, p.At}
	return false
}

// invariant is what of a packet no link changes: all behind the IP header.
func invariant(data []byte) []byte {
	if _, _, _, rest := ipHeader(data); rest != nil {
		return rest
	}
	return data
}
