package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen gives an address on loopback where the service answers.
func listen(t *testing.T, kind int, run func(fd int) error) *unix.SockaddrInet4 {
	t.Helper()
	fd, err := open(kind, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The service waits in a system call that nothing ends but the end of the program.
	go func() { _ = run(fd) }()
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: name.(*unix.SockaddrInet4).Port}
}

const shortly = 20 * time.Millisecond

func TestRoundTrips(t *testing.T) {
	found, err := roundTrips(listen(t, unix.SOCK_STREAM, func(fd int) error { return accept(fd, echo) }), shortly)
	if err != nil || found.P50 <= 0 || found.P99 < found.P50 || found.P99 > float64(shortly.Microseconds()*10) {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestConnections(t *testing.T) {
	found, err := connections(listen(t, unix.SOCK_STREAM, func(fd int) error { return accept(fd, answer) }), shortly)
	if err != nil || found.PerSecond <= 0 {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestPacketsAreAcknowledged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the large buffer needs root")
	}
	found, err := packets(listen(t, unix.SOCK_DGRAM, sink), shortly, 64)
	if err != nil || found.PerSecond <= 0 || found.Lost != 0 {
		t.Errorf("got %+v, %v", found, err)
	}
}

// A sink that acknowledges only the beginning stands for a way on which packets get lost.
func TestLostPacketsAreCounted(t *testing.T) {
	deaf := func(fd int) error {
		var b [2048]byte
		_, from, err := unix.Recvfrom(fd, b[:], 0)
		if err == nil {
			err = unix.Sendto(fd, b[:1], 0, from)
		}
		return err
	}
	if os.Geteuid() != 0 {
		t.Skip("the large buffer needs root")
	}
	found, err := packets(listen(t, unix.SOCK_DGRAM, deaf), shortly, 64)
	if err != nil || found.PerSecond != 0 || found.Lost != window {
		t.Errorf("got %+v, %v; want %d lost", found, err, window)
	}
}

func TestProbeSaysWhatIsWrong(t *testing.T) {
	for _, args := range []string{"", "rr there 1s", "rr 127.0.0.1 soon", "other 127.0.0.1 1s", "udp 127.0.0.1 1s", "udp 127.0.0.1 1s many", "connect 127.0.0.1 1s"} {
		if err := probe(strings.Fields(args), &strings.Builder{}); err == nil {
			t.Errorf("probe %s is no error", args)
		}
	}
}
