package tunnel

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxPeers is how many peers one Echo measures: answers are told apart by a
	// number of 16 bits.
	MaxPeers = 1 << 16 / echoCount
	// echoCount is how many requests each peer gets: loss is told in steps of a
	// fifth.
	echoCount = 5
	// echoPause is between two rounds of requests, echoPatience how long the last
	// round is waited for.
	echoPause    = 100 * time.Millisecond
	echoPatience = time.Second
	// echoRoom is what the kernel counts for one request that waits, in bytes.
	echoRoom = 1 << 10
)

// socket is one that echo requests are sent by.
type socket interface {
	net.PacketConn
	syscall.Conn
	SetWriteBuffer(bytes int) error
}

// Echoes is what came back of the requests to one peer.
type Echoes struct {
	// Sent are the requests that left this host, and RTTs how long each answer took
	// that came, in the order of the requests.
	Sent int
	RTTs []time.Duration
	// Err is why a request could not leave; nil where all did.
	Err error
}

// Echo measures the underlay's way from one of this host's addresses to those of
// its peers, which are of the same family: ICMP echo (RFC 792, RFC 4443), five
// requests to each within half a second, and a second for the answers. It says
// nothing of the tunnel's UDP port. The answer has one element for each peer; the
// error is for when nothing can be sent at all.
//
// The kernel lets a process without capabilities send echo requests where
// net.ipv4.ping_group_range has its group, which systemd sets so; elsewhere it
// needs CAP_NET_RAW.
func Echo(ctx context.Context, from netip.Addr, peers []netip.Addr) ([]Echoes, error) {
	if len(peers) == 0 || len(peers) > MaxPeers {
		return nil, fmt.Errorf("measure the ways from %s: %d peers, not 1 to %d", from, len(peers), MaxPeers)
	}
	conn, err := openEcho(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("send ICMP echo requests from %s: %w; allow the agent's group in the sysctl net.ipv4.ping_group_range, or give it CAP_NET_RAW", from, err)
	}
	e := &echoing{
		conn: conn, v6: from.Is6(), peers: peers, errs: make([]error, len(peers)),
		sent: map[uint16]time.Time{}, took: map[uint16]time.Duration{}, complete: make(chan struct{}),
	}
	// As much as the kernel lets have; what has no room is told as not sent.
	_ = conn.SetWriteBuffer(echoCount * len(peers) * echoRoom)
	_, err = rand.Read(e.nonce[:])
	if err == nil {
		err = e.run(ctx)
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return nil, fmt.Errorf("measure the ways from %s: %w", from, err)
	}
	return e.result(), nil
}

// openEcho opens a socket for echo requests from the address. The kernel's own
// kind needs no capability, but is not allowed everywhere.
func openEcho(ctx context.Context, from netip.Addr) (socket, error) {
	conn, err := openUnprivileged(from)
	if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
		return conn, err
	}
	network := "ip4:icmp"
	if from.Is6() {
		network = "ip6:ipv6-icmp"
	}
	raw, err := new(net.ListenConfig).ListenPacket(ctx, network, from.String())
	if err != nil {
		return nil, err
	}
	return raw.(*net.IPConn), nil
}

