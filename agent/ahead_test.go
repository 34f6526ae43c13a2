package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// watched tells when it is closed.
type watched struct {
	net.Conn
	closed chan struct{}
}

// Close makes watched a net.Conn.
func (w watched) Close() error {
	defer func() {
		select {
		case w.closed <- struct{}{}:
		default:
		}
	}()
	return w.Conn.Close()
}

// Whoever reads in a pager gets all that the agent had to say, however late: neither the agent nor the question's
// deadline waits for the reader.
func TestASlowReaderGetsTheWholeAnswer(t *testing.T) {
	const differences = 5000
	client := serveControl(t, flood{told: &told{}, made: &atomic.Int64{}, ends: differences})
	closed := make(chan struct{}, 1)
	client.socket.http.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", client.socket.path)
		return watched{conn, closed}, err
	}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := client.Differences(ctx)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the agent waits for who reads its answer")
	}
	cancel()
	r, err := c.Report()
	if err != nil || len(r.Differences) != differences {
		t.Errorf("%d differences of %d, error %v", len(r.Differences), differences, err)
	}
}

// endless is an answer without end; it counts what was read of it.
type endless struct {
	read   atomic.Int64
	closed atomic.Bool
}

// Read makes endless an io.Reader.
func (e *endless) Read(p []byte) (int, error) {
	if e.closed.Load() {
		return 0, io.ErrClosedPipe
	}
	e.read.Add(int64(len(p)))
	return len(p), nil
}

// Close makes endless an io.Closer.
func (e *endless) Close() error {
	e.closed.Store(true)
	return nil
}

// No more is kept than is allowed, and nothing reads on when the reader has gone.
func TestReadingAheadIsBounded(t *testing.T) {
	const most = 1 << 20
	from := &endless{}
	a := newAhead(from, most)
	var some [10]byte
	if _, err := io.ReadFull(a, some[:]); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if read := from.read.Load(); read > most+2*aheadStep {
		t.Errorf("%d bytes were read for %d", read, len(some))
	}
	if _, err := a.Read(some[:]); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("read after the end: %v", err)
	}
}

// What was read before an answer tore comes before the error.
func TestReadingAheadOfATornAnswer(t *testing.T) {
	torn := errors.New("torn")
	r, w := io.Pipe()
	a := newAhead(r, 100)
	go func() {
		_, _ = io.WriteString(w, strings.Repeat("x", 1000))
		_ = w.CloseWithError(torn)
	}()
	got, err := io.ReadAll(a)
	if len(got) != 1000 || !errors.Is(err, torn) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
