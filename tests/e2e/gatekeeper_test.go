package e2e

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/tests/lab"
)

const (
	pluginSocket = "/run/docker/plugins/ovsnet.sock"
	// behindSocket is where an agent listens when a gatekeeper has its place.
	behindSocket = "/run/ovsnet/plugin.sock"
)

// gatekeeper stands between a host's dockerd and its agent and passes every call on, until it is armed: the next Join
// does not reach the agent, as dockerd is killed after its CreateEndpoint was answered and before its Join is.
type gatekeeper struct {
	host   *lab.Host
	armed  atomic.Bool
	killed chan error
	next   http.Handler
}

// keepGate puts a gatekeeper before the agent of the host, which must listen on behindSocket, until the test ends.
func keepGate(t *testing.T, h *lab.Host) *gatekeeper {
	t.Helper()
	front, err := h.Path(pluginSocket)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(front); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "unix", front)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "plugin"})
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, err := h.Path(behindSocket)
		if err != nil {
			return nil, err
		}
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", path)
	}}
	// Calls that end with a killed dockerd are what is wanted here.
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	g := &gatekeeper{host: h, killed: make(chan error, 1), next: proxy}
	server := &http.Server{Handler: g, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return g
}

// ServeHTTP passes a call on, or kills dockerd instead.
func (g *gatekeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/NetworkDriver.Join" || !g.armed.CompareAndSwap(true, false) {
		g.next.ServeHTTP(w, r)
		return
	}
	// The call's own context ends with dockerd.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), commandPatience)
	defer cancel()
	g.killed <- g.host.Stop(ctx, lab.Dockerd, syscall.SIGKILL)
}
