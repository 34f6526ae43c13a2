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

// get returns the answer, fetched anew where it is older than that.
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
	value, err := fetch(ctx)
	if ctx.Err() == nil {
		k.value, k.err, k.at = value, err, time.Now()
	}
	return value, err
}
