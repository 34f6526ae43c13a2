// Package certs makes the certificates with which agents and etcd know each
// other: one CA for the cluster, and for each host one certificate that serves
// both sides of TLS, because a host's agent may be client and server of etcd.
//
// Files lie in one directory: ca.crt and ca.key, HOST.crt and HOST.key. Keys
// are ECDSA P-256 in PKCS #8, mode 0600; the CA lasts ten years, a host's
// certificate two. Existing files are replaced only when forced, since a new CA
// makes every issued certificate worthless.
//
// Rejected: certificates that etcd makes for itself (nobody can check them), and
// a CA that signs over the network (one more thing that listens).
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	hostLife = 2 * 365 * 24 * time.Hour
	// backdate covers hosts whose clocks differ a little.
	backdate = time.Hour
)

// Request says what certificate to issue.
type Request struct {
	// Host names the files and is a name the certificate is valid for.
	Host string
	// Addresses are the IP addresses and DNS names the host is reached by, beside
	// its name and loopback.
	Addresses []string
	// Force replaces files that exist.
	Force bool
}

// Init makes a CA in dir, which is created with mode 0700 where it is missing.
// A CA that exists is a Refusal of kind Conflict unless force is set.
func Init(dir string, force bool) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the CA: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the CA's key: %w", err)
	}
	template, err := newTemplate("ovsnet CA", caLife)
	if err != nil {
		return err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make the CA's certificate: %w", err)
	}
	return write(dir, "ca", der, key, force)
}

// Issue makes a host's certificate and key, signed by the CA in dir. Without
// the CA it is a Refusal of kind Missing; files that exist are one of kind
// Conflict unless Force is set.
func Issue(dir string, r Request) error {
	if err := overlay.ValidateName("host", r.Host); err != nil {
		return err
	}
	if r.Host == "ca" {
		return overlay.Refuse(overlay.Invalid, `host "ca"`, "name the host otherwise", "its files would be the CA's own")
	}
	ca, caKey, err := load(dir)
	if err != nil {
		return err
	}
	template, err := newTemplate(r.Host, hostLife)
	if err != nil {
		return err
	}
	if err := name(template, append([]string{r.Host, "localhost", "127.0.0.1", "::1"}, r.Addresses...)); err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key of host %s: %w", r.Host, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		return fmt.Errorf("make the certificate of host %s: %w", r.Host, err)
	}
	return write(dir, r.Host, der, key, r.Force)
}

// newTemplate begins a certificate with a random serial number.
func newTemplate(subject string, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: subject, Organization: []string{"ovsnet"}},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
	}, nil
}

// name makes the certificate valid for addresses and DNS names.
func name(template *x509.Certificate, words []string) error {
	for _, word := range words {
		if addr, err := netip.ParseAddr(word); err == nil {
			template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
			continue
		}
		if word == "" || strings.ContainsAny(word, " /:*") {
			return overlay.Refuse(overlay.Invalid, fmt.Sprintf("address %q", word), "write an IP address or a DNS name", "neither of them")
		}
		template.DNSNames = append(template.DNSNames, word)
	}
	return nil
}

// load reads the CA.
func load(dir string) (*x509.Certificate, crypto.Signer, error) {
	object := "CA in " + dir
	pair := [2][]byte{}
	for i, file := range []string{"ca.crt", "ca.key"} {
		raw, err := os.ReadFile(filepath.Join(dir, file))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, overlay.Refuse(overlay.Missing, object, "make one with ovsnet certs init, or set --dir", "there is no %s", file)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read the %s: %w", object, err)
		}
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, nil, overlay.Refuse(overlay.Invalid, object, "restore it, or make a new one with ovsnet certs init --force", "%s is not PEM", file)
		}
		pair[i] = block.Bytes
	}
	cert, err := x509.ParseCertificate(pair[0])
	if err != nil {
		return nil, nil, fmt.Errorf("read the %s: %w", object, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(pair[1])
	if err != nil {
		return nil, nil, fmt.Errorf("read the %s: %w", object, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, nil, overlay.Refuse(overlay.Invalid, object, "make a new one with ovsnet certs init --force", "its key cannot sign")
	}
	return cert, key, nil
}

// write puts a certificate and its key into dir, the key first: a certificate
// without its key would look complete.
func write(dir, base string, der []byte, key *ecdsa.PrivateKey, force bool) error {
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write the key of %s: %w", base, err)
	}
	if !force {
		for _, ext := range []string{".crt", ".key"} {
			if _, err := os.Stat(filepath.Join(dir, base+ext)); err == nil {
				return overlay.Refuse(overlay.Conflict, filepath.Join(dir, base+ext), "use --force to replace it", "it exists")
			}
		}
	}
	if err := replace(filepath.Join(dir, base+".key"), "PRIVATE KEY", raw, 0o600); err != nil {
		return err
	}
	return replace(filepath.Join(dir, base+".crt"), "CERTIFICATE", der, 0o644)
}

// replace writes a file whole or not at all.
func replace(path, kind string, der []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	err = errors.Join(
		temporary.Chmod(mode),
		pem.Encode(temporary, &pem.Block{Type: kind, Bytes: der}),
		temporary.Close(),
	)
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(temporary.Name())))
	}
	return nil
}
