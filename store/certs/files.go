package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// authority is a CA that can sign.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// readAuthority reads the CA in dir and refuses one that cannot sign now.
func readAuthority(dir string, now time.Time) (authority, error) {
	object := "CA in " + dir
	certFile, keyFile := pairFiles(dir, caName)
	der, err := readPEM(certFile, "CERTIFICATE")
	if err != nil {
		return authority{}, refuseAuthority(object, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, refuseAuthority(object, fmt.Errorf("parse %s: %w", certFile, err))
	}
	if der, err = readPEM(keyFile, "PRIVATE KEY"); err != nil {
		return authority{}, refuseAuthority(object, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return authority{}, refuseAuthority(object, fmt.Errorf("parse %s: %w", keyFile, err))
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	switch {
	case !ok || !key.PublicKey.Equal(certificate.PublicKey):
		return authority{}, overlay.Refuse(overlay.Invalid, object, "put the files of one \"ovsnet certs init\" there", "ca.key is not the key of ca.crt")
	case !certificate.IsCA:
		return authority{}, overlay.Refuse(overlay.Invalid, object, "put the files of one \"ovsnet certs init\" there", "ca.crt is not a CA's certificate")
	case now.After(certificate.NotAfter):
		return authority{}, overlay.Refuse(overlay.Invalid, object, "make a new one with \"ovsnet certs init --force\" and issue all hosts' certificates again", "it expired on %s", certificate.NotAfter.Format(time.DateOnly))
	}
	return authority{certificate: certificate, key: key}, nil
}

// refuseAuthority tells a CA that does not exist from one that cannot be read.
func refuseAuthority(object string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return overlay.Refuse(overlay.Missing, object, "make it with \"ovsnet certs init\", or name its directory with --dir", "not found")
	}
	r := overlay.Refuse(overlay.Invalid, object, "restore its files, or make a new one with \"ovsnet certs init --force\"", "it cannot be read")
	r.Err = err
	return r
}

func readPEM(file, kind string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no PEM block of type %s", file, kind)
	}
	return block.Bytes, nil
}

func pairFiles(dir, name string) (certFile, keyFile string) {
	return filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
}

// writePair writes a certificate (0644) and its key (0600). A reader sees each
// file either as it was or complete.
func writePair(dir, name string, der []byte, key *ecdsa.PrivateKey, force bool) error {
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key of %q: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory for certificates: %w", err)
	}
	certFile, keyFile := pairFiles(dir, name)
	if !force {
		for _, file := range []string{certFile, keyFile} {
			if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
				return refuseExisting(file)
			}
		}
	}
	if err := writeFile(keyFile, 0o600, "PRIVATE KEY", private, force); err != nil {
		return err
	}
	return writeFile(certFile, 0o644, "CERTIFICATE", der, force)
}

// writeFile writes beside the file and then moves into place: by rename where
// an existing file may be replaced, else by link, which fails if there is one.
func writeFile(file string, mode fs.FileMode, kind string, der []byte, force bool) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	err = errors.Join(pem.Encode(temp, &pem.Block{Type: kind, Bytes: der}), temp.Chmod(mode), temp.Sync(), temp.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	place := os.Link
	if force {
		place = os.Rename
	}
	switch err := place(temp.Name(), file); {
	case errors.Is(err, fs.ErrExist):
		return refuseExisting(file)
	case err != nil:
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

func refuseExisting(file string) error {
	return overlay.Refuse(overlay.Conflict, file, "use --force to replace it", "exists")
}
