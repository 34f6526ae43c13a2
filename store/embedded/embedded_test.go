package embedded_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store/certs"
	"github.com/ovsnet/ovsnet/store/embedded"
)

const anyPort = "http://127.0.0.1:0"

func start(t *testing.T, cfg embedded.Config) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := embedded.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t *testing.T, s *embedded.Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func connect(t *testing.T, s *embedded.Server, config *tls.Config) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint()}, TLS: config, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func get(t *testing.T, client *clientv3.Client, wait time.Duration) (int64, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	answer, err := client.Get(ctx, "k")
	if err != nil {
		return 0, err
	}
	return answer.Count, nil
}

func TestRestartKeepsDataAndMayMove(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "etcd")
	for i, url := range []string{anyPort, "http://[::1]:0", anyPort} {
		s := start(t, embedded.Config{Dir: dir, ListenURL: url})
		client := connect(t, s, nil)
		keys, err := get(t, client, 5*time.Second)
		if err != nil || keys != int64(min(i, 1)) {
			t.Errorf("start %d: %d keys, error %v", i, keys, err)
		}
		if _, err := client.Put(t.Context(), "k", "v"); err != nil {
			t.Error(err)
		}
		stop(t, s)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data directory: mode %v, error %v; want 0700", info.Mode(), err)
	}
}

func TestListeningEverywhereIsReachedOverLoopback(t *testing.T) {
	for listen, want := range map[string]string{"http://0.0.0.0:0": "http://127.0.0.1:", "http://[::]:0": "http://[::1]:"} {
		s := start(t, embedded.Config{Dir: t.TempDir(), ListenURL: listen, Insecure: true})
		if !strings.HasPrefix(s.Endpoint(), want) {
			t.Errorf("%s: endpoint %s, want %s…", listen, s.Endpoint(), want)
		}
		if _, err := get(t, connect(t, s, nil), 5*time.Second); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
		stop(t, s)
	}
	for listen, want := range map[string]string{
		"https://0.0.0.0:2379": "https://127.0.0.1:2379", "https://[::]:2379": "https://[::1]:2379",
		"https://192.0.2.1:2379": "https://192.0.2.1:2379", "::": "::",
	} {
		if got := embedded.LocalURL(listen); got != want {
			t.Errorf("LocalURL(%q) = %q, want %q", listen, got, want)
		}
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Config{Dir: dir, ListenURL: anyPort})
	defer stop(t, s)
	if _, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, ListenURL: anyPort}); !overlay.IsKind(err, overlay.Conflict) {
		t.Errorf("same directory: %v, want a conflict", err)
	}
	other := t.TempDir()
	if _, err := embedded.Start(t.Context(), embedded.Config{Dir: other, ListenURL: s.Endpoint()}); !overlay.IsKind(err, overlay.Conflict) {
		t.Errorf("same address: %v, want a conflict", err)
	}
	stop(t, start(t, embedded.Config{Dir: other, ListenURL: anyPort}))
}

// A plain etcd on the same data knows nothing of our lock; only that of its
// database stands in the way, on which etcd waits for ever.
func TestForeignEtcdOnTheSameData(t *testing.T) {
	dir := t.TempDir()
	stop(t, start(t, embedded.Config{Dir: dir, ListenURL: anyPort}))
	db, err := bbolt.Open(filepath.Join(dir, "data", "member", "snap", "db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := embedded.Start(ctx, embedded.Config{Dir: dir, ListenURL: anyPort}); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	deadline, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		s, err := embedded.Start(deadline, embedded.Config{Dir: dir, ListenURL: anyPort})
		if err == nil {
			stop(t, s)
			return
		}
		if deadline.Err() != nil || !overlay.IsKind(err, overlay.Conflict) {
			t.Fatalf("after the other etcd ended: %v, want success once the first try has ended", err)
		}
		<-again.C
	}
}

func TestCloseDoesNotWaitForWatches(t *testing.T) {
	s := start(t, embedded.Config{Dir: t.TempDir(), ListenURL: anyPort})
	watch := connect(t, s, nil).Watch(t.Context(), "k", clientv3.WithCreatedNotify())
	select {
	case <-watch:
	case <-time.After(5 * time.Second):
		t.Fatal("the watch was not created")
	}
	begin := time.Now()
	stop(t, s)
	if took := time.Since(begin); took > 6*time.Second {
		t.Errorf("close took %v", took)
	}
	select {
	case <-s.Done():
	default:
		t.Error("closed, but not done")
	}
}

func TestURLsThatWouldLetAnybodyIn(t *testing.T) {
	for _, url := range []string{
		"", "http://0.0.0.0:2379", "http://192.0.2.1:2379", "https://192.0.2.1:2379", "https://127.0.0.1:2379", "ftp://127.0.0.1:1",
		"http://localhost:2379", "127.0.0.1:2379", "http://127.0.0.1", "http://127.0.0.1:1/x", "http://u@127.0.0.1:1", "http://[fe80::1%25lo]:1",
	} {
		_, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), ListenURL: url})
		if !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%q: %v, want a refusal", url, err)
		}
	}
	for _, dir := range []string{"", "/tmp/" + strings.Repeat("x", 100)} {
		if _, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, ListenURL: anyPort}); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("directory %q: %v, want a refusal", dir, err)
		}
	}
}

