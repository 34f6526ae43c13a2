package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store/certs"
	"github.com/ovsnet/ovsnet/store/embedded"
)

func TestOpenRefuses(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(garbage, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		cfg     Config
		refusal string
	}{
		"no endpoint":       {Config{}, "no endpoint"},
		"plain TCP":         {Config{Endpoints: []string{"http://10.0.0.1:2379"}}, "--etcd-insecure"},
		"plain TCP by name": {Config{Endpoints: []string{"etcd.example:2379"}}, "--etcd-insecure"},
		"scheme":            {Config{Endpoints: []string{"ftp://10.0.0.1"}}, `unknown scheme "ftp"`},
		"mixed":             {Config{Endpoints: []string{"http://127.0.0.1:2379", "https://10.0.0.1:2379"}}, "use one scheme"},
		"no URL":            {Config{Endpoints: []string{"http://"}}, "not a URL"},
		"TLS files, http":   {Config{Endpoints: []string{"http://127.0.0.1:2379"}, CAFile: garbage}, "does not use TLS"},
		"CA away":           {Config{Endpoints: []string{"127.0.0.1:2379"}, CAFile: garbage + ".away"}, "no such file"},
		"CA garbage":        {Config{Endpoints: []string{"127.0.0.1:2379"}, CAFile: garbage}, "no PEM certificate"},
		"half a pair":       {Config{Endpoints: []string{"127.0.0.1:2379"}, CertFile: garbage}, "--etcd-cert and --etcd-key"},
		"pair garbage":      {Config{Endpoints: []string{"127.0.0.1:2379"}, CertFile: garbage, KeyFile: garbage}, "cannot be used"},
		"half a login":      {Config{Endpoints: []string{"127.0.0.1:2379"}, User: "root"}, "--etcd-user and --etcd-password"},
	} {
		_, err := Open(test.cfg)
		if !overlay.IsKind(err, overlay.Invalid) || !strings.Contains(err.Error(), test.refusal) {
			t.Errorf("%s: %v, want a refusal with %q", name, err, test.refusal)
		}
	}
}

// Files that may not be read are not to be made anew.
func TestFilesOfAnother(t *testing.T) {
	for err, says := range map[error]string{fs.ErrPermission: "run this as root", fs.ErrNotExist: "make the files"} {
		if got := unusable("--etcd-key host.key", &fs.PathError{Op: "open", Path: "host.key", Err: err}); !strings.Contains(got.Error(), says) {
			t.Errorf("%v, want it to say %q", got, says)
		}
	}
}

