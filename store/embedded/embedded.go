package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/ovsnet/ovsnet/overlay"
)

// quota is the largest size of the database, in bytes.
const quota = 2 << 30

// history is how long old revisions are kept for watchers that were away.
const history = 30 * time.Minute

// slow is when etcd warns of a request; its default of 100 ms is for disks that
// do nothing else.
const slow = time.Second

// maxDir is the longest data directory, in bytes: the path of a socket in it
// has at most 107 (unix(7)).
const maxDir = 97

// Config says where the server keeps its data and where it listens.
type Config struct {
	// Dir is the data directory, made with mode 0700 where it is missing.
	Dir string
	// ListenURL is the client URL, http or https, with an IP address of this
	// host and a port, 0 for any.
	ListenURL string
	// CAFile signed the clients' certificates; CertFile and KeyFile are the
	// server's own. All are PEM, needed for https.
	CAFile, CertFile, KeyFile string
	// Insecure allows http beyond loopback.
	Insecure bool
	// Logger gets the server's log, etcd's "info" at level debug; nil discards it.
	Logger *slog.Logger
}

// Server is a running etcd server.
type Server struct {
	etcd     *embed.Etcd
	lock     *os.File
	endpoint string
	clients  clients
	closing  atomic.Bool
}

// Start runs a server and returns when it serves. A Config that cannot be is a
// Refusal of kind Invalid, a directory or address that another server has one
// of kind Conflict, an end of ctx before it serves one of kind Unavailable.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	listen, err := checkListen(cfg, time.Now())
	if err != nil {
		return nil, err
	}
	dir, err := makeDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := takeLock(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock}
	config := etcdConfig(cfg, dir, listen)
	config.ServiceRegister = s.clients.add
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newLogger(cfg.Logger, &s.closing))
	if err := s.start(ctx, config); err != nil {
		return nil, err
	}
	listen.Host = net.JoinHostPort(listen.Hostname(), s.port())
	s.endpoint = localURL(listen)
	return s, nil
}

// start starts etcd and waits until it serves. etcd knows no context, so where
// ctx ends first, what was started is closed once that is possible.
func (s *Server) start(ctx context.Context, config *embed.Config) error {
	started := make(chan error, 1)
	go func() {
		var err error
		s.etcd, err = embed.StartEtcd(config)
		started <- err
	}()
	select {
	case err := <-started:
		if err != nil {
			_ = s.lock.Close()
			return refuseStart(config, err)
		}
	case <-ctx.Done():
		go func() {
			if err := <-started; err == nil {
				s.etcd.Close()
			}
			_ = s.lock.Close()
		}()
		return refuseUnavailable(config, ctx.Err())
	}
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case <-s.etcd.Server.StopNotify():
		return errors.Join(refuseStart(config, errors.New("it ended at once")), s.Close())
	case <-ctx.Done():
		return errors.Join(refuseUnavailable(config, ctx.Err()), s.Close())
	}
}

// port returns the TCP port of the client listener, which is the only one.
func (s *Server) port() string {
	for _, l := range s.etcd.Clients {
		if addr, ok := l.Addr().(*net.TCPAddr); ok {
			return strconv.Itoa(addr.Port)
		}
	}
	return ""
}

// Endpoint is the client URL for the agent in this process: that of the
// listener, or loopback where it listens on all addresses. With https it wants
// a client certificate from this agent like from any other.
func (s *Server) Endpoint() string { return s.endpoint }

// Done is closed when the server has ended, by Close or because it failed.
func (s *Server) Done() <-chan struct{} { return s.etcd.Server.StopNotify() }

// Close cuts all clients off, ends the server and frees the data directory.
func (s *Server) Close() error {
	s.closing.Store(true)
	s.clients.cut()
	s.etcd.Close()
	if err := s.lock.Close(); err != nil {
		return fmt.Errorf("free etcd's data directory: %w", err)
	}
	return nil
}

// clients are the gRPC servers that etcd makes when it is ready.
type clients struct {
	mu      sync.Mutex
	servers []*grpc.Server
}

func (c *clients) add(g *grpc.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = append(c.servers, g)
}

func (c *clients) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.servers {
		g.Stop()
	}
}

// etcdConfig describes the server to etcd.
func etcdConfig(cfg Config, dir string, listen url.URL) *embed.Config {
	c := embed.NewConfig()
	c.Name, c.Dir = "ovsnet", filepath.Join(dir, "data")
	c.ListenPeerUrls = nil
	c.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:2380"}}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{listen}, []url.URL{listen}
	c.ListenClientHttpUrls = []url.URL{{Scheme: "unix", Path: filepath.Join(dir, "http.sock")}}
	c.EnableGRPCGateway = false
	c.QuotaBackendBytes = quota
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, history.String()
	c.WarningApplyDuration, c.WarningUnaryRequestDuration = slow, slow
	if listen.Scheme == "https" {
		c.ClientTLSInfo.TrustedCAFile, c.ClientTLSInfo.ClientCertAuth = cfg.CAFile, true
		c.ClientTLSInfo.CertFile, c.ClientTLSInfo.KeyFile = cfg.CertFile, cfg.KeyFile
		c.TlsMinVersion = "TLS1.3"
	}
	return c
}

func makeDir(dir string) (string, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find etcd's data directory %s: %w", dir, err)
	}
	if dir == "" || len(path) > maxDir {
		return "", overlay.Refuse(overlay.Invalid, "etcd's data directory \""+dir+"\"", "set --etcd-embedded to a path like /var/lib/ovsnet/etcd", "its path must have 1 to %d characters", maxDir)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("make etcd's data directory: %w", err)
	}
	return path, nil
}

// takeLock makes sure that no other server has the directory.
func takeLock(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock etcd's data directory: %w", err)
	}
	switch err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case err == nil:
		return lock, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		_ = lock.Close()
		return nil, overlay.Refuse(overlay.Conflict, "etcd's data directory "+dir, "end the other agent, or set --etcd-embedded to another directory", "another server uses it")
	default:
		_ = lock.Close()
		return nil, fmt.Errorf("lock etcd's data directory %s: %w", dir, err)
	}
}

func refuseStart(config *embed.Config, err error) error {
	r := overlay.Refuse(overlay.Invalid, "embedded etcd in "+config.Dir, "", "it cannot start")
	if errors.Is(err, unix.EADDRINUSE) {
		r = overlay.Refuse(overlay.Conflict, "embedded etcd on "+config.ListenClientUrls[0].String(), "end what listens there, or set --etcd-listen to another port", "the address is taken")
	}
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		r.Remedy = "set --etcd-listen to an address of this host"
	}
	r.Err = err
	return r
}

func refuseUnavailable(config *embed.Config, err error) error {
	r := overlay.Refuse(overlay.Unavailable, "embedded etcd in "+config.Dir, "see etcd's log, and whether another etcd uses the directory", "it did not get ready in time")
	r.Err = err
	return r
}
