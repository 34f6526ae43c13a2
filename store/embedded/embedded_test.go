package embedded_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store/certs"
	"github.com/ovsnet/ovsnet/store/embedded"
)

func freeURL(t *testing.T, scheme string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return fmt.Sprintf("%s://%s", scheme, l.Addr())
}

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

func TestRestartKeepsDataAndMayMove(t *testing.T) {
	dir := t.TempDir()
	for i, want := range []int64{0, 1} {
		url := freeURL(t, "http")
		s := start(t, embedded.Config{Dir: dir, ListenURL: url})
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint()}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.Get(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if got.Count != want {
			t.Errorf("start %d: %d keys, want %d", i, got.Count, want)
		}
		if _, err := client.Put(t.Context(), "k", "v"); err != nil {
			t.Fatal(err)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Config{Dir: dir, ListenURL: freeURL(t, "http")})
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := embedded.Start(ctx, embedded.Config{Dir: dir, ListenURL: freeURL(t, "http")}); !overlay.IsKind(err, overlay.Conflict) {
		t.Errorf("same directory: %v, want a conflict", err)
	}
	if _, err := embedded.Start(ctx, embedded.Config{Dir: t.TempDir(), ListenURL: s.Endpoint()}); !overlay.IsKind(err, overlay.Conflict) {
		t.Errorf("same address: %v, want a conflict", err)
	}
}

func TestURLsThatWouldLetAnybodyIn(t *testing.T) {
	for _, url := range []string{"http://0.0.0.0:2379", "http://192.0.2.1:2379", "https://192.0.2.1:2379", "ftp://127.0.0.1:1", "http://localhost:2379", "127.0.0.1:2379", "http://127.0.0.1"} {
		_, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), ListenURL: url})
		if !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%s: %v, want a refusal", url, err)
		}
	}
}

func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	if err := certs.Init(dir, false); err != nil {
		t.Fatal(err)
	}
	if err := certs.Issue(dir, certs.Request{Host: "h1"}); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	s := start(t, embedded.Config{
		Dir: t.TempDir(), ListenURL: freeURL(t, "https"), CAFile: file("ca.crt"), CertFile: file("h1.crt"), KeyFile: file("h1.key"),
	})
	defer func() { _ = s.Close() }()
	pool := x509.NewCertPool()
	raw, err := os.ReadFile(file("ca.crt"))
	if err != nil || !pool.AppendCertsFromPEM(raw) {
		t.Fatal("no CA", err)
	}
	pair, err := tls.LoadX509KeyPair(file("h1.crt"), file("h1.key"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		certs []tls.Certificate
		works bool
	}{{"with a certificate", []tls.Certificate{pair}, true}, {"without one", nil, false}} {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: []string{s.Endpoint()}, Logger: zap.NewNop(), TLS: &tls.Config{RootCAs: pool, Certificates: tt.certs},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		_, err = client.Get(ctx, "k")
		cancel()
		if (err == nil) != tt.works {
			t.Errorf("%s: %v, want it to work: %v", tt.name, err, tt.works)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
