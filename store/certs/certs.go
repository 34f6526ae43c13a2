package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// CAValidity is how long a CA is valid: 20 years.
const CAValidity = 20 * 365 * 24 * time.Hour

// HostValidity is how long a host's certificate is valid: 5 years, less where
// its CA ends before.
const HostValidity = 5 * 365 * 24 * time.Hour

// clockSkew is how far hosts' clocks may lie behind that of the issuer.
const clockSkew = time.Hour

// caName is the base name of the CA's files, which therefore no host can have.
const caName = "ca"

// Request says for which host a certificate is made.
type Request struct {
	// Host is the host's name: the subject, a DNS name of the certificate, and
	// the base name of its files.
	Host string
	// Addresses are the IP addresses and DNS names, beside Host and loopback,
	// that the host is reached by.
	Addresses []string
	// Force replaces files that exist.
	Force bool
}

// Init makes the CA's files in dir, which is made (0700) if it does not exist.
// Where a CA exists it refuses with kind Conflict, unless force is set; a new
// CA makes every certificate of the old one useless.
func Init(dir string, force bool) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate the CA's key: %w", err)
	}
	template := authorityTemplate(time.Now())
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("sign the CA's certificate: %w", err)
	}
	return writePair(dir, caName, der, key, force)
}

// Issue makes a host's certificate and key in dir, signed by the CA there. It
// refuses a name or address that cannot be in a certificate (kind Invalid), a
// directory without a CA (Missing) and files that exist (Conflict, unless
// Force).
func Issue(dir string, r Request) error {
	names, err := r.subjects()
	if err != nil {
		return err
	}
	ca, err := readAuthority(dir, time.Now())
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate the key of host %q: %w", r.Host, err)
	}
	template := hostTemplate(r.Host, names, time.Now(), ca.certificate.NotAfter)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return fmt.Errorf("sign the certificate of host %q: %w", r.Host, err)
	}
	return writePair(dir, r.Host, der, key, r.Force)
}

// authorityTemplate describes the CA. Templates leave the serial number out, so
// that crypto/x509 draws a random one of 20 octets (RFC 5280, 4.1.2.2).
func authorityTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: "ovsnet CA " + now.UTC().Format(time.DateOnly)},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(CAValidity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
}

func hostTemplate(host string, names subjects, now, caEnd time.Time) *x509.Certificate {
	end := now.Add(HostValidity)
	if caEnd.Before(end) {
		end = caEnd
	}
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: host},
		NotBefore:   now.Add(-clockSkew),
		NotAfter:    end,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    names.dns,
		IPAddresses: names.ips,
	}
}

// subjects are what a host's certificate is valid for.
type subjects struct {
	dns []string
	ips []net.IP
}

// subjects sorts the request's names and addresses and refuses what is neither.
func (r Request) subjects() (subjects, error) {
	if err := overlay.ValidateName("host", r.Host); err != nil {
		return subjects{}, err
	}
	if r.Host == caName {
		return subjects{}, overlay.Refuse(overlay.Invalid, "host \""+r.Host+"\"", "choose another name", "its files would be those of the CA")
	}
	var s subjects
	for _, word := range append([]string{"localhost", "127.0.0.1", "::1", r.Host}, r.Addresses...) {
		addr, err := netip.ParseAddr(word)
		switch {
		case err == nil && addr.Zone() == "":
			s.addIP(addr.Unmap())
		case err != nil && isDNSName(word):
			s.addName(word)
		default:
			return subjects{}, overlay.Refuse(overlay.Invalid, "--address \""+word+"\"", "write it as in 192.0.2.7 or host.example.org", "neither an IP address nor a DNS name")
		}
	}
	return s, nil
}

func (s *subjects) addIP(addr netip.Addr) {
	ip := net.IP(addr.AsSlice())
	if !slices.ContainsFunc(s.ips, ip.Equal) {
		s.ips = append(s.ips, ip)
	}
}

func (s *subjects) addName(name string) {
	if !slices.Contains(s.dns, name) {
		s.dns = append(s.dns, name)
	}
}

// isDNSName reports whether name is a host name (RFC 1123, 2.1), where also '_'
// is let through as host names in use have it. A last label of digits only is
// not: that is an IP address with a typing error.
func isDNSName(name string) bool {
	labels := strings.Split(name, ".")
	if len(name) > 253 || strings.Trim(labels[len(labels)-1], "0123456789") == "" && len(labels) > 1 {
		return false
	}
	return !slices.ContainsFunc(labels, func(label string) bool {
		bad := strings.IndexFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
		})
		return bad >= 0 || len(label) == 0 || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-")
	})
}
