package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store/certs"
)

func read(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		t.Fatalf("%s is not PEM", path)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// newCA makes a CA in a new directory and a certificate for each host.
func newCA(t *testing.T, hosts ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if err := certs.Init(dir, false); err != nil {
		t.Fatal(err)
	}
	for _, host := range hosts {
		if err := certs.Issue(dir, certs.Request{Host: host, Addresses: []string{"192.0.2.1", "h.example", "2001:db8::1"}}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func roots(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(read(t, filepath.Join(dir, "ca.crt")))
	return pool
}

func pair(t *testing.T, dir, host string) tls.Certificate {
	t.Helper()
	p, err := tls.LoadX509KeyPair(filepath.Join(dir, host+".crt"), filepath.Join(dir, host+".key"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestIssuedCertificate(t *testing.T) {
	dir := newCA(t, "h1", "h2")
	cert, pool := read(t, filepath.Join(dir, "h1.crt")), roots(t, dir)
	for _, name := range []string{"h1", "localhost", "h.example", "127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"} {
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: "192.0.2.2"}); err == nil {
		t.Error("valid for an address that was not named")
	}
	if key, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("key %T, want ECDSA P-256", cert.PublicKey)
	}
	if got := time.Until(cert.NotAfter); got > certs.HostValidity || got < certs.HostValidity-time.Hour {
		t.Errorf("valid for %v, want %v", got, certs.HostValidity)
	}
	if cert.NotBefore.After(time.Now().Add(-time.Minute)) {
		t.Errorf("valid from %v: a host whose clock is a minute behind refuses it", cert.NotBefore)
	}
	if other := read(t, filepath.Join(dir, "h2.crt")); cert.SerialNumber.Cmp(other.SerialNumber) == 0 || cert.SerialNumber.BitLen() < 64 {
		t.Errorf("serial numbers %x and %x, want random ones", cert.SerialNumber, other.SerialNumber)
	}
	for file, want := range map[string]fs.FileMode{"": 0o700, "ca.key": 0o600, "h1.key": 0o600, "ca.crt": 0o644, "h1.crt": 0o644} {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: mode %v, error %v; want %v", file, info.Mode(), err, want)
		}
	}
}

func TestHandshake(t *testing.T) {
	dir, foreign := newCA(t, "h1", "h2"), newCA(t, "h2")
	tests := []struct {
		name       string
		client     *tls.Config
		wantAccept bool
	}{
		{"another host of the CA", &tls.Config{RootCAs: roots(t, dir), Certificates: []tls.Certificate{pair(t, dir, "h2")}}, true},
		{"no certificate", &tls.Config{RootCAs: roots(t, dir)}, false},
		{"a host of another CA", &tls.Config{RootCAs: roots(t, dir), Certificates: []tls.Certificate{pair(t, foreign, "h2")}}, false},
		{"a client that trusts another CA", &tls.Config{RootCAs: roots(t, foreign), Certificates: []tls.Certificate{pair(t, dir, "h2")}}, false},
	}
	for _, tt := range tests {
		server := &tls.Config{Certificates: []tls.Certificate{pair(t, dir, "h1")}, ClientCAs: roots(t, dir), ClientAuth: tls.RequireAndVerifyClientCert}
		tt.client.ServerName = "192.0.2.1"
		if err := handshake(t, server, tt.client); (err == nil) != tt.wantAccept {
			t.Errorf("%s: %v, want accepted: %v", tt.name, err, tt.wantAccept)
		}
	}
}

// handshake returns the error with which either side refuses the other.
func handshake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	accepted := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = errors.Join(conn.(*tls.Conn).HandshakeContext(t.Context()), conn.Close())
		}
		accepted <- err
	}()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", listener.Addr().String(), client)
	if err == nil {
		defer func() { _ = conn.Close() }()
	}
	return errors.Join(err, <-accepted)
}

func TestNothingIsReplacedUnasked(t *testing.T) {
	dir := newCA(t, "h1")
	contents := func() []byte {
		var all []byte
		for _, file := range []string{"ca.crt", "ca.key", "h1.crt", "h1.key"} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text...)
		}
		return all
	}
	before := contents()
	for _, err := range []error{certs.Init(dir, false), certs.Issue(dir, certs.Request{Host: "h1"})} {
		if !overlay.IsKind(err, overlay.Conflict) {
			t.Errorf("%v, want a conflict", err)
		}
	}
	if !bytes.Equal(before, contents()) {
		t.Error("a refused call changed the files")
	}
	if err := certs.Issue(dir, certs.Request{Host: "h1", Force: true}); err != nil {
		t.Fatal(err)
	}
	pair(t, dir, "h1")
	if bytes.Equal(before, contents()) {
		t.Error("a forced issue kept the files")
	}
	if err := certs.Init(dir, true); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, filepath.Join(dir, "h1.crt")).Verify(x509.VerifyOptions{Roots: roots(t, dir)}); err == nil {
		t.Error("a forced init kept the CA")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// A key whose certificate was never written, as after a full disk, is not
// taken for nothing.
func TestHalfAPair(t *testing.T) {
	dir := newCA(t, "h1")
	if err := os.Remove(filepath.Join(dir, "h1.crt")); err != nil {
		t.Fatal(err)
	}
	if err := certs.Issue(dir, certs.Request{Host: "h1"}); !overlay.IsKind(err, overlay.Conflict) {
		t.Errorf("%v, want a conflict", err)
	}
}

func TestConcurrentIssueHasOneWinner(t *testing.T) {
	dir := newCA(t)
	errs := make([]error, 8)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() { errs[i] = certs.Issue(dir, certs.Request{Host: "h1"}) })
	}
	wait.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !overlay.IsKind(err, overlay.Conflict) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d calls succeeded, want 1", won)
	}
	pair(t, dir, "h1")
}

