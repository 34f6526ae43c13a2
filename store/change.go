package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ovsnet/ovsnet/overlay"
)

// errLost is a transaction whose conditions no longer held.
var errLost = errors.New("other hosts kept changing the same keys")

// change is what a transaction writes, and what must still be as it was read.
type change struct {
	when []clientv3.Cmp
	then []clientv3.Op
	err  error
}

// expect makes the change depend on the key not having been written since that
// revision; 0 means that the key is absent.
func (c *change) expect(key string, rev int64) {
	c.when = append(c.when, clientv3.Compare(clientv3.ModRevision(key), "=", rev))
}

// expectPresent makes the change depend on the key being there.
func (c *change) expectPresent(key string) {
	c.when = append(c.when, clientv3.Compare(clientv3.CreateRevision(key), ">", 0))
}

// expectNone makes the change depend on no key being below the prefix.
func (c *change) expectNone(prefix string) {
	c.when = append(c.when, clientv3.Compare(clientv3.CreateRevision(prefix), "=", 0).WithPrefix())
}

// expectQuiet makes the change depend on no key below the prefix having been
// written after that revision; deletions do not count.
func (c *change) expectQuiet(prefix string, rev int64) {
	c.when = append(c.when, clientv3.Compare(clientv3.ModRevision(prefix), "<", rev+1).WithPrefix())
}

// remove deletes the key.
func (c *change) remove(key string) { c.then = append(c.then, clientv3.OpDelete(key)) }

// removeAll deletes every key below the prefix.
func (c *change) removeAll(prefix string) {
	c.then = append(c.then, clientv3.OpDelete(prefix, clientv3.WithPrefix()))
}

// write puts the item, if its key is as it was read, under a lease or, with 0,
// to stay.
func write[T any](c *change, i item[T], lease clientv3.LeaseID) {
	data, err := i.encode()
	if err != nil {
		c.err = errors.Join(c.err, err)
		return
	}
	c.expect(i.key, i.rev)
	c.then = append(c.then, clientv3.OpPut(i.key, data, clientv3.WithLease(lease)))
}

// overwrite puts the item whatever is under its key.
func overwrite[T any](c *change, i item[T], lease clientv3.LeaseID) {
	data, err := i.encode()
	c.err = errors.Join(c.err, err)
	c.then = append(c.then, clientv3.OpPut(i.key, data, clientv3.WithLease(lease)))
}

// drop deletes the item, if its key is as it was read.
func drop[T any](c *change, i item[T]) {
	if i.exists() {
		c.expect(i.key, i.rev)
		c.remove(i.key)
	}
}

// put returns the item with another value; unknown fields stay.
func put[T any](i item[T], value T) item[T] {
	i.value = value
	return i
}

// update makes a change. decide reads, and says what to write; it runs again
// whenever the change was not made or nobody knows whether it was, so it must
// recognise its own work and then write nothing. The answer is the revision of
// the change, 0 where decide wanted none.
func (s *Store) update(ctx context.Context, task string, decide func(context.Context, *change) error) (int64, error) {
	var revision int64
	err := s.retry(ctx, task, func(ctx context.Context) error {
		schema, err := s.checkedSchema(ctx)
		if err != nil {
			return err
		}
		var c change
		if err := decide(ctx, &c); err != nil {
			return err
		}
		if c.err != nil || len(c.then) == 0 {
			return c.err
		}
		revision, err = s.commit(ctx, c, schema)
		return err
	})
	return revision, err
}

// commit makes one transaction. It also depends on the schema record that was
// checked, so that an agent stops writing the moment a newer build forbids it.
func (s *Store) commit(ctx context.Context, c change, schema int64) (int64, error) {
	client, err := s.connection(ctx)
	if err != nil {
		return 0, err
	}
	c.expect(schemaKey, schema)
	reply, err := client.Txn(ctx).If(c.when...).Then(c.then...).Else(clientv3.OpGet(schemaKey)).Commit()
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		s.unhold()
	}
	if err != nil {
		return 0, err
	}
	if reply.Succeeded {
		return reply.Header.Revision, nil
	}
	s.schemaStands(schema, reply.Responses[0].GetResponseRange().Kvs)
	return 0, errLost
}

// read returns what is under each key or prefix, all at one revision.
func (s *Store) read(ctx context.Context, ops ...clientv3.Op) ([][]*mvccpb.KeyValue, int64, error) {
	client, err := s.connection(ctx)
	if err != nil {
		return nil, 0, err
	}
	reply, err := client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return nil, 0, err
	}
	found := make([][]*mvccpb.KeyValue, len(ops))
	for i, response := range reply.Responses {
		found[i] = response.GetResponseRange().Kvs
	}
	return found, reply.Header.Revision, nil
}

