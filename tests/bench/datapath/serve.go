package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// The ports that the server listens on, beside iperf3's own.
const (
	iperfPort   = 5201
	echoPort    = 5301
	connectPort = 5302
	sinkPort    = 5303
)

const (
	// window is how many packets may be on the way: fewer than the kernel queues for one processor
	// (net.core.netdev_max_backlog, 1000), and, of large ones, than a packet socket holds by default, as Open vSwitch's
	// userspace datapath has them. Each half is acknowledged with one packet.
	window = 64
	// buffers holds a window of large packets, in bytes.
	buffers = 4 << 20
)

// serve answers probes in this network namespace until it is killed.
func serve() error {
	failed := make(chan error)
	for _, service := range []struct {
		kind, port int
		run        func(fd int) error
	}{
		{unix.SOCK_STREAM, echoPort, func(fd int) error { return accept(fd, echo) }},
		{unix.SOCK_STREAM, connectPort, func(fd int) error { return accept(fd, answer) }},
		{unix.SOCK_DGRAM, sinkPort, sink},
	} {
		fd, err := open(service.kind, service.port)
		if err != nil {
			return err
		}
		go func() { failed <- service.run(fd) }()
	}
	return <-failed
}

// accept handles the connections to a listening socket one after the other.
func accept(fd int, handle func(fd int) error) error {
	for {
		conn, err := uninterrupted(func() (int, error) {
			n, _, err := unix.Accept(fd)
			return n, err
		})
		if err != nil {
			return fmt.Errorf("accept a connection: %w", err)
		}
		// What is wrong with one connection its probe says.
		_ = handle(conn)
		unix.Close(conn)
	}
}

// echo sends back every byte until the other side closes.
func echo(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	for {
		if err := answer(fd); err != nil {
			return err
		}
	}
}

// answer sends one byte back. It is the server that closes first, so that the ports that wait are the server's one, and
// the probe's can be used again at once.
func answer(fd int) error {
	var b [1]byte
	n, err := uninterrupted(func() (int, error) { return unix.Read(fd, b[:]) })
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("closed")
	}
	_, err = unix.Write(fd, b[:])
	return err
}

// sink acknowledges each half window of UDP packets to whom they came from.
func sink(fd int) error {
	var b [2048]byte
	for received := 1; ; received++ {
		var from unix.Sockaddr
		n, err := uninterrupted(func() (n int, err error) {
			n, from, err = unix.Recvfrom(fd, b[:], 0)
			return n, err
		})
		if err != nil {
			return fmt.Errorf("receive packets: %w", err)
		}
		if n == 1 { // A new probe begins.
			received = 0
		}
		if received%(window/2) > 0 {
			continue
		}
		if err := unix.Sendto(fd, b[:1], 0, from); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
	}
}

// open makes a socket of SOCK_STREAM, which listens, or SOCK_DGRAM on a port of this namespace, 0 for any.
func open(kind, port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, kind, 0)
	if err != nil {
		return 0, fmt.Errorf("make a socket: %w", err)
	}
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, &unix.SockaddrInet4{Port: port}))
	if err == nil && kind == unix.SOCK_STREAM {
		err = unix.Listen(fd, 16)
	}
	if err == nil && kind == unix.SOCK_DGRAM {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffers)
	}
	if err != nil {
		unix.Close(fd)
		return 0, fmt.Errorf("open port %d: %w", port, err)
	}
	return fd, nil
}

// uninterrupted repeats a system call that a signal of Go's own scheduler interrupted.
func uninterrupted(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
