package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

const (
	// askPatience is how long Ask waits where its ctx has no nearer deadline.
	askPatience = 10 * time.Second
	// afterword is what Ask keeps of its time to find out why no answer came.
	afterword = time.Second
)

// Ask puts an inquiry to the agent of that node, and returns its answer as the
// agent wrote it. Both are keys under one lease, which ends with the call. A
// node that is unknown is refused (Missing), as is one whose agent is not alive
// or does not answer in time (Unavailable), with how long ago it was last heard
// of; what the agent itself refuses is returned as it was.
func (s *Store) Ask(ctx context.Context, node string, q Inquiry) ([]byte, error) {
	if err := overlay.ValidateName("node", node); err != nil {
		return nil, err
	}
	if len(q.Arguments) > MaxArguments {
		return nil, overlay.Refuse(overlay.Invalid, fmt.Sprintf("inquiry to node %q", node), "ask for less at once, or ask on that host",
			"%d bytes are more than the %d that go through etcd", len(q.Arguments), MaxArguments)
	}
	seen, err := s.sighted(ctx, node)
	if err != nil {
		return nil, err
	}
	within := askPatience
	if deadline, ok := ctx.Deadline(); ok {
		within = max(min(within, time.Until(deadline)-afterword), afterword/4)
	}
	waiting, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	a := &asking{store: s, node: node, began: time.Now(), seen: seen}
	defer a.end(ctx)
	answer, err := a.ask(waiting, inquiryRecord{Inquiry: q, Within: within.Milliseconds()})
	if waiting.Err() != nil && err != nil && a.asked() {
		return nil, a.unanswered(ctx)
	}
	return answer, err
}

// asking is one call of Ask. It is used by one goroutine.
type asking struct {
	store *Store
	node  string
	began time.Time
	// seen is when the agent last said that it is alive, before it was asked.
	seen  time.Time
	id    string
	lease clientv3.LeaseID
	// revision is that of the request, 0 until it is in etcd.
	revision int64
}

func (a *asking) asked() bool { return a.revision > 0 }

func (a *asking) ask(ctx context.Context, r inquiryRecord) ([]byte, error) {
	var err error
	if a.id, err = newID(); err != nil {
		return nil, err
	}
	if err := a.put(ctx, r); err != nil {
		return nil, err
	}
	head, err := a.await(ctx)
	if err != nil {
		return nil, err
	}
	if head.Fault != nil {
		return nil, head.Fault.Err()
	}
	data := head.Data
	for number := range head.More {
		part, err := a.part(ctx, number+1)
		if err != nil {
			return nil, err
		}
		if data = append(data, part...); len(data) > MaxAnswer {
			return nil, refuseTooLarge(a.node)
		}
	}
	answer, err := unpack(data)
	if err != nil {
		return nil, fmt.Errorf("node %q: %w", a.node, err)
	}
	return answer, nil
}

// put writes the request under a lease that ends soon after the asker gave up.
func (a *asking) put(ctx context.Context, r inquiryRecord) error {
	key := requestKey(a.node, a.id)
	task := fmt.Sprintf("ask node %q", a.node)
	revision, err := a.store.update(ctx, task, func(ctx context.Context, c *change) error {
		if err := a.grant(ctx, r.patience()); err != nil {
			return err
		}
		found, rev, err := a.store.read(ctx, get(key), clientv3.OpGet(answerKey(a.node, a.id), clientv3.WithKeysOnly()))
		if err != nil {
			return err
		}
		if len(found[0]) > 0 || len(found[1]) > 0 {
			a.revision = rev
			return nil
		}
		c.expectPresent(nodeKey(a.node))
		write(c, item[inquiryRecord]{key: key, record: record[inquiryRecord]{value: r}}, a.lease)
		return nil
	})
	a.revision = max(a.revision, revision)
	return err
}

func (a *asking) grant(ctx context.Context, within time.Duration) error {
	if a.lease != 0 {
		return nil
	}
	client, err := a.store.connection(ctx)
	if err != nil {
		return err
	}
	granted, err := client.Grant(ctx, int64((within+5*time.Second)/time.Second))
	if err != nil {
		return err
	}
	a.lease = granted.ID
	return nil
}

