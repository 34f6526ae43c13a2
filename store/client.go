package store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/ovsnet/ovsnet/overlay"
)

const (
	// reservation is how long an address or a subnet stays reserved while nothing
	// binds it, at the most; half of it at the least.
	reservation = 60 * time.Second
	// attemptTimeout bounds one try of one call, so that a member of etcd that
	// stalls does not use up the caller's time.
	attemptTimeout = 5 * time.Second
	// connectMaxDelay bounds how long after etcd's return a client notices.
	connectMaxDelay = 2 * time.Second
	// keepAliveTime and keepAliveTimeout find a connection that died silently.
	// etcd refuses clients that ask more often than every 5 s.
	keepAliveTime    = 10 * time.Second
	keepAliveTimeout = 5 * time.Second
)

// Config says how etcd is reached.
type Config struct {
	// Endpoints are etcd's client URLs, all http or all https (or unix). Without
	// a scheme https is meant when there are TLS files, else http.
	Endpoints []string
	// CAFile signed etcd's certificate; without it the system's CAs count.
	// CertFile and KeyFile are this client's certificate. All are PEM.
	CAFile, CertFile, KeyFile string
	// User and Password log in to an etcd with authentication.
	User, Password string
	// Insecure allows http beyond loopback.
	Insecure bool
	// Logger gets what a Watcher meets; nil discards it.
	Logger *slog.Logger
}

// Store is ovsnet's use of one etcd cluster. All methods may be called from any
// goroutine. Each retries while etcd is away, or other hosts win, until its ctx
// ends; the error is then of kind overlay.Unavailable. Callers set a deadline.
type Store struct {
	endpoints []string
	log       *slog.Logger
	ttl       time.Duration

	dial func(context.Context) (*clientv3.Client, error)
	// dialing has room for the one caller that makes the client.
	dialing chan struct{}
	client  atomic.Pointer[clientv3.Client]
	// schema is the revision of the schema record that was checked, 0 for none.
	schema atomic.Int64

	mu      sync.Mutex
	cursors map[overlay.Pool]netip.Addr
	// lease is what reservations are under for now.
	lease lease
	// guesses are the networks that keys named when they were read last.
	guesses map[string]string
	// cluster is the only one that is written to; empty for any.
	cluster string
	// own are the hosts that this Store registered.
	own map[string]string
}

// Open returns a Store. It does not wait for etcd: a Config that cannot work is
// refused, and an etcd that does not answer is each call's error.
func Open(cfg Config) (*Store, error) {
	config, err := clientConfig(cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{
		endpoints: config.Endpoints, log: cfg.Logger, ttl: reservation, dialing: make(chan struct{}, 1),
		cursors: map[overlay.Pool]netip.Addr{}, guesses: map[string]string{}, own: map[string]string{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.dial = func(ctx context.Context) (*clientv3.Client, error) {
		attempt := config
		if deadline, ok := ctx.Deadline(); ok {
			attempt.DialTimeout = max(time.Until(deadline), time.Millisecond)
		}
		return clientv3.New(attempt)
	}
	return s, nil
}

// Endpoints are the etcd URLs in use.
func (s *Store) Endpoints() []string { return s.endpoints }

// Close ends the connection; calls under way fail.
func (s *Store) Close() error {
	s.dialing <- struct{}{}
	defer func() { <-s.dialing }()
	s.dial = func(context.Context) (*clientv3.Client, error) { return nil, errors.New("the store is closed") }
	client := s.client.Swap(nil)
	if client == nil {
		return nil
	}
	if err := client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close the connection to etcd: %w", err)
	}
	return nil
}

// connection returns the client. It is made at the first call and not by Open,
// because making one logs in when there is a user, which needs etcd.
func (s *Store) connection(ctx context.Context) (*clientv3.Client, error) {
	if client := s.client.Load(); client != nil {
		return client, nil
	}
	select {
	case s.dialing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.dialing }()
	if client := s.client.Load(); client != nil {
		return client, nil
	}
	client, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	s.client.Store(client)
	return client, nil
}

func clientConfig(cfg Config) (clientv3.Config, error) {
	endpoints, secure, err := checkEndpoints(cfg)
	if err != nil {
		return clientv3.Config{}, err
	}
	config := clientv3.Config{
		Endpoints: endpoints, Username: cfg.User, Password: cfg.Password, Logger: zap.NewNop(),
		DialKeepAliveTime: keepAliveTime, DialKeepAliveTimeout: keepAliveTimeout,
		// The store retries by itself; the second try is for a login that ended.
		MaxUnaryRetries: 2,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: connectMaxDelay},
			MinConnectTimeout: attemptTimeout,
		}), grpc.WithChainUnaryInterceptor(failFast)},
	}
	if (cfg.User == "") != (cfg.Password == "") {
		return config, overlay.Refuse(overlay.Invalid, "etcd login", "give --etcd-user and --etcd-password, or neither", "one without the other")
	}
	if secure {
		config.TLS, err = clientTLS(cfg)
	}
	return config, err
}

