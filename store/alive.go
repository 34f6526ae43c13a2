package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

// beats is how often in one lifetime the sign of life is renewed.
const beats = 3

// KeepAlive holds the host's sign of life until ctx ends, and then takes it
// back. A lease that ended while etcd was away is granted anew. It returns early
// when another machine has the key or the schema keeps this build out
// (Conflict), or the host's record is gone (Missing): then the host must
// register again. ttl is at least a second; etcd may raise it to its own
// smallest lease.
func (s *Store) KeepAlive(ctx context.Context, node string, id Identity, ttl time.Duration) error {
	h := &heartbeat{store: s, node: node, id: id, ttl: max(ttl, time.Second), since: time.Now().UTC().Truncate(time.Second)}
	defer h.stop(ctx)
	for {
		if err := h.beat(ctx); err != nil && !overlay.IsKind(err, overlay.Unavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(h.ttl / beats):
		}
	}
}

// heartbeat is one host's sign of life. It is used by one goroutine.
type heartbeat struct {
	store *Store
	node  string
	id    Identity
	ttl   time.Duration
	since time.Time
	lease clientv3.LeaseID
}

// beat renews the lease and makes sure that the key is there under it. It gives
// up with kind Unavailable in time for the next beat.
func (h *heartbeat) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(h.ttl/beats, time.Second))
	defer cancel()
	_, err := h.store.update(ctx, fmt.Sprintf("keep node %q alive", h.node), func(ctx context.Context, c *change) error {
		if err := h.renew(ctx); err != nil {
			return err
		}
		found, _, err := h.store.read(ctx, get(aliveKey(h.node)), clientv3.OpGet(nodeKey(h.node), clientv3.WithKeysOnly()), clientv3.OpGet(schemaKey, clientv3.WithKeysOnly()))
		if err != nil {
			return err
		}
		// A beat mostly writes nothing, so it would not meet a schema that forbids it.
		if !h.store.schemaStands(h.store.schema.Load(), found[2]) {
			return errLost
		}
		alive, err := only[Alive](aliveKey(h.node), found[0])
		if err != nil {
			return err
		}
		if len(found[1]) == 0 {
			return overlay.Refuse(overlay.Missing, fmt.Sprintf("node %q", h.node), "the agent registers it again by itself", "its record is gone from etcd")
		}
		if alive.exists() && (alive.value.Host != h.id.Host || alive.value.Boot != h.id.Boot) {
			return overlay.Refuse(overlay.Conflict, fmt.Sprintf("node %q", h.node), "give one of the two another name with --node",
				"another machine lives under this name since %s", alive.value.Since.UTC().Format(time.RFC3339))
		}
		if alive.exists() && clientv3.LeaseID(found[0][0].Lease) == h.lease {
			return nil
		}
		if alive.exists() {
			h.since = alive.value.Since
		}
		c.expectPresent(nodeKey(h.node))
		write(c, put(alive, Alive{Host: h.id.Host, Boot: h.id.Boot, Since: h.since}), h.lease)
		return nil
	})
	return err
}

// renew makes the lease last for another lifetime, or grants one.
func (h *heartbeat) renew(ctx context.Context) error {
	client, err := h.store.connection(ctx)
	if err != nil {
		return err
	}
	if h.lease != 0 {
		_, err := client.KeepAliveOnce(ctx, h.lease)
		if err == nil {
			return nil
		}
		if mayPass(err) && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
		h.since = time.Now().UTC().Truncate(time.Second)
	}
	granted, err := client.Grant(ctx, int64(max(h.ttl, time.Second)/time.Second))
	if err != nil {
		return err
	}
	h.lease = granted.ID
	return nil
}

// stop takes the sign of life back, so that nobody waits for its end.
func (h *heartbeat) stop(ctx context.Context) {
	if h.lease == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	client, err := h.store.connection(ctx)
	if err == nil {
		_, err = client.Revoke(ctx, h.lease)
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		h.store.log.Warn("the sign of life stays until its lease ends", "node", h.node, "error", err)
	}
}
