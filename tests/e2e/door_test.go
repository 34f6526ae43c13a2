package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// door carries TCP connections from where it listens to an address that it dials, each perhaps in the network
// namespace of a host. It can lose answers: the connection ends when the other side has answered, and the answer with
// it, so that whoever asked cannot know whether what it asked for was done.
type door struct {
	net.Listener
	dial func(context.Context) (net.Conn, error)
	// loses is asked for each piece of an answer.
	loses func() bool
	lost  atomic.Int64
}

// openDoor opens a door until the test ends, from a port of 127.0.0.1 on the host at, or where the test runs when at is
// nil, to the address as it is reached on the host to.
func openDoor(t *testing.T, at, to *lab.Host, address string, loses func() bool) *door {
	t.Helper()
	d := &door{loses: loses}
	d.dial = func(ctx context.Context) (conn net.Conn, err error) {
		err = onHost(to, func() error {
			var dialer net.Dialer
			conn, err = dialer.DialContext(ctx, "tcp", address)
			return err
		})
		return conn, err
	}
	err := onHost(at, func() (err error) {
		var config net.ListenConfig
		d.Listener, err = config.Listen(t.Context(), "tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	go d.serve(t.Context())
	return d
}

// url is where the door is, as etcd's clients want it.
func (d *door) url() string { return "https://" + d.Addr().String() }

func (d *door) serve(ctx context.Context) {
	for {
		conn, err := d.Accept()
		if err != nil {
			return
		}
		go d.carry(ctx, conn)
	}
}

// carry serves one connection until either side ends it, or an answer is lost.
func (d *door) carry(ctx context.Context, client net.Conn) {
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	server, err := d.dial(ctx)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, client)
	}()
	answer := make([]byte, 64<<10)
	for {
		n, err := server.Read(answer)
		if n > 0 && d.loses != nil && d.loses() {
			d.lost.Add(1)
			return
		}
		if _, writeErr := client.Write(answer[:n]); errors.Join(err, writeErr) != nil {
			return
		}
	}
}

// onHost calls do on a thread in the network namespace of the host, or in the test's own for nil. The sockets that it
// makes stay there.
func onHost(h *lab.Host, do func() error) error {
	if h == nil {
		return do()
	}
	path, err := h.NetNS()
	if err != nil {
		return err
	}
	return inNamespace(path, do)
}

// inNamespace is onHost for any network namespace.
func inNamespace(path string, do func() error) error {
	space, err := netns.GetFromPath(path)
	if err != nil {
		return err
	}
	defer space.Close()
	done := make(chan error)
	go func() {
		// A thread that is never unlocked ends with its goroutine, so no other ever runs in that namespace.
		runtime.LockOSThread()
		err := netns.Set(space)
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}