// failFast makes a call end with the reason why no connection can be made; etcd's
// client would wait for one, and then only know that the time was over.
func failFast(ctx context.Context, method string, request, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, request, reply, cc, append(opts, grpc.WaitForReady(false))...)
}

// checkEndpoints returns the URLs with their scheme, and whether they use TLS.
func checkEndpoints(cfg Config) (endpoints []string, secure bool, err error) {
	if len(cfg.Endpoints) == 0 {
		return nil, false, overlay.Refuse(overlay.Invalid, "etcd", "set --etcd", "no endpoint is given")
	}
	files := cfg.CAFile + cfg.CertFile + cfg.KeyFile
	for i, endpoint := range cfg.Endpoints {
		if !strings.Contains(endpoint, "://") {
			scheme := "http://"
			if files != "" {
				scheme = "https://"
			}
			endpoint = scheme + endpoint
		}
		u, err := url.Parse(endpoint)
		object := "etcd endpoint " + endpoint
		if err != nil || u.Host == "" && u.Path == "" {
			return nil, false, overlay.Refuse(overlay.Invalid, object, "write it as in https://10.0.0.1:2379", "not a URL")
		}
		tlsHere := u.Scheme == "https" || u.Scheme == "unixs"
		switch {
		case !tlsHere && u.Scheme != "http" && u.Scheme != "unix":
			return nil, false, overlay.Refuse(overlay.Invalid, object, "use https or http", "unknown scheme %q", u.Scheme)
		case i > 0 && tlsHere != secure:
			return nil, false, overlay.Refuse(overlay.Invalid, object, "use one scheme for all", "it differs from the other endpoints")
		case !tlsHere && files != "":
			return nil, false, overlay.Refuse(overlay.Invalid, object, "write https://, or leave out --etcd-ca, --etcd-cert and --etcd-key", "TLS files are given and the endpoint does not use TLS")
		case u.Scheme == "http" && !loopback(u.Hostname()) && !cfg.Insecure:
			return nil, false, overlay.Refuse(overlay.Invalid, object, "use https with --etcd-ca, --etcd-cert and --etcd-key, or allow it with --etcd-insecure", "plain http beyond loopback, where anybody on the way can read and change the cluster")
		}
		secure = tlsHere
		endpoints = append(endpoints, endpoint)
	}
	return endpoints, secure, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func clientTLS(cfg Config) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, unusable("--etcd-ca "+cfg.CAFile, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, unusable("--etcd-ca "+cfg.CAFile, errors.New("no PEM certificate is in it"))
		}
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		return nil, overlay.Refuse(overlay.Invalid, "etcd client certificate", "give --etcd-cert and --etcd-key, or neither", "one without the other")
	}
	if cfg.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, unusable("--etcd-cert "+cfg.CertFile+" with --etcd-key "+cfg.KeyFile, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func unusable(object string, err error) error {
	remedy := "make the files with ovsnet certs, or name others"
	if errors.Is(err, fs.ErrPermission) {
		remedy = "run this as root"
	}
	return &overlay.Refusal{Kind: overlay.Invalid, Object: object, Cause: "cannot be used", Remedy: remedy, Err: err}
}