func openUnprivileged(from netip.Addr) (socket, error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	var address unix.Sockaddr = &unix.SockaddrInet4{}
	if from.Is6() {
		family, protocol, address = unix.AF_INET6, unix.IPPROTO_ICMPV6, &unix.SockaddrInet6{Addr: from.As16()}
	} else {
		address = &unix.SockaddrInet4{Addr: from.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "echo")
	defer func() { _ = file.Close() }()
	if err := unix.Bind(fd, address); err != nil {
		return nil, err
	}
	conn, err := net.FilePacketConn(file)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// echoing is one measurement. A request's number tells its round and its peer.
type echoing struct {
	conn  socket
	v6    bool
	peers []netip.Addr
	// nonce is in each request, so that no answer can be made up by who has not
	// seen one.
	nonce [16]byte
	errs  []error

	mu   sync.Mutex
	sent map[uint16]time.Time
	took map[uint16]time.Duration
	// complete closes when all answers are there that there can be.
	complete chan struct{}
}

// run sends the rounds while another goroutine receives: an answer that waits
// while requests are sent would seem late.
func (e *echoing) run(ctx context.Context) error {
	received := make(chan error, 1)
	go func() { received <- e.receive() }()
	err := e.rounds(ctx)
	if stop := e.conn.SetReadDeadline(time.Now()); stop != nil {
		return errors.Join(err, stop)
	}
	return errors.Join(err, <-received)
}

func (e *echoing) rounds(ctx context.Context) error {
	for round := range echoCount {
		for peer := range e.peers {
			e.send(round, peer)
		}
		pause := time.NewTimer(echoPause)
		if round == echoCount-1 {
			pause.Reset(echoPatience)
		}
		select {
		case <-pause.C:
		case <-e.complete:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (e *echoing) send(round, peer int) {
	number := uint16(round*len(e.peers) + peer)
	e.mu.Lock()
	e.sent[number] = time.Now()
	e.mu.Unlock()
	if err := e.write(echoRequest(e.v6, number, e.nonce), e.peers[peer]); err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.sent, number)
		e.errs[peer] = err
	}
}

// write sends a packet, or fails at once: requests to hosts that are gone fill the
// socket for seconds, and who waited for room would hold up the rest.
func (e *echoing) write(packet []byte, peer netip.Addr) error {
	var to unix.Sockaddr
	if e.v6 {
		to = &unix.SockaddrInet6{Addr: peer.As16()}
	} else {
		to = &unix.SockaddrInet4{Addr: peer.As4()}
	}
	raw, err := e.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), packet, unix.MSG_DONTWAIT, to)
		return true
	})
	return errors.Join(err, sent)
}

// receive takes in answers until the time to read ends.
func (e *echoing) receive() error {
	buffer := make([]byte, 256)
	for {
		n, from, err := e.conn.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		e.take(buffer[:n], from, time.Now())
	}
}

// take notes an answer if it is one to a request of ours, from whom it was sent to.
func (e *echoing) take(packet []byte, from net.Addr, at time.Time) {
	number, nonce, ok := echoReply(e.v6, packet)
	e.mu.Lock()
	defer e.mu.Unlock()
	sent, asked := e.sent[number]
	if !ok || !asked || nonce != e.nonce || addrOf(from) != e.peers[int(number)%len(e.peers)] {
		return
	}
	if _, twice := e.took[number]; twice {
		return
	}
	e.took[number] = at.Sub(sent)
	if len(e.took) == echoCount*len(e.peers) {
		close(e.complete)
	}
}

func addrOf(a net.Addr) netip.Addr {
	var ip net.IP
	switch x := a.(type) {
	case *net.IPAddr:
		ip = x.IP
	case *net.UDPAddr:
		ip = x.IP
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

func (e *echoing) result() []Echoes {
	list := make([]Echoes, len(e.peers))
	for i := range e.peers {
		list[i].Err = e.errs[i]
		for round := range echoCount {
			number := uint16(round*len(e.peers) + i)
			if _, left := e.sent[number]; left {
				list[i].Sent++
			}
			if took, came := e.took[number]; came {
				list[i].RTTs = append(list[i].RTTs, took)
			}
		}
	}
	return list
}

// The types of ICMP messages (RFC 792, RFC 4443).
const (
	echo4Request, echo4Reply = 8, 0
	echo6Request, echo6Reply = 128, 129
)

// echoRequest is an ICMP echo request. The kernel writes the identifier where the
// socket is unprivileged, and ICMPv6's checksum always.
func echoRequest(v6 bool, number uint16, nonce [16]byte) []byte {
	packet := make([]byte, 8, 24)
	packet[0] = echo4Request
	if v6 {
		packet[0] = echo6Request
	}
	binary.BigEndian.PutUint16(packet[4:], binary.BigEndian.Uint16(nonce[:]))
	binary.BigEndian.PutUint16(packet[6:], number)
	packet = append(packet, nonce[:]...)
	if !v6 {
		binary.BigEndian.PutUint16(packet[2:], checksum(packet))
	}
	return packet
}

// echoReply reads a request's number and nonce out of its answer.
func echoReply(v6 bool, packet []byte) (number uint16, nonce [16]byte, ok bool) {
	want := byte(echo4Reply)
	if v6 {
		want = echo6Reply
	}
	if len(packet) != 24 || packet[0] != want || packet[1] != 0 {
		return 0, nonce, false
	}
	copy(nonce[:], packet[8:])
	return binary.BigEndian.Uint16(packet[6:]), nonce, true
}

// checksum is that of the Internet (RFC 1071), of an even number of bytes.
func checksum(packet []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(packet); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(packet[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
