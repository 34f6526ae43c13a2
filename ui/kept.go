package ui

import (
	"context"
	"time"
)

// kept is an answer, or a refusal, that is told again for a while. Who asks
// meanwhile waits for the one that is being fetched.
type kept[T any] struct {
	turn  chan struct{}
	value T
	err   error
	at    time.Time
}

func newKept[T any]() *kept[T] { return &kept[T]{turn: make(chan struct{}, 1)} }

// fetching bounds one fetch. Who waits has more patience, so that a slow answer is
// told to whoever came while it was fetched.
const fetching = 20 * time.Second

// get returns the answer, fetched anew where it is older than that. Who asks and
// goes away does not make it be fetched anew for the next.
func (k *kept[T]) get(ctx context.Context, most time.Duration, fetch func(context.Context) (T, error)) (T, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
	if !k.at.IsZero() && time.Since(k.at) < most {
		return k.value, k.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetching)
	defer cancel()
	k.value, k.err = fetch(ctx)
	k.at = time.Now()
	return k.value, k.err
}
