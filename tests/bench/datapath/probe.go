package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// lostAfter is how long an acknowledgement may take before its packets count as lost.
const lostAfter = 200 * time.Millisecond

// probed is what a probe found; what it did not look for is 0.
type probed struct {
	// PerSecond are packets that arrived, or connections.
	PerSecond float64
	// Lost is how many packets did not arrive.
	Lost int
	// P50 and P99 are round trips in microseconds.
	P50, P99 float64
}

// probe runs "KIND ADDRESS DURATION [SIZE]" in this network namespace and prints what it found as JSON.
func probe(args []string, out io.Writer) error {
	if len(args) < 3 {
		return errors.New("probe KIND ADDRESS DURATION [SIZE]")
	}
	addr, err := netip.ParseAddr(args[1])
	if err != nil {
		return err
	}
	duration, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	to := func(port int) *unix.SockaddrInet4 { return &unix.SockaddrInet4{Addr: addr.As4(), Port: port} }
	var found probed
	switch kind := args[0]; {
	case kind == "rr":
		found, err = roundTrips(to(echoPort), duration)
	case kind == "connect":
		found, err = connections(to(connectPort), duration)
	case kind == "udp" && len(args) == 4:
		var size int
		if size, err = strconv.Atoi(args[3]); err == nil {
			found, err = packets(to(sinkPort), duration, size)
		}
	default:
		err = errors.New("the kinds are rr, connect and udp")
	}
	if err != nil {
		return fmt.Errorf("probe %s: %w", args[0], err)
	}
	return json.NewEncoder(out).Encode(found)
}

func dial(kind int, to *unix.SockaddrInet4) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, kind, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Connect(fd, to); err != nil {
		unix.Close(fd)
		return 0, fmt.Errorf("connect to %v port %d: %w", netip.AddrFrom4(to.Addr), to.Port, err)
	}
	return fd, nil
}

// exchange sends one byte and waits for it to come back.
func exchange(fd int) error {
	b := [1]byte{1}
	if _, err := unix.Write(fd, b[:]); err != nil {
		return err
	}
	n, err := uninterrupted(func() (int, error) { return unix.Read(fd, b[:]) })
	if err == nil && n == 0 {
		err = errors.New("the server closed")
	}
	return err
}

func roundTrips(to *unix.SockaddrInet4, duration time.Duration) (probed, error) {
	fd, err := dial(unix.SOCK_STREAM, to)
	if err != nil {
		return probed{}, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return probed{}, err
	}
	var took []time.Duration
	for began, last := time.Now(), time.Now(); last.Sub(began) < duration; {
		if err := exchange(fd); err != nil {
			return probed{}, err
		}
		now := time.Now()
		took = append(took, now.Sub(last))
		last = now
	}
	slices.Sort(took)
	us := func(share float64) float64 {
		return float64(took[int(float64(len(took)-1)*share)].Nanoseconds()) / 1e3
	}
	return probed{P50: us(0.5), P99: us(0.99)}, nil
}

func connections(to *unix.SockaddrInet4, duration time.Duration) (probed, error) {
	began, n := time.Now(), 0
	for ; time.Since(began) < duration; n++ {
		fd, err := dial(unix.SOCK_STREAM, to)
		if err != nil {
			return probed{}, err
		}
		err = exchange(fd)
		if err == nil {
			// The server's closing is part of it.
			_, err = uninterrupted(func() (int, error) { return unix.Read(fd, make([]byte, 1)) })
		}
		unix.Close(fd)
		if err != nil {
			return probed{}, err
		}
	}
	return probed{PerSecond: float64(n) / time.Since(began).Seconds()}, nil
}

func packets(to *unix.SockaddrInet4, duration time.Duration, size int) (probed, error) {
	fd, err := dial(unix.SOCK_DGRAM, to)
	if err != nil {
		return probed{}, err
	}
	defer unix.Close(fd)
	patience := unix.NsecToTimeval(lostAfter.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return probed{}, err
	}
	if _, err := unix.Write(fd, make([]byte, 1)); err != nil {
		return probed{}, err
	}
	if arrived, err := acknowledged(fd); err != nil || arrived == 0 {
		return probed{}, errors.Join(errors.New("the sink does not answer"), err)
	}
	packet := make([]byte, size)
	began := time.Now()
	arrived, gone := 0, 0
	for sent := 0; ; {
		over := time.Since(began) >= duration
		for i := 0; i < window/2 && !over; i++ {
			if _, err := unix.Write(fd, packet); err != nil {
				return probed{}, err
			}
			sent++
		}
		waiting := sent - arrived - gone
		if over && waiting <= 0 {
			break
		}
		if !over && waiting < window {
			continue
		}
		n, err := acknowledged(fd)
		if err != nil {
			return probed{}, err
		}
		arrived += n
		if n == 0 {
			gone = sent - arrived
		}
	}
	return probed{PerSecond: float64(arrived) / time.Since(began).Seconds(), Lost: gone}, nil
}

// acknowledged waits for one acknowledgement and gives the number of packets that it speaks for, 0 if none came.
func acknowledged(fd int) (int, error) {
	_, err := uninterrupted(func() (int, error) { return unix.Read(fd, make([]byte, 1)) })
	if errors.Is(err, unix.EAGAIN) {
		return 0, nil
	}
	return window / 2, err
}
