package ovsdb

import (
	"io"
	"net"
	"sync"
	"testing"
)

// gate stands between a client and an OVSDB server on a Unix socket, so that
// the connections can be cut and led elsewhere.
type gate struct {
	t        testing.TB
	path     string
	mu       sync.Mutex
	backend  string
	listener net.Listener
	conns    map[net.Conn]bool
	pumps    sync.WaitGroup
}

func newGate(t testing.TB, path, backend string) *gate {
	g := &gate{t: t, path: path, backend: backend, conns: map[net.Conn]bool{}}
	g.open()
	t.Cleanup(func() {
		g.cut()
		g.pumps.Wait()
	})
	return g
}

// lead sends later connections to another server.
func (g *gate) lead(backend string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.backend = backend
}

// open lets clients connect (again).
func (g *gate) open() {
	listener, err := net.Listen("unix", g.path)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	g.listener = listener
	g.mu.Unlock()
	g.pumps.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			g.pair(conn)
		}
	})
}

func (g *gate) pair(front net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	back, err := net.Dial("unix", g.backend)
	if err != nil {
		_ = front.Close()
		return
	}
	g.conns[front], g.conns[back] = true, true
	g.pumps.Go(func() { g.pump(front, back) })
	g.pumps.Go(func() { g.pump(back, front) })
}

func (g *gate) pump(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = to.Close(), from.Close()
}

// cut ends all connections and refuses new ones.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.listener.Close()
	for conn := range g.conns {
		_ = conn.Close()
	}
	clear(g.conns)
}
