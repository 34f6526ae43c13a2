package agent

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// persistent is a back-off between first and longest that never gives up.
func persistent(first, longest time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(first), backoff.WithMaxInterval(longest), backoff.WithMaxElapsedTime(0))
}

// chore is work that waits for others, such as etcd, and must not hold up the
// rounds. Only the newest order counts: it replaces one that was not begun, and
// is tried again until it succeeds or a newer one comes.
type chore[T any] struct {
	orders  chan T
	do      func(ctx context.Context, order T) error
	timeout time.Duration
}

func newChore[T any](timeout time.Duration, do func(context.Context, T) error) *chore[T] {
	return &chore[T]{orders: make(chan T, 1), do: do, timeout: timeout}
}

// order makes this the newest order; it has one caller.
func (c *chore[T]) order(what T) {
	select {
	case <-c.orders:
	default:
	}
	c.orders <- what
}

// run carries out orders until ctx ends.
func (c *chore[T]) run(ctx context.Context) {
	pause := persistent(200*time.Millisecond, 10*time.Second)
	var newest T
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case newest = <-c.orders:
			pause.Reset()
		case <-again:
		}
		again = nil
		if err := c.once(ctx, newest); err != nil {
			again = time.After(pause.NextBackOff())
		}
	}
}

func (c *chore[T]) once(ctx context.Context, what T) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.do(ctx, what)
}