func TestBadRequests(t *testing.T) {
	dir := newCA(t)
	for _, host := range []string{"", "../x", "ca", "a b", ".h", strings.Repeat("h", 64)} {
		if err := certs.Issue(dir, certs.Request{Host: host}); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("host %q: %v, want a refusal", host, err)
		}
	}
	for _, address := range []string{"", "a b", "10.0.0.300", "10.0.0.1:2379", "http://h", "*.example.org", "fe80::1%eth0", "-h.example", "h..example", "é.example", strings.Repeat("a.", 127) + "example"} {
		if err := certs.Issue(dir, certs.Request{Host: "h1", Addresses: []string{address}}); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("address %q: %v, want a refusal", address, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "h1.key")); err == nil {
		t.Error("a refused request left a key")
	}
}

func TestBadCA(t *testing.T) {
	if err := certs.Issue(t.TempDir(), certs.Request{Host: "h1"}); !overlay.IsKind(err, overlay.Missing) {
		t.Errorf("no CA: %v, want missing", err)
	}
	good := newCA(t, "h1")
	file := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(good, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	tests := []struct {
		name          string
		crt, key      []byte
		wantRefusalOf overlay.Kind
	}{
		{"no key", file("ca.crt"), nil, overlay.Missing},
		{"garbage certificate", []byte("x"), file("ca.key"), overlay.Invalid},
		{"garbage key", file("ca.crt"), []byte("x"), overlay.Invalid},
		{"swapped", file("ca.key"), file("ca.crt"), overlay.Invalid},
		{"another key", file("ca.crt"), file("h1.key"), overlay.Invalid},
		{"a host's pair", file("h1.crt"), file("h1.key"), overlay.Invalid},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		for name, text := range map[string][]byte{"ca.crt": tt.crt, "ca.key": tt.key} {
			if text == nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := certs.Issue(dir, certs.Request{Host: "h2"}); !overlay.IsKind(err, tt.wantRefusalOf) {
			t.Errorf("%s: %v, want kind %v", tt.name, err, tt.wantRefusalOf)
		}
	}
}
