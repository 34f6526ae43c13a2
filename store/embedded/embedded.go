// Package embedded runs an etcd server inside the agent, so that the first host
// of a cluster needs nothing else.
//
// It is one member without peers: peers would need addresses of their own and
// an order of starting, and whoever wants a cluster of etcd servers runs etcd
// itself. Its peer socket is a Unix socket in the data directory, so the only
// thing that listens is the client URL. Beyond loopback that URL speaks mutual
// TLS: the server shows its certificate and every client, its own agent
// included, must show one of the same CA. Plain TCP there takes an explicit
// Insecure.
//
// History older than an hour is compacted; the watchers list again when they
// were away for longer. The data directory belongs to one server at a time,
// held by a file lock, since etcd itself would wait for ever.
//
// etcd counts into Prometheus' default registry; ovsnet's own figures live in a
// registry of their own.
package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/overlay"
)

// quota is the largest size of the database, in bytes: 100,000 endpoints with
// their claims and an hour of changes take a tenth of it.
const quota = 2 << 30

// Config says where the server keeps its data and where it listens.
type Config struct {
	// Dir is the data directory, made with mode 0700 where it is missing.
	Dir string
	// ListenURL is the client URL, http or https.
	ListenURL string
	// CAFile signed the clients' certificates; CertFile and KeyFile are the
	// server's own. All are PEM, needed for https.
	CAFile, CertFile, KeyFile string
	// Insecure allows http beyond loopback.
	Insecure bool
	// Logger gets the server's warnings and errors; nil discards them.
	Logger *slog.Logger
}

// Server is a running etcd server.
type Server struct {
	etcd *embed.Etcd
	lock *os.File
	url  string
}

// Start runs a server and returns when it serves, or when ctx ends. A Config
// that cannot be is a Refusal of kind Invalid, a directory or address that
// another server has one of kind Conflict.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	listen, err := checkURL(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("etcd's data directory: %w", err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("etcd's data directory: %w", err)
	}
	lock, err := takeLock(filepath.Join(cfg.Dir, "lock"))
	if err != nil {
		return nil, err
	}
	running, err := embed.StartEtcd(etcdConfig(cfg, listen))
	if err != nil {
		refusal := overlay.Refuse(overlay.Conflict, "embedded etcd on "+cfg.ListenURL, "see the error, and what else listens there", "it cannot start")
		refusal.Err = err
		return nil, errors.Join(refusal, lock.Close())
	}
	s := &Server{etcd: running, lock: lock, url: cfg.ListenURL}
	select {
	case <-running.Server.ReadyNotify():
		return s, nil
	case err = <-running.Err():
	case <-running.Server.StopNotify():
		err = errors.New("it ended while starting")
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(fmt.Errorf("start embedded etcd in %s: %w", cfg.Dir, err), s.Close())
}

// Endpoint is the URL that clients, the own agent included, connect to.
func (s *Server) Endpoint() string { return s.url }

// Close ends the server after what it is doing.
func (s *Server) Close() error {
	s.etcd.Close()
	return s.lock.Close()
}

// checkURL refuses a URL that would let anybody in.
func checkURL(cfg Config) (url.URL, error) {
	object := "embedded etcd's URL " + cfg.ListenURL
	u, err := url.Parse(cfg.ListenURL)
	if err != nil || u.Hostname() == "" || u.Port() == "" || u.Path != "" {
		return url.URL{}, overlay.Refuse(overlay.Invalid, object, "write it as in https://192.0.2.1:2379", "not a URL with host and port")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return url.URL{}, overlay.Refuse(overlay.Invalid, object, "write an IP address of this host", "its host is not an IP address")
	}
	switch {
	case u.Scheme == "https" && (cfg.CAFile == "" || cfg.CertFile == "" || cfg.KeyFile == ""):
		return url.URL{}, overlay.Refuse(overlay.Invalid, object, "set --etcd-ca, --etcd-cert and --etcd-key; ovsnet certs makes them", "TLS needs three files")
	case u.Scheme != "http" && u.Scheme != "https":
		return url.URL{}, overlay.Refuse(overlay.Invalid, object, "use https, or http on loopback", "unknown scheme %q", u.Scheme)
	case u.Scheme == "http" && !addr.IsLoopback() && !cfg.Insecure:
		return url.URL{}, overlay.Refuse(overlay.Invalid, object, "use https with certificates from ovsnet certs, or allow it with --etcd-insecure", "plain TCP beyond loopback would let anybody change the cluster")
	}
	return *u, nil
}

func etcdConfig(cfg Config, listen url.URL) *embed.Config {
	c := embed.NewConfig()
	peer := url.URL{Scheme: "unix", Path: filepath.Join(cfg.Dir, "peer.sock")}
	c.Name, c.Dir = "ovsnet", filepath.Join(cfg.Dir, "data")
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{listen}, []url.URL{listen}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.QuotaBackendBytes = quota
	c.AutoCompactionMode, c.AutoCompactionRetention = "periodic", "1h"
	if listen.Scheme == "https" {
		c.ClientTLSInfo.TrustedCAFile, c.ClientTLSInfo.CertFile, c.ClientTLSInfo.KeyFile = cfg.CAFile, cfg.CertFile, cfg.KeyFile
		c.ClientTLSInfo.ClientCertAuth = true
	}
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newLogger(cfg.Logger))
	return c
}

// takeLock makes sure that no other server has the directory.
func takeLock(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("etcd's data directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(overlay.Refuse(overlay.Conflict, "etcd's data directory "+filepath.Dir(path),
			"end the other agent, or set --etcd-embedded to another directory", "another server uses it"), lock.Close())
	}
	return lock, nil
}

// newLogger passes etcd's warnings on.
func newLogger(log *slog.Logger) *zap.Logger {
	if log == nil {
		return zap.NewNop()
	}
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg", LevelKey: "level", EncodeLevel: zapcore.LowercaseLevelEncoder})
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(lines{log}), zapcore.WarnLevel))
}

// lines logs each line that is written to it.
type lines struct{ log *slog.Logger }

func (l lines) Write(line []byte) (int, error) {
	l.log.Warn("etcd", "said", string(bytes.TrimSpace(line)))
	return len(line), nil
}
