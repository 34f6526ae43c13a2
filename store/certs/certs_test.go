package certs_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

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
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestIssuedCertificateServesBothSides(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := certs.Init(dir, false); err != nil {
		t.Fatal(err)
	}
	if err := certs.Issue(dir, certs.Request{Host: "h1", Addresses: []string{"192.0.2.1", "h1.example", "2001:db8::1"}}); err != nil {
		t.Fatal(err)
	}
	ca, cert := read(t, filepath.Join(dir, "ca.crt")), read(t, filepath.Join(dir, "h1.crt"))
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	for _, name := range []string{"h1", "localhost", "h1.example", "127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"} {
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: "192.0.2.2"}); err == nil {
		t.Error("valid for an address that was not named")
	}
	for _, key := range []string{"ca.key", "h1.key"} {
		info, err := os.Stat(filepath.Join(dir, key))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, error %v; want 0600", key, info.Mode(), err)
		}
	}
}

func TestNothingIsReplacedUnasked(t *testing.T) {
	dir := t.TempDir()
	if err := certs.Issue(dir, certs.Request{Host: "h1"}); !overlay.IsKind(err, overlay.Missing) {
		t.Errorf("without a CA: %v", err)
	}
	if err := certs.Init(dir, false); err != nil {
		t.Fatal(err)
	}
	before := read(t, filepath.Join(dir, "ca.crt"))
	if err := certs.Init(dir, false); !overlay.IsKind(err, overlay.Conflict) {
		t.Errorf("second init: %v", err)
	}
	if !bytes.Equal(before.Raw, read(t, filepath.Join(dir, "ca.crt")).Raw) {
		t.Error("the refused init replaced the CA")
	}
	if err := certs.Init(dir, true); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(before.Raw, read(t, filepath.Join(dir, "ca.crt")).Raw) {
		t.Error("the forced init kept the CA")
	}
}

func TestBadRequests(t *testing.T) {
	dir := t.TempDir()
	if err := certs.Init(dir, false); err != nil {
		t.Fatal(err)
	}
	for _, r := range []certs.Request{{Host: ""}, {Host: "../x"}, {Host: "ca"}, {Host: "h1", Addresses: []string{"a b"}}, {Host: "h1", Addresses: []string{""}}} {
		if err := certs.Issue(dir, r); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%+v: %v, want a refusal", r, err)
		}
	}
}
