package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/cache"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// connectTimeout is how long connecting and the first copy of the monitored
// columns may take, transactTimeout how long a transaction may.
const (
	connectTimeout  = 10 * time.Second
	transactTimeout = 10 * time.Second
)

// errStale says that a plan named a row that was gone by the time it was to be
// changed.
var errStale = errors.New("a row changed hands in the meantime")

// session is one connection, from its first copy of the database to its end.
type session struct {
	client client.Client
	cache  *cache.TableCache
	probe  time.Duration
	// gone is closed when libovsdb has noticed the end.
	gone chan struct{}
}

// connect opens a session; notify is called after every change in its copy.
func connect(ctx context.Context, config Config, notify func()) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	db, err := databaseModel()
	if err != nil {
		return nil, err
	}
	logger := logr.FromSlogHandler(config.Logger.Handler())
	cl, err := client.NewOVSDBClient(db, client.WithEndpoint(config.Endpoint), client.WithLogger(&logger))
	if err != nil {
		return nil, fmt.Errorf("prepare an OVSDB client: %w", err)
	}
	s := &session{client: cl, probe: config.ProbeInterval, gone: make(chan struct{})}
	failed := make(chan struct{})
	// libovsdb drops this signal if nobody waits at that moment, so somebody
	// waits before there is a connection to lose.
	go func() {
		select {
		case <-cl.DisconnectNotify():
		case <-failed:
		}
		close(s.gone)
	}()
	if err := s.open(ctx, notify); err != nil {
		close(failed)
		cl.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) open(ctx context.Context, notify func()) error {
	if err := s.client.Connect(ctx); err != nil {
		return err
	}
	s.cache = s.client.Cache()
	if s.cache == nil {
		return client.ErrNotConnected
	}
	s.cache.AddEventHandler(&cache.EventHandlerFuncs{
		AddFunc:    func(string, model.Model) { notify() },
		DeleteFunc: func(string, model.Model) { notify() },
		UpdateFunc: func(_ string, before, after model.Model) {
			if !onlyCounters(before, after) {
				notify()
			}
		},
	})
	monitor := s.client.NewMonitor()
	monitor.Tables = monitored()
	if _, err := s.client.Monitor(ctx, monitor); err != nil {
		return fmt.Errorf("monitor database %s: %w", database, err)
	}
	return nil
}

// onlyCounters reports whether two states of a row differ in nothing but an
// interface's statistics, which ovs-vswitchd renews every five seconds.
func onlyCounters(before, after model.Model) bool {
	x, ok := before.(*interfaceRow)
	if !ok {
		return false
	}
	y, ok := after.(*interfaceRow)
	if !ok {
		return false
	}
	a, b := *x, *y
	a.Statistics, b.Statistics = nil, nil
	return reflect.DeepEqual(a, b)
}

// serve returns why the connection ended. A server that has stopped without
// closing it is found out by asking for an echo (RFC 7047 section 4.1.11).
func (s *session) serve(ctx context.Context) error {
	defer s.close()
	ticker := time.NewTicker(s.probe)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.gone:
			return errors.New("the connection was lost")
		case <-ticker.C:
			if _, err := bounded(ctx, s.probe, func(ctx context.Context) (struct{}, error) {
				return struct{}{}, s.client.Echo(ctx)
			}); err != nil {
				return fmt.Errorf("no sign of life: %w", err)
			}
		}
	}
}

// close ends the connection. It does not wait for long, because libovsdb waits
// for calls under way, which a stopped server may keep.
func (s *session) close() {
	go s.client.Close()
	select {
	case <-s.gone:
	case <-time.After(s.probe):
	}
}

// bounded calls f and returns at the latest when the time is up. libovsdb
// itself may stay in a write to a server that has stopped reading.
func bounded[T any](ctx context.Context, limit time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := f(ctx)
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// transact does the operations, all or none of them.
func (s *session) transact(ctx context.Context, ops []ovsdb.Operation) error {
	results, err := bounded(ctx, transactTimeout, func(ctx context.Context) ([]ovsdb.OperationResult, error) {
		return s.client.Transact(ctx, ops...)
	})
	if err != nil {
		return err
	}
	return verdict(results, ops)
}

// rejection is a transaction that the server understood and did not do.
type rejection struct{ err error }

func (r rejection) Error() string { return "OVSDB rejected the transaction: " + r.err.Error() }
func (r rejection) Unwrap() error { return r.err }

// verdict reads the results of a transaction. That a change found no row is
// no error in OVSDB, and harmless, since rows that were inserted beside it are
// then referred to by nothing and collected; but the plan was not carried out.
func verdict(results []ovsdb.OperationResult, ops []ovsdb.Operation) error {
	failures, err := ovsdb.CheckOperationResults(results, ops)
	for _, failure := range failures {
		return rejection{fmt.Errorf("%s %s: %w", failure.Operation().Op, failure.Operation().Table, failure)}
	}
	if err != nil {
		return rejection{err}
	}
	for i, op := range ops {
		if op.Op != ovsdb.OperationInsert && results[i].Count == 0 {
			return errStale
		}
	}
	return nil
}

// view copies the maps of the cache, not its rows, which libovsdb replaces and
// never changes.
func (s *session) view() view {
	v := view{
		bridges:    rows[bridgeRow](s.cache.Table(tableBridge).RowsShallow()),
		ports:      rows[portRow](s.cache.Table(tablePort).RowsShallow()),
		interfaces: rows[interfaceRow](s.cache.Table(tableInterface).RowsShallow()),
	}
	for _, root := range rows[rootRow](s.cache.Table(tableRoot).RowsShallow()) {
		v.root = root
	}
	return v
}

func rows[T any](models map[string]model.Model) map[string]*T {
	typed := make(map[string]*T, len(models))
	for id, m := range models {
		if row, ok := m.(any).(*T); ok {
			typed[id] = row
		}
	}
	return typed
}