// files makes a CA and a certificate for h1 and returns how a server uses them.
func files(t *testing.T, addresses ...string) embedded.Config {
	t.Helper()
	dir := t.TempDir()
	if err := certs.Init(dir, false); err != nil {
		t.Fatal(err)
	}
	if err := certs.Issue(dir, certs.Request{Host: "h1", Addresses: addresses}); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	return embedded.Config{Dir: t.TempDir(), CAFile: file("ca.crt"), CertFile: file("h1.crt"), KeyFile: file("h1.key")}
}

func clientTLS(t *testing.T, trusted, own embedded.Config) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	raw, err := os.ReadFile(trusted.CAFile)
	if err != nil || !pool.AppendCertsFromPEM(raw) {
		t.Fatal("no CA", err)
	}
	pair, err := tls.LoadX509KeyPair(own.CertFile, own.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	// The server names the CAs it accepts; a client that heeds that would send
	// no certificate where this one shall send a wrong one.
	return &tls.Config{RootCAs: pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
}

func TestMutualTLS(t *testing.T) {
	cfg, foreign := files(t), files(t)
	cfg.ListenURL = "https://0.0.0.0:0"
	s := start(t, cfg)
	defer stop(t, s)
	if _, err := get(t, connect(t, s, clientTLS(t, cfg, cfg)), 5*time.Second); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	anonymous := clientTLS(t, cfg, cfg)
	anonymous.GetClientCertificate = nil
	for name, config := range map[string]*tls.Config{"no certificate": anonymous, "another CA's certificate": clientTLS(t, cfg, foreign)} {
		if _, err := get(t, connect(t, s, config), 2*time.Second); err == nil {
			t.Errorf("%s: the server answered", name)
		}
		config.ServerName = "127.0.0.1"
		if err := handshake(strings.TrimPrefix(s.Endpoint(), "https://"), config); err == nil || !strings.Contains(err.Error(), "remote error: tls:") {
			t.Errorf("%s: %v, want the server to refuse the handshake", name, err)
		}
	}
}

// handshake returns the error that a TLS 1.3 client sees at its first read if
// the server refuses its certificate.
func handshake(address string, config *tls.Config) error {
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	for {
		if _, err := conn.Read(make([]byte, 64)); err != nil {
			return err
		}
	}
}

func TestCertificateThatClientsWouldRefuse(t *testing.T) {
	cfg, other := files(t), files(t)
	cfg.ListenURL = "https://192.0.2.7:2379"
	wrongCA, wrongKey, noPEM := cfg, cfg, cfg
	wrongCA.ListenURL, wrongCA.CAFile = "https://127.0.0.1:0", other.CAFile
	wrongKey.KeyFile = other.KeyFile
	noPEM.CAFile = cfg.KeyFile
	for name, bad := range map[string]embedded.Config{"not for this address": cfg, "other CA": wrongCA, "other key": wrongKey, "CA without certificate": noPEM} {
		_, err := embedded.Start(t.Context(), bad)
		if !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}

func TestLogIsQuietAndKeepsFields(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	stop(t, start(t, embedded.Config{Dir: t.TempDir(), ListenURL: anyPort, Logger: log}))
	if text.Len() > 0 {
		t.Errorf("a start and a stop without trouble say:\n%s", &text)
	}
	text.Reset()
	log = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	stop(t, start(t, embedded.Config{Dir: t.TempDir(), ListenURL: anyPort, Logger: log}))
	if !strings.Contains(text.String(), `msg="starting an etcd server"`) || !strings.Contains(text.String(), "quota-backend-bytes=2147483648") {
		t.Errorf("at level debug etcd's own words are missing:\n%s", &text)
	}
}
