package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/overlay"
)

const (
	// MaxLength is how much of a packet is kept at most, in bytes: all of the
	// largest that segmentation offload makes.
	MaxLength = 1 << 18
	// bufferSize is how much waits in the kernel for a Socket, in bytes.
	bufferSize = 16 << 20
	// vlanTagSize is that of IEEE 802.1Q.
	vlanTagSize = 4
)

// Socket gets a copy of the packets that pass. It is used by one goroutine; Dropped may
// be called from another.
type Socket struct {
	file *os.File
	link string
	data []byte
	oob  []byte
	// keeps is the filter for what the kernel's has not seen whole; nil where packets
	// are without their Ethernet header, and so without a tag.
	keeps func([]byte) bool
	// pace is asked before anything is done with a packet; nil takes them as they come.
	pace func(ctx context.Context, bytes int) error
	// down says that the link went down: what is left are packets from before.
	down bool
}

// ListenLink opens a Socket for what passes the link of that name and meets the
// filter, nil for everything. A link that is not there is refused (Missing), as is
// a process without the right to see packets (Unavailable).
func ListenLink(link string, filter Filter) (*Socket, error) {
	found, err := net.InterfaceByName(link)
	if err != nil {
		refusal := overlay.Refuse(overlay.Missing, "link "+link, "see ovsnet status", "it is not on this host")
		refusal.Err = err
		return nil, refusal
	}
	keeps, beyond := filter.judge()
	if beyond != nil {
		// Only the kernel can run it, and it decides about packets without their tag.
		keeps = func([]byte) bool { return true }
	} else if filter, err = filter.untagged(); err != nil {
		return nil, err
	}
	s, err := listen(link, found.Index, unix.SOCK_RAW, filter)
	if err != nil {
		return nil, err
	}
	s.keeps = keeps
	return s, nil
}

// listenAll opens a Socket for what passes any link, from the IP header on.
func listenAll(filter Filter) (*Socket, error) {
	return listen("all links", 0, unix.SOCK_DGRAM, filter)
}

// listen binds a socket last of all: until then it gets nothing.
func listen(name string, index, kind int, filter Filter) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, denied(name, err)
	}
	s := &Socket{file: os.NewFile(uintptr(fd), "packets of "+name), link: name, data: make([]byte, MaxLength), oob: make([]byte, 256)}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
		attach(fd, filter),
	)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index})
	}
	if err != nil {
		return nil, errors.Join(denied(name, err), s.file.Close())
	}
	return s, nil
}

// denied says what keeps a Socket from being opened.
func denied(name string, err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("listen to %s: %w", name, err)
	}
	refusal := overlay.Refuse(overlay.Unavailable, "packets of "+name, "run it as root, or give it CAP_NET_ADMIN, CAP_NET_RAW and AF_PACKET", "this process may not see them")
	refusal.Err = err
	return refusal
}

// Hold bounds how much waits in the kernel for the Socket, in bytes of its memory; what
// comes beyond that is lost, and costs next to nothing.
func (s *Socket) Hold(bytes int) error {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("bound what waits of %s: %w", s.link, err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("bound what waits of %s: %w", s.link, err)
	}
	return nil
}

// Pace has the Socket ask before it does anything with a packet of so many bytes that
// it took, whether that will be returned or not; an error of ask's is Next's. It is
// called before Next.
func (s *Socket) Pace(ask func(ctx context.Context, bytes int) error) { s.pace = ask }

// attach gives the kernel the filter.
func attach(fd int, filter Filter) error {
	if len(filter) == 0 {
		return nil
	}
	program := make([]unix.SockFilter, len(filter))
	for i, in := range filter {
		program[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}); err != nil {
		return fmt.Errorf("set the filter: %w", err)
	}
	return nil
}

// networkOrder is the number as it is on the wire.
func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// Next returns the next packet, whose Data stands until the next call, or ctx's
// error when that ends.
func (s *Socket) Next(ctx context.Context) (Packet, error) {
	for {
		p, err := s.next(ctx)
		if err == nil && s.pace != nil {
			err = s.pace(ctx, len(p.Data))
		}
		if err != nil || !p.tagged || s.keeps(p.Data) {
			return p, err
		}
	}
}

