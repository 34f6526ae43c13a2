package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ovsnet/ovsnet/overlay"
)

// latest is after how many others a transaction happens at the latest: no call has more steps in one try.
const latest = 6

// late is a connection that breaks with every other transaction that writes: the caller hears of the break at once, and
// etcd makes the transaction only later, before one of those that follow. Which, the dice say.
type late struct {
	clientv3.KV

	mu     sync.Mutex
	dice   *rand.Rand
	held   func() error
	others int
	// landed counts the transactions that happened although their caller had been told of a break.
	landed int
}

// Txn begins a transaction.
func (l *late) Txn(ctx context.Context) clientv3.Txn { return &lateTxn{late: l, ctx: ctx} }

// pass lets the held transaction happen when its time has come, and holds the next one that writes.
func (l *late) pass(x *lateTxn) (held bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		if l.others--; l.others < 0 {
			err := l.held()
			l.held = nil
			return false, err
		}
		return false, nil
	}
	writes := slices.ContainsFunc(x.then, func(op clientv3.Op) bool { return !op.IsGet() })
	if !writes || l.dice.IntN(2) == 0 {
		return false, nil
	}
	// The attempt's own time is over when etcd makes the transaction.
	ctx := context.WithoutCancel(x.ctx)
	l.others = l.dice.IntN(latest)
	l.held = func() error {
		reply, err := l.KV.Txn(ctx).If(x.when...).Then(x.then...).Else(x.other...).Commit()
		if err == nil && reply.Succeeded {
			l.landed++
		}
		return err
	}
	return true, nil
}

// lateTxn collects a transaction, so that it can be made later.
type lateTxn struct {
	late        *late
	ctx         context.Context
	when        []clientv3.Cmp
	then, other []clientv3.Op
}

func (x *lateTxn) If(c ...clientv3.Cmp) clientv3.Txn  { x.when = append(x.when, c...); return x }
func (x *lateTxn) Then(o ...clientv3.Op) clientv3.Txn { x.then = append(x.then, o...); return x }
func (x *lateTxn) Else(o ...clientv3.Op) clientv3.Txn { x.other = append(x.other, o...); return x }

func (x *lateTxn) Commit() (*clientv3.TxnResponse, error) {
	held, err := x.late.pass(x)
	if err != nil {
		return nil, err
	}
	if held {
		return nil, status.Error(codes.Unavailable, "injected: connection lost")
	}
	return x.late.KV.Txn(x.ctx).If(x.when...).Then(x.then...).Else(x.other...).Commit()
}

// TestLateCommit makes every kind of change while each transaction happens between the reads of the try that follows
// it, which must recognise its own work wherever it comes upon it.
func TestLateCommit(t *testing.T) {
	landed := 0
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := startServer(t)
			d := docker{s.open(t), "h1"}
			l := &late{dice: rand.New(rand.NewPCG(seed, 0))}
			dial := d.store.dial
			d.store.dial = func(ctx context.Context) (*clientv3.Client, error) {
				client, err := dial(ctx)
				if err == nil {
					l.KV, client.KV = client.KV, l
				}
				return client, err
			}
			lateStory(t, d)
			audit(t, s)
			landed += l.landed
		})
	}
	if landed == 0 {
		t.Error("no transaction happened late")
	}
}

// lateStory does all that a host does, and fails when any of it is refused.
func lateStory(t *testing.T, d docker) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	begin(t, d.store)
	must("register", d.store.Register(callContext(t), testNode(1), testIdentity(1)))
	_, err := d.store.CreateNetwork(callContext(t), overlay.Network{Name: "ops", VNI: 77, MTU: 1450, Subnets: []overlay.Subnet{{Prefix: prefix("10.9.0.0/24")}}})
	must("create a network", err)
	web, pool, err := d.create(callContext(t), fullForm())
	must("attach by both names", err)
	other, otherPool, err := d.create(callContext(t), dockerNetwork{id: "d2"})
	must("attach by nothing", err)
	e, err := d.run(callContext(t), "e1", web, pool, netip.Addr{})
	must("run", err)
	fixed, err := d.run(callContext(t), "e2", web, pool, addr("10.1.0.77"))
	must("run with an address", err)
	must("stop", d.stop(callContext(t), e, pool))
	must("stop", d.stop(callContext(t), fixed, pool))
	must("remove", d.remove(callContext(t), "d", web, pool))
	must("remove", d.remove(callContext(t), "d2", other, otherPool))
	must("remove the network", d.store.RemoveNetwork(callContext(t), "ops"))
	must("remove the node", d.store.RemoveNode(callContext(t), d.node))
}