func TestOpenAccepts(t *testing.T) {
	for _, test := range []struct {
		cfg  Config
		want []string
	}{
		{Config{Endpoints: []string{"127.0.0.1:2379", "localhost:2380"}}, []string{"http://127.0.0.1:2379", "http://localhost:2380"}},
		{Config{Endpoints: []string{"http://[::1]:2379"}}, []string{"http://[::1]:2379"}},
		{Config{Endpoints: []string{"http://10.0.0.1:2379"}, Insecure: true}, []string{"http://10.0.0.1:2379"}},
		{Config{Endpoints: []string{"https://etcd.example:2379"}}, []string{"https://etcd.example:2379"}},
		{Config{Endpoints: []string{"unix:///run/etcd.sock"}}, []string{"unix:///run/etcd.sock"}},
	} {
		s, err := Open(test.cfg)
		if err != nil || !slices.Equal(s.Endpoints(), test.want) {
			t.Errorf("%v: %v", test.cfg.Endpoints, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestEtcdAway holds that Open does not wait and that a call fails within its
// deadline, saying which etcd does not answer. Port 1 is nobody's.
func TestEtcdAway(t *testing.T) {
	for _, cfg := range []Config{
		{Endpoints: []string{"http://127.0.0.1:1"}},
		{Endpoints: []string{"http://127.0.0.1:1"}, User: "root", Password: "secret"},
	} {
		s, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		began := time.Now()
		_, err = s.List(ctx)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %s", took)
		}
		wantKind(t, err, overlay.Unavailable)
		for _, part := range []string{"etcd at http://127.0.0.1:1", "list the cluster", "connection refused", "check that etcd runs"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %q", err, part)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := s.List(context.Background()); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("a closed store answers %v", err)
		}
	}
}

// TestLogin uses an etcd with authentication, which is away at first.
func TestLogin(t *testing.T) {
	s := startServer(t)
	raw := s.raw(t)
	ctx := callContext(t)
	for _, do := range []func() error{
		func() error { _, err := raw.UserAdd(ctx, "root", "secret"); return err },
		func() error { _, err := raw.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := raw.AuthEnable(ctx); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	w := newWire(t, strings.TrimPrefix(s.url, "http://"))
	w.set(true)
	store, err := Open(Config{Endpoints: []string{w.url()}, User: "root", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, err = store.CheckSchema(short, Remembered{})
	wantKind(t, err, overlay.Unavailable)
	w.set(false)
	if _, err := store.CheckSchema(ctx, Remembered{}); err != nil {
		t.Errorf("with the right password: %v", err)
	}
	wrong, err := Open(Config{Endpoints: []string{s.url}, User: "root", Password: "guess"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wrong.Close() })
	if _, err := wrong.CheckSchema(ctx, Remembered{}); err == nil || !strings.Contains(err.Error(), "invalid user ID or password") {
		t.Errorf("with the wrong password: %v", err)
	}
}

// TestTLS uses certificates as `ovsnet certs` makes them, both ways.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	if err := certs.Init(dir, false); err != nil {
		t.Fatal(err)
	}
	if err := certs.Issue(dir, certs.Request{Host: "h1"}); err != nil {
		t.Fatal(err)
	}
	ca, cert, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "h1.crt"), filepath.Join(dir, "h1.key")
	run, err := embedded.Start(callContext(t), embedded.Config{
		Dir: filepath.Join(t.TempDir(), "etcd"), ListenURL: "https://127.0.0.1:0", CAFile: ca, CertFile: cert, KeyFile: key,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = run.Close() })
	endpoint := "https://" + run.Endpoint()[strings.Index(run.Endpoint(), "127.0.0.1"):]
	for name, test := range map[string]struct {
		cfg     Config
		refusal string
	}{
		"both":           {Config{CAFile: ca, CertFile: cert, KeyFile: key}, ""},
		"no certificate": {Config{CAFile: ca}, "check that etcd runs there and that this host reaches it, and that its certificate and this host's"},
		"another CA":     {Config{CertFile: cert, KeyFile: key}, "unknown authority"},
	} {
		test.cfg.Endpoints = []string{endpoint}
		s, err := Open(test.cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx := callContext(t)
		if test.refusal != "" {
			short, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			ctx = short
		}
		_, err = s.CheckSchema(ctx, Remembered{})
		if test.refusal == "" && err != nil || test.refusal != "" && (err == nil || !strings.Contains(err.Error(), test.refusal)) {
			t.Errorf("%s: %v, want %q", name, err, test.refusal)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSchema(t *testing.T) {
	s := startServer(t)
	first := s.open(t)
	cluster, err := first.CheckSchema(callContext(t), Remembered{})
	if err != nil || len(cluster) != 32 {
		t.Fatal(cluster, err)
	}
	check := func(remembered string) error {
		t.Helper()
		got, err := s.open(t).CheckSchema(callContext(t), Remembered{Cluster: remembered})
		if err == nil && got != cluster {
			t.Errorf("cluster %q, want %q", got, cluster)
		}
		return err
	}
	if err := errors.Join(check(""), check(cluster)); err != nil {
		t.Errorf("a second host: %v", err)
	}
	wantKind(t, check("another"), overlay.Conflict)
	register(t, first, 1)

	schema := func(version, oldest int) string {
		return fmt.Sprintf(`{"v":1,"version":%d,"oldest_reader":%d,"cluster":%q}`, version, oldest, cluster)
	}
	s.put(t, schemaKey, schema(2, 1))
	register(t, first, 2)
	s.put(t, schemaKey, schema(3, 2))
	for name, err := range map[string]error{
		"check":    check(""),
		"register": first.Register(callContext(t), testNode(3), testIdentity(3)),
		"list":     func() error { _, err := first.List(callContext(t)); return err }(),
	} {
		if !overlay.IsKind(err, overlay.Conflict) || !strings.Contains(err.Error(), "version 3, for builds of schema 2 or newer; this build's is 1") {
			t.Errorf("%s under a newer schema: %v", name, err)
		}
	}
	s.put(t, schemaKey, `garbage`)
	wantKind(t, check(""), overlay.Conflict)
}

func TestSchemaOfABuildWithoutClusters(t *testing.T) {
	s := startServer(t)
	s.put(t, schemaKey, `{"v":1,"version":1,"oldest_reader":1,"later":"kept"}`)
	cluster, err := s.open(t).CheckSchema(callContext(t), Remembered{})
	if got := s.keys(t, schemaKey)[schemaKey]; err != nil || cluster == "" || !strings.Contains(got, cluster) || !strings.Contains(got, `"later":"kept"`) {
		t.Errorf("cluster %q, error %v, record %s", cluster, err, got)
	}
}

// A backup of a build without cluster IDs gets back the one that its hosts remember, and from nobody else another.
func TestBackupOfABuildWithoutClusters(t *testing.T) {
	s := startServer(t)
	store, name := s.host(t, 1)
	own := Remembered{Cluster: store.boundCluster(), Node: name, Host: testIdentity(1).Host}
	old := `{"v":1,"version":1,"oldest_reader":1,"later":"kept"}`
	s.put(t, schemaKey, old)
	if _, err := s.open(t).CreateNetwork(callContext(t), overlay.Network{Name: "ops", MTU: 1450, Subnets: []overlay.Subnet{{Prefix: prefix("10.9.0.0/24")}}}); err != nil {
		t.Errorf("an operator: %v", err)
	}
	for who, host := range map[string]Remembered{
		"a fresh host":                 {Node: "h2", Host: testIdentity(2).Host},
		"a host of another cluster":    {Cluster: "another", Node: "h2", Host: testIdentity(2).Host},
		"another machine of that name": {Cluster: own.Cluster, Node: name, Host: testIdentity(2).Host},
	} {
		if _, err := s.open(t).CheckSchema(callContext(t), host); !overlay.IsKind(err, overlay.Conflict) {
			t.Errorf("%s: %v", who, err)
		}
	}
	if now := s.keys(t, schemaKey)[schemaKey]; now != old {
		t.Fatalf("the schema record is %s", now)
	}
	got, err := store.CheckSchema(callContext(t), own)
	if now := s.keys(t, schemaKey)[schemaKey]; err != nil || got != own.Cluster || !strings.Contains(now, own.Cluster) || !strings.Contains(now, `"later":"kept"`) {
		t.Errorf("its own host: cluster %q, error %v, record %s", got, err, now)
	}
	if got, err := s.open(t).CheckSchema(callContext(t), Remembered{Node: "h2", Host: testIdentity(2).Host}); err != nil || got != own.Cluster {
		t.Errorf("a fresh host after that: %q, %v", got, err)
	}
}

// The first host of such a build that is upgraded gives the cluster its ID.
func TestUpgradeOfABuildWithoutClusters(t *testing.T) {
	s := startServer(t)
	s.host(t, 1)
	s.put(t, schemaKey, `{"v":1,"version":1,"oldest_reader":1}`)
	if cluster, err := s.open(t).CheckSchema(callContext(t), Remembered{Node: "h1", Host: testIdentity(1).Host}); err != nil || cluster == "" {
		t.Errorf("cluster %q, error %v", cluster, err)
	}
}

// What is no agent's never begins a cluster, nor does a fresh host while hosts' data is only coming back.
func TestOnlyAgentsBeginClusters(t *testing.T) {
	s := startServer(t)
	operator := s.open(t)
	_, err := operator.CreateNetwork(callContext(t), overlay.Network{Name: "ops", MTU: 1450, Subnets: []overlay.Subnet{{Prefix: prefix("10.9.0.0/24")}}})
	for call, err := range map[string]error{
		"network create": err,
		"network rm":     operator.RemoveNetwork(callContext(t), "ops"),
		"node rm":        operator.RemoveNode(callContext(t), "h1"),
	} {
		if !overlay.IsKind(err, overlay.Unavailable) || !errors.Is(err, errNoCluster) {
			t.Errorf("%s in an empty etcd: %v", call, err)
		}
	}
	if left := s.keys(t, root); len(left) != 0 {
		t.Errorf("written: %v", left)
	}
	s.host(t, 1)
	if _, err := s.raw(t).Delete(callContext(t), schemaKey); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"h1", "h2"} {
		_, err := s.open(t).CheckSchema(callContext(t), Remembered{Node: name, Host: testIdentity(1).Host})
		wantKind(t, err, overlay.Conflict)
	}
	if _, there := s.keys(t, root)[schemaKey]; there {
		t.Error("a cluster was begun among another's hosts")
	}
}

// A host that belongs to a cluster never begins another one in an etcd that lost its data.
func TestEmptiedEtcdIsRefused(t *testing.T) {
	s := startServer(t)
	store := s.open(t)
	cluster, err := store.CheckSchema(callContext(t), Remembered{})
	if err != nil {
		t.Fatal(err)
	}
	register(t, store, 1)
	kept := s.keys(t, root)
	s.empty(t)
	wantKind(t, store.Register(callContext(t), testNode(1), testIdentity(1)), overlay.Conflict)
	_, err = s.open(t).CheckSchema(callContext(t), Remembered{Cluster: cluster})
	if wantKind(t, err, overlay.Conflict); !strings.Contains(err.Error(), "--new-cluster") {
		t.Errorf("the refusal does not say what to do: %v", err)
	}
	if left := s.keys(t, root); len(left) != 0 {
		t.Errorf("a refused host wrote %v", left)
	}
	for key, value := range kept {
		s.put(t, key, value)
	}
	register(t, store, 1)
	s.empty(t)
	if fresh, err := s.open(t).CheckSchema(callContext(t), Remembered{}); err != nil || fresh == cluster {
		t.Errorf("a host of no cluster: %q, %v", fresh, err)
	}
}