// await returns the answer's head once it is there.
func (a *asking) await(ctx context.Context) (answerHead, error) {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(connectMaxDelay), backoff.WithMaxElapsedTime(0))
	for {
		head, err := a.look(ctx)
		var refusal *overlay.Refusal
		if err == nil && head.exists() || errors.As(err, &refusal) {
			return head.value, err
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
			return answerHead{}, ctx.Err()
		}
	}
}

// look reads the answer's head, or waits for its coming.
func (a *asking) look(ctx context.Context) (item[answerHead], error) {
	key := answerKey(a.node, a.id)
	found, rev, err := a.store.read(ctx, get(key))
	if err != nil {
		return item[answerHead]{}, err
	}
	if len(found[0]) > 0 {
		return only[answerHead](key, found[0])
	}
	client, err := a.store.connection(ctx)
	if err != nil {
		return item[answerHead]{}, err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for reply := range client.Watch(ctx, key, clientv3.WithRev(rev+1), clientv3.WithFilterDelete()) {
		if err := reply.Err(); err != nil {
			return item[answerHead]{}, err
		}
		for _, event := range reply.Events {
			return parse[answerHead](event.Kv)
		}
	}
	return item[answerHead]{}, ctx.Err()
}

func (a *asking) part(ctx context.Context, number int) ([]byte, error) {
	var part item[answerPart]
	err := a.store.retry(ctx, fmt.Sprintf("read the answer of node %q", a.node), func(ctx context.Context) (err error) {
		part, err = fetch[answerPart](ctx, a.store, answerPartKey(a.node, a.id, number))
		return err
	})
	if err == nil && !part.exists() {
		err = overlay.Refuse(overlay.Unavailable, fmt.Sprintf("node %q", a.node), "try again", "its answer went before all of it was read")
	}
	return part.value.Data, err
}

// end takes request and answer back, so that they do not wait for the lease.
func (a *asking) end(ctx context.Context) {
	if a.lease == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterword)
	defer cancel()
	client, err := a.store.connection(ctx)
	if err == nil {
		_, err = client.Revoke(ctx, a.lease)
	}
	if err != nil {
		a.store.log.Debug("a request stays until its lease ends", "node", a.node, "error", err)
	}
}

// unanswered says that the agent did not answer, and when it was last heard of.
func (a *asking) unanswered(ctx context.Context) error {
	waited := time.Since(a.began).Round(100 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterword)
	defer cancel()
	// Without an answer from etcd what was seen before stands.
	if seen, alive, err := a.store.sight(ctx, a.node); err == nil && alive {
		a.seen = seen
	}
	return overlay.Refuse(overlay.Unavailable, fmt.Sprintf("node %q", a.node), "see ovsnet status and the agent's log on that host",
		"its agent did not answer within %s; its last sign of life came %s ago", waited, time.Since(a.seen).Round(time.Second))
}

// sighted tells when a node's agent said last that it is alive; it refuses a node
// that is not there, or whose agent is not.
func (s *Store) sighted(ctx context.Context, node string) (seen time.Time, err error) {
	var alive bool
	err = s.retry(ctx, fmt.Sprintf("look for node %q", node), func(ctx context.Context) (err error) {
		seen, alive, err = s.sight(ctx, node)
		return err
	})
	if err == nil && !alive {
		err = overlay.Refuse(overlay.Unavailable, fmt.Sprintf("node %q", node), "see systemctl status ovsnet on that host", "its agent shows no sign of life, so it is not asked")
	}
	return seen, err
}

// sight tells whether a node's agent is alive, and when it said so last.
func (s *Store) sight(ctx context.Context, node string) (seen time.Time, alive bool, err error) {
	found, _, err := s.read(ctx, clientv3.OpGet(nodeKey(node), clientv3.WithKeysOnly()), get(aliveKey(node)))
	if err != nil {
		return time.Time{}, false, err
	}
	if len(found[0]) == 0 {
		return time.Time{}, false, overlay.Refuse(overlay.Missing, fmt.Sprintf("node %q", node), "see ovsnet node ls", "no such node")
	}
	if len(found[1]) == 0 {
		return time.Time{}, false, nil
	}
	client, err := s.connection(ctx)
	if err != nil {
		return time.Time{}, false, err
	}
	left, err := client.TimeToLive(ctx, clientv3.LeaseID(found[1][0].Lease))
	if err != nil {
		return time.Time{}, false, err
	}
	ago := time.Duration(max(left.GrantedTTL-left.TTL, 0)) * time.Second
	return time.Now().Add(-ago), left.TTL >= 0, nil
}