// next returns the next packet that the kernel's filter took.
func (s *Socket) next(ctx context.Context) (Packet, error) {
	if err := s.file.SetReadDeadline(time.Time{}); err != nil {
		return Packet{}, fmt.Errorf("listen to %s: %w", s.link, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := s.file.SyscallConn()
	if err != nil {
		return Packet{}, fmt.Errorf("listen to %s: %w", s.link, err)
	}
	var p Packet
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		p, failed = s.take(int(fd))
		return !errors.Is(failed, unix.EAGAIN) && !errors.Is(failed, unix.EINTR)
	})
	switch err = errors.Join(err, failed); {
	case ctx.Err() != nil:
		return Packet{}, ctx.Err()
	case errors.Is(failed, unix.ENETDOWN):
		return Packet{}, overlay.Refuse(overlay.Missing, "link "+s.link, "start the container again", "it went down, as when its container stops")
	case err != nil:
		return Packet{}, fmt.Errorf("listen to %s: %w", s.link, err)
	}
	return p, nil
}

// take receives one packet, if one is there.
func (s *Socket) take(fd int) (Packet, error) {
	n, oobn, _, from, err := unix.Recvmsg(fd, s.data[vlanTagSize:], s.oob, unix.MSG_TRUNC)
	if errors.Is(err, unix.ENETDOWN) {
		// The kernel tells that before it gives what passed until then.
		s.down = true
		n, oobn, _, from, err = unix.Recvmsg(fd, s.data[vlanTagSize:], s.oob, unix.MSG_TRUNC)
	}
	if s.down && errors.Is(err, unix.EAGAIN) {
		err = unix.ENETDOWN
	}
	if err != nil {
		return Packet{}, err
	}
	p := Packet{At: time.Now(), Length: n, Data: s.data[vlanTagSize:][:min(n, MaxLength-vlanTagSize)]}
	if link, known := from.(*unix.SockaddrLinklayer); known {
		p.Out, p.link = link.Pkttype == unix.PACKET_OUTGOING, link.Ifindex
	}
	messages, err := unix.ParseSocketControlMessage(s.oob[:oobn])
	if err != nil {
		return Packet{}, err
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16:
			p.At = time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 20:
			p = s.tagged(p, m.Data)
		}
	}
	return p, nil
}

// tagged puts a VLAN tag back that the kernel has beside the packet (struct
// tpacket_auxdata of linux/if_packet.h).
func (s *Socket) tagged(p Packet, aux []byte) Packet {
	const macs = 12
	status, tci, kind := binary.NativeEndian.Uint32(aux), binary.NativeEndian.Uint16(aux[16:]), binary.NativeEndian.Uint16(aux[18:])
	if status&unix.TP_STATUS_VLAN_VALID == 0 || s.keeps == nil || len(p.Data) < macs {
		return p
	}
	if status&unix.TP_STATUS_VLAN_TPID_VALID == 0 {
		kind = unix.ETH_P_8021Q
	}
	copy(s.data, p.Data[:macs])
	binary.BigEndian.PutUint16(s.data[macs:], kind)
	binary.BigEndian.PutUint16(s.data[macs+2:], tci)
	p.Data, p.Length, p.tagged = s.data[:len(p.Data)+vlanTagSize], p.Length+vlanTagSize, true
	return p
}

// Dropped returns how many packets were lost since the last call because they were
// not taken fast enough.
func (s *Socket) Dropped() (uint64, error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("count what was lost: %w", err)
	}
	var stats *unix.TpacketStats
	var failed error
	err = raw.Control(func(fd uintptr) {
		stats, failed = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS)
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("count what was lost: %w", err)
	}
	return uint64(stats.Drops), nil
}

// Close ends the capture.
func (s *Socket) Close() error { return s.file.Close() }

// Filter is a program that decides which packets are captured (bpf(4)); an empty one
// takes all.
type Filter []bpf.RawInstruction
