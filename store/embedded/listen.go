package embedded

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// LocalURL returns the URL by which the agent in this process reaches a server
// that listens on that URL: the same, or loopback where it listens on all
// addresses. What is no URL comes back as it is; Start refuses it.
func LocalURL(listen string) string {
	u, err := url.Parse(listen)
	if err != nil {
		return listen
	}
	return localURL(*u)
}

func localURL(u url.URL) string {
	switch addr, _ := netip.ParseAddr(u.Hostname()); {
	case !addr.IsUnspecified():
	case addr.Is4():
		u.Host = net.JoinHostPort("127.0.0.1", u.Port())
	default:
		u.Host = net.JoinHostPort("::1", u.Port())
	}
	return u.String()
}

// checkListen refuses a URL that would let anybody in, or nobody.
func checkListen(cfg Config, now time.Time) (url.URL, error) {
	object := "embedded etcd's URL " + cfg.ListenURL
	u, err := url.Parse(cfg.ListenURL)
	if err != nil || u.Hostname() == "" || u.Port() == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return url.URL{}, overlay.Refuse(overlay.Invalid, object, "write it as in https://192.0.2.1:2379", "not a URL with host and port")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil || addr.Zone() != "" {
		return url.URL{}, overlay.Refuse(overlay.Invalid, object, "write an IP address of this host", "its host is not an IP address")
	}
	switch {
	case u.Scheme == "https":
		if cfg.CAFile == "" || cfg.CertFile == "" || cfg.KeyFile == "" {
			return url.URL{}, overlay.Refuse(overlay.Invalid, object, "set --etcd-ca, --etcd-cert and --etcd-key; \"ovsnet certs\" makes the files", "TLS needs a CA, a certificate and a key")
		}
		if err := checkCertificate(cfg, localURL(*u), now); err != nil {
			return url.URL{}, err
		}
	case u.Scheme != "http":
		return url.URL{}, overlay.Refuse(overlay.Invalid, object, "use https, or http on loopback", "unknown scheme %q", u.Scheme)
	case !addr.IsLoopback() && !cfg.Insecure:
		return url.URL{}, overlay.Refuse(overlay.Invalid, object, "use https with files from \"ovsnet certs\", or allow it with --etcd-insecure", "plain TCP beyond loopback would let anybody change the cluster")
	}
	return *u, nil
}

// checkCertificate refuses a server certificate that no client would accept:
// etcd would start with it and clients would only see that they cannot connect.
func checkCertificate(cfg Config, endpoint string, now time.Time) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("parse the client URL %s: %w", endpoint, err)
	}
	pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return refuseCertificate(cfg.CertFile, "give the files of one \"ovsnet certs issue\"", err)
	}
	roots, err := readPool(cfg.CAFile)
	if err != nil {
		return err
	}
	host := u.Hostname()
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: intermediates(pair), DNSName: host, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		if err != nil {
			return refuseCertificate(cfg.CertFile, fmt.Sprintf("issue it again with \"ovsnet certs issue HOST --address %s\" and the CA of %s", host, cfg.CAFile), err)
		}
	}
	return nil
}

func readPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, refuseCertificate(file, "set --etcd-ca to the CA's certificate", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, overlay.Refuse(overlay.Invalid, "CA "+file, "set --etcd-ca to the CA's certificate", "it holds no certificate in PEM")
	}
	return pool, nil
}

func intermediates(pair tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			pool.AddCert(c)
		}
	}
	return pool
}

func refuseCertificate(file, remedy string, err error) error {
	r := overlay.Refuse(overlay.Invalid, "certificate "+file, remedy, "clients would not accept it")
	r.Err = err
	return r
}
