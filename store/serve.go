package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/time/rate"

	"github.com/ovsnet/ovsnet/overlay"
)

const (
	// atOnce is how many inquiries an agent works at, and inLine how many it knows
	// of at all.
	atOnce = 2
	inLine = 16
	// answerRate and answerBurst are how much an agent answers, in bytes for each
	// second and at once: whoever asks for ever must not fill etcd's history.
	answerRate  = 32 << 10
	answerBurst = 2 * MaxAnswer
)

// Answerer answers one inquiry: it writes what the asker gets, JSON, or returns
// why there is no answer. It is called from several goroutines.
type Answerer func(ctx context.Context, q Inquiry, to io.Writer) error

// Serve answers what is put to the node with Ask, until ctx ends. It begins when
// this Store has registered the host, with what waits by then: what is put to
// another's name is that one's to answer.
func (s *Store) Serve(ctx context.Context, node string, answer Answerer) {
	v := &answering{
		store: s, node: node, answer: answer, places: make(chan struct{}, atOnce),
		volume: rate.NewLimiter(answerRate, answerBurst), open: map[string]context.CancelFunc{},
	}
	defer v.working.Wait()
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(connectMaxDelay), backoff.WithMaxElapsedTime(0))
	for {
		listed, err := v.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if listed {
			pause.Reset()
		}
		s.log.Debug("listening for inquiries again", "because", err)
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
			return
		}
	}
}

// answering is one run of Serve. open belongs to the goroutine that listens.
type answering struct {
	store   *Store
	node    string
	answer  Answerer
	places  chan struct{}
	volume  *rate.Limiter
	working sync.WaitGroup
	// open are the requests that are in etcd and were taken, by key; to end one
	// is to cancel it.
	open map[string]context.CancelFunc
}

var errUnregistered = errors.New("the host is not registered yet")

// listen takes the requests that are there and those that come, and returns why
// that ended.
func (v *answering) listen(ctx context.Context) (listed bool, err error) {
	if !v.store.registered(v.node) {
		return false, errUnregistered
	}
	client, err := v.store.connection(ctx)
	if err != nil {
		return false, err
	}
	rev, err := v.list(ctx)
	if err != nil {
		return false, err
	}
	watching, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for reply := range client.Watch(watching, requestsTo(v.node), clientv3.WithPrefix(), clientv3.WithRev(rev+1)) {
		if err := reply.Err(); err != nil {
			return true, err
		}
		for _, event := range reply.Events {
			if event.Type == mvccpb.DELETE {
				v.drop(string(event.Kv.Key))
			} else {
				v.take(ctx, event.Kv)
			}
		}
	}
	return true, ctx.Err()
}

// list takes the requests that are there, and drops those that are no more.
func (v *answering) list(ctx context.Context) (int64, error) {
	there := map[string]bool{}
	listing, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	rev, err := v.store.each(listing, requestsTo(v.node), 0, func(kv *mvccpb.KeyValue) {
		there[string(kv.Key)] = true
		v.take(ctx, kv)
	})
	if err != nil {
		return 0, err
	}
	for key := range v.open {
		if !there[key] {
			v.drop(key)
		}
	}
	return rev, nil
}

// drop ends a request that its asker took back, or that was answered.
func (v *answering) drop(key string) {
	if cancel, taken := v.open[key]; taken {
		cancel()
		delete(v.open, key)
	}
}