func get(key string) clientv3.Op       { return clientv3.OpGet(key) }
func getAll(prefix string) clientv3.Op { return clientv3.OpGet(prefix, clientv3.WithPrefix()) }
func getKeys(prefix string) clientv3.Op {
	return clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
}

// fetch reads one record.
func fetch[T any](ctx context.Context, s *Store, key string) (item[T], error) {
	found, _, err := s.read(ctx, get(key))
	if err != nil {
		return item[T]{key: key}, err
	}
	return only[T](key, found[0])
}

// retry tries until the error is none or one that trying again cannot mend, or
// ctx ends. task tells people what was to be done.
func (s *Store) retry(ctx context.Context, task string, try func(context.Context) error) error {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(2*time.Millisecond),
		backoff.WithMaxInterval(400*time.Millisecond), backoff.WithMaxElapsedTime(0))
	var last error
	for {
		err := s.attempt(ctx, try)
		if !mayPass(err) {
			return explain(task, err)
		}
		if last == nil || !outOfTime(err) {
			last = err
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return s.unavailable(ctx, task, last)
		}
	}
}

// attempt runs one try within its own time.
func (s *Store) attempt(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return try(ctx)
}

// unavailable is what a call returns whose time is over.
func (s *Store) unavailable(ctx context.Context, task string, last error) error {
	err := ctx.Err()
	if !outOfTime(last) {
		err = fmt.Errorf("%w, before that: %w", err, last)
	}
	object := "etcd at " + strings.Join(s.endpoints, ", ")
	if errors.Is(last, errLost) {
		return &overlay.Refusal{Kind: overlay.Unavailable, Object: object, Cause: task + ": not done in time", Remedy: "try again", Err: err}
	}
	remedy := "check that etcd runs there and that this host reaches it"
	if strings.HasPrefix(s.endpoints[0], "https:") {
		remedy += ", and that its certificate and this host's are signed by the CA that the other knows"
	}
	return &overlay.Refusal{Kind: overlay.Unavailable, Object: object, Cause: task + ": no answer", Remedy: remedy, Err: err}
}

// explain says which task an error belongs to; refusals explain themselves.
func explain(task string, err error) error {
	var refusal *overlay.Refusal
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	return fmt.Errorf("etcd: %s: %w", task, err)
}

// mayPass reports whether the same may work when it is tried again. After some
// of these errors nobody knows whether the transaction happened.
func mayPass(err error) bool {
	var refusal *overlay.Refusal
	switch {
	case err == nil || errors.As(err, &refusal):
		return false
	case errors.Is(err, errLost), outOfTime(err), errors.Is(err, rpctypes.ErrTooManyRequests),
		errors.Is(err, rpctypes.ErrLeaseNotFound), errors.Is(err, rpctypes.ErrCompacted):
		return true
	}
	switch code(err) {
	case codes.Unavailable, codes.Aborted, codes.Internal, codes.Unauthenticated:
		return true
	}
	return false
}

// outOfTime reports whether an error only says that a context ended.
func outOfTime(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		code(err) == codes.DeadlineExceeded || code(err) == codes.Canceled
}

func code(err error) codes.Code {
	var own rpctypes.EtcdError
	if errors.As(err, &own) {
		return own.Code()
	}
	return status.Code(err)
}

// lease is what this host's reservations are under. Each grant is a write of etcd
// that a container would wait for, so one lease serves for half of its time.
type lease struct {
	id clientv3.LeaseID
	at time.Time
}

// hold returns a lease with at least half of its time left.
func (s *Store) hold(ctx context.Context) (clientv3.LeaseID, error) {
	if id := s.held(); id != clientv3.NoLease {
		return id, nil
	}
	client, err := s.connection(ctx)
	if err != nil {
		return 0, err
	}
	at := time.Now()
	reply, err := client.Grant(ctx, int64(s.ttl/time.Second))
	if err != nil {
		return 0, fmt.Errorf("grant a lease: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease = lease{id: reply.ID, at: at}
	return reply.ID, nil
}

// held is the lease that is good for more, NoLease where there is none.
func (s *Store) held() clientv3.LeaseID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.lease.at) >= s.ttl/2 {
		return clientv3.NoLease
	}
	return s.lease.id
}

// unhold has the next reservation get a lease of its own, because etcd does not know
// the one there is any more.
func (s *Store) unhold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease = lease{}
}
