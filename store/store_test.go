package store

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ovsnet/ovsnet/overlay"
)

// callTime bounds every call of these tests.
const callTime = 20 * time.Second

func callContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	t.Cleanup(cancel)
	return ctx
}

// server is a real etcd on loopback.
type server struct {
	url string
	dir string
	run *embed.Etcd
}

func startServer(t testing.TB) *server {
	t.Helper()
	s := &server{dir: filepath.Join(t.TempDir(), "etcd"), url: "http://127.0.0.1:0"}
	s.start(t)
	t.Cleanup(func() { s.run.Close() })
	return s
}

func (s *server) start(t testing.TB) {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel, cfg.LogOutputs = s.dir, "panic", []string{"/dev/null"}
	cfg.UnsafeNoFsync, cfg.TickMs, cfg.ElectionMs = true, 10, 100
	here, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	peers := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*here}, []url.URL{*here}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peers}, []url.URL{peers}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	s.run, err = embed.StartEtcd(cfg)
	if err != nil {
		t.Fatalf("start etcd: %v", err)
	}
	select {
	case <-s.run.Server.ReadyNotify():
	case <-time.After(callTime):
		t.Fatal("etcd did not become ready")
	}
	s.url = "http://" + s.run.Clients[0].Addr().String()
}

// open returns a host's store on the server.
func (s *server) open(t testing.TB) *Store { return openURL(t, s.url) }

func openURL(t testing.TB, url string) *Store {
	t.Helper()
	store, err := Open(Config{Endpoints: []string{url}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// raw returns a client for what a Store would never do.
func (s *server) raw(t testing.TB) *clientv3.Client {
	t.Helper()
	client, err := s.open(t).connection(callContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// put writes a key as it stands.
func (s *server) put(t testing.TB, key, value string) {
	t.Helper()
	if _, err := s.raw(t).Put(callContext(t), key, value); err != nil {
		t.Fatal(err)
	}
}

// keys returns all keys below the prefix with their values.
func (s *server) keys(t testing.TB, prefix string) map[string]string {
	t.Helper()
	reply, err := s.raw(t).Get(callContext(t), prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, kv := range reply.Kvs {
		all[string(kv.Key)] = string(kv.Value)
	}
	return all
}

// empty deletes everything.
func (s *server) empty(t testing.TB) {
	t.Helper()
	if _, err := s.raw(t).Delete(callContext(t), root, clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
}

// host is a store with a registered node.
func (s *server) host(t testing.TB, number int) (*Store, string) {
	t.Helper()
	store := s.open(t)
	register(t, store, number)
	return store, nodeName(number)
}

func nodeName(number int) string { return fmt.Sprintf("h%d", number) }

func testNode(number int) overlay.Node {
	return overlay.Node{Name: nodeName(number), VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(number)})}, Datapath: "netdev", MTU: 1450}
}

func testIdentity(number int) Identity {
	return Identity{Host: fmt.Sprintf("machine%d", number), Boot: fmt.Sprintf("boot%d", number)}
}

// begin is what an agent does first: it begins the cluster, or joins the one that is there.
func begin(t testing.TB, store *Store) {
	t.Helper()
	if _, err := store.CheckSchema(callContext(t), Remembered{}); err != nil {
		t.Fatal(err)
	}
}

func register(t testing.TB, store *Store, number int) {
	t.Helper()
	if store.boundCluster() == "" {
		begin(t, store)
	}
	if err := store.Register(callContext(t), testNode(number), testIdentity(number)); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the condition holds; say tells what holds it up.
func eventually(t testing.TB, condition func() (done bool, say string)) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(callTime)
	for {
		done, say := condition()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not in time: %s", say)
		}
	}
}

func wantKind(t testing.TB, err error, kind overlay.Kind) {
	t.Helper()
	if !overlay.IsKind(err, kind) {
		t.Fatalf("error %v, want a refusal of kind %d", err, kind)
	}
}

// meddler does something before and after every transaction of a store; an error
// is what the store gets instead of the transaction, or of its answer.
type meddler interface {
	before(writes bool) error
	after(writes bool) error
}

// meddle puts the meddler between the store and etcd.
func meddle(s *Store, m meddler) {
	dial := s.dial
	s.dial = func(ctx context.Context) (*clientv3.Client, error) {
		client, err := dial(ctx)
		if err == nil {
			client.KV = meddledKV{client.KV, m}
		}
		return client, err
	}
}

type meddledKV struct {
	clientv3.KV
	meddler meddler
}

func (k meddledKV) Txn(ctx context.Context) clientv3.Txn {
	return &meddledTxn{Txn: k.KV.Txn(ctx), meddler: k.meddler}
}

type meddledTxn struct {
	clientv3.Txn
	meddler meddler
	writes  bool
}

func (x *meddledTxn) If(c ...clientv3.Cmp) clientv3.Txn  { x.Txn = x.Txn.If(c...); return x }
func (x *meddledTxn) Else(o ...clientv3.Op) clientv3.Txn { x.Txn = x.Txn.Else(o...); return x }

func (x *meddledTxn) Then(o ...clientv3.Op) clientv3.Txn {
	x.writes = slices.ContainsFunc(o, func(op clientv3.Op) bool { return !op.IsGet() })
	x.Txn = x.Txn.Then(o...)
	return x
}

func (x *meddledTxn) Commit() (*clientv3.TxnResponse, error) {
	if err := x.meddler.before(x.writes); err != nil {
		return nil, err
	}
	reply, err := x.Txn.Commit()
	if lost := x.meddler.after(x.writes); lost != nil {
		return nil, lost
	}
	return reply, err
}

// faults makes transactions fail: of those that write, rate fail before they
// happen and as many lose their answer; of the others a tenth as many.
type faults struct {
	mu   sync.Mutex
	dice *rand.Rand
	rate float64
}

func (f *faults) before(writes bool) error { return f.roll(writes) }
func (f *faults) after(writes bool) error  { return f.roll(writes) }

func (f *faults) roll(writes bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	rate := f.rate
	if !writes {
		rate /= 10
	}
	if f.dice.Float64() < rate {
		return status.Error(codes.Unavailable, "injected: connection lost")
	}
	return nil
}

// interruption does something once: before the transaction after so many others,
// or, with skip below 0, before the first that writes, when all was read that it
// stands on.
type interruption struct {
	skip int
	do   func()
	done bool
}

func (i *interruption) before(writes bool) error {
	if i.skip--; !i.done && (i.skip == -1 || i.skip < -1 && writes) {
		i.done = true
		i.do()
	}
	return nil
}

func (i *interruption) after(bool) error { return nil }

// wire is a TCP connection to the server that can be cut.
type wire struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func newWire(t testing.TB, to string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener, to: to}
	t.Cleanup(func() {
		_ = listener.Close()
		w.set(true)
	})
	go w.serve()
	return w
}

func (w *wire) url() string { return "http://" + w.listener.Addr().String() }

func (w *wire) serve() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		if !w.keep(near, far) {
			_, _ = near.Close(), far.Close()
			continue
		}
		go pipe(near, far)
		go pipe(far, near)
	}
}

func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
}

func (w *wire) keep(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return false
	}
	w.conns = append(w.conns, conns...)
	return true
}

// set cuts the wire, or mends it.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}