// take begins with a request, unless it was taken before.
func (v *answering) take(ctx context.Context, kv *mvccpb.KeyValue) {
	key := string(kv.Key)
	if _, taken := v.open[key]; taken {
		return
	}
	asked, err := parse[inquiryRecord](kv)
	if err == nil && kv.Lease == 0 {
		err = errors.New("it has no lease, so nobody waits for the answer")
	}
	if err != nil {
		v.store.log.Warn("an inquiry is left alone", "key", key, "error", err)
		return
	}
	crowded := len(v.open) >= inLine
	ctx, cancel := context.WithTimeout(ctx, asked.value.patience())
	// Only the work ends when the request goes, which it also does with the answer.
	work, stop := context.WithCancel(ctx)
	v.open[key] = stop
	r := &reply{answering: v, id: tail(requestsTo(v.node), key), lease: clientv3.LeaseID(kv.Lease), asked: asked.value.Inquiry}
	v.working.Go(func() {
		defer cancel()
		defer stop()
		r.run(ctx, work, crowded)
	})
}

// reply is the work at one request.
type reply struct {
	*answering
	id    string
	lease clientv3.LeaseID
	asked Inquiry
}

// run works at the answer within one context, and sends it, or a refusal, within
// the other.
func (r *reply) run(ctx, work context.Context, crowded bool) {
	began := time.Now()
	parts, err := r.compute(work, crowded)
	if err == nil {
		err = r.send(ctx, parts)
	} else if work.Err() == nil {
		err = errors.Join(err, r.refuse(ctx, err))
	}
	r.store.log.Debug("inquiry answered", "kind", r.asked.Kind, "parts", len(parts), "took", time.Since(began), "error", err)
}

// compute makes the answer, in its turn.
func (r *reply) compute(ctx context.Context, crowded bool) ([][]byte, error) {
	object := fmt.Sprintf("node %q", r.node)
	if crowded {
		return nil, overlay.Refuse(overlay.Unavailable, object, "try again in a moment", "its agent has %d inquiries to answer already", inLine)
	}
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	to := newPacked()
	err := r.answer(ctx, r.asked, to)
	var parts [][]byte
	if err == nil {
		parts, err = to.parts()
	}
	if errors.Is(err, errTooLarge) {
		return nil, refuseTooLarge(r.node)
	}
	if err == nil && !r.volume.AllowN(time.Now(), to.bytes.Len()) {
		return nil, overlay.Refuse(overlay.Exhausted, object, "wait, narrow the question, or ask on that host",
			"its agent has answered so much lately that more would fill etcd")
	}
	return parts, err
}

// send writes the answer, its head last: when that comes, all is there.
func (r *reply) send(ctx context.Context, parts [][]byte) error {
	for i, data := range parts[1:] {
		part := item[answerPart]{key: answerPartKey(r.node, r.id, i+1), record: record[answerPart]{value: answerPart{Data: data}}}
		if err := r.write(ctx, func(c *change) { overwrite(c, part, r.lease) }); err != nil {
			return err
		}
	}
	return r.end(ctx, answerHead{Data: parts[0], More: len(parts) - 1})
}

// refuse answers with the reason why there is no answer.
func (r *reply) refuse(ctx context.Context, err error) error {
	fault := overlay.NewFault(err)
	return r.end(ctx, answerHead{Fault: &fault})
}

// end writes the answer's head and takes the request away.
func (r *reply) end(ctx context.Context, head answerHead) error {
	answer := item[answerHead]{key: answerKey(r.node, r.id), record: record[answerHead]{value: head}}
	return r.write(ctx, func(c *change) {
		overwrite(c, answer, r.lease)
		c.remove(requestKey(r.node, r.id))
	})
}

// write makes a change as long as the request is there and this host has the
// node's name.
func (r *reply) write(ctx context.Context, add func(*change)) error {
	_, err := r.store.update(ctx, "answer an inquiry", func(ctx context.Context, c *change) error {
		found, _, err := r.store.read(ctx, clientv3.OpGet(requestKey(r.node, r.id), clientv3.WithKeysOnly()), get(nodeKey(r.node)))
		if err != nil || len(found[0]) == 0 {
			return err
		}
		if err := r.store.expectOwner(c, r.node, found[1]); err != nil {
			return err
		}
		c.expectPresent(requestKey(r.node, r.id))
		add(c)
		return nil
	})
	return err
}
