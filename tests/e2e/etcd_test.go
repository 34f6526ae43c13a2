package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// etcdAddress is where h1's embedded etcd listens.
const etcdAddress = "192.0.2.1:2379"

// root is above every key of ovsnet.
const root = "/ovsnet/v1/"

// cluster is etcd as the test itself reaches it, past the agents, with the certificates of h1.
type cluster struct {
	raw   *clientv3.Client
	store *store.Store
}

// openCluster connects to the lab's etcd until the test ends.
func openCluster(t *testing.T, l *lab.Lab) cluster {
	t.Helper()
	h := l.Host(1)
	url := openDoor(t, nil, h, etcdAddress, nil).url()
	file := func(name string) string { return filepath.Join(h.Dir, "etc/ovsnet", name) }
	s, err := store.Open(store.Config{Endpoints: []string{url}, CAFile: file("ca.crt"), CertFile: file("host.crt"), KeyFile: file("host.key")})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(file("host.crt"), file("host.key"))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(file("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	raw, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, Logger: zap.NewNop(), DialTimeout: statePatience,
		TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = raw.Close()
		_ = s.Close()
	})
	return cluster{raw: raw, store: s}
}

// keys is everything below a prefix, which is itself below root, by what follows the prefix.
func (c cluster) keys(t *testing.T, prefix string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), statePatience)
	defer cancel()
	reply, err := c.raw.Get(ctx, root+prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, kv := range reply.Kvs {
		found[string(kv.Key[len(root+prefix):])] = string(kv.Value)
	}
	return found
}

// put writes one key below root.
func (c cluster) put(t *testing.T, key, value string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), statePatience)
	defer cancel()
	if _, err := c.raw.Put(ctx, root+key, value); err != nil {
		t.Fatal(err)
	}
}

// snapshot is the whole cluster as the store reads it.
func (c cluster) snapshot(t *testing.T) *overlay.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), statePatience)
	defer cancel()
	view, err := c.store.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(view.Problems) > 0 {
		t.Errorf("records that cannot be used: %v", view.Problems)
	}
	return view.Snapshot
}

// remove deletes one key below root.
func (c cluster) remove(t *testing.T, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), statePatience)
	defer cancel()
	if _, err := c.raw.Delete(ctx, root+key); err != nil {
		t.Fatal(err)
	}
}

// empty deletes everything below root, as one command of an operator can.
func (c cluster) empty(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), statePatience)
	defer cancel()
	if _, err := c.raw.Delete(ctx, root, clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
}
