package store

import (
	"context"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// maxGuesses bounds what is remembered of networks that may be gone.
const maxGuesses = 1000

// readVia reads a record that names a network, and what more asks for of that
// network, all at one revision. Which network that is hardly ever changes, so
// what the record said last time is read along with it; where it says something
// else by now, all is read again.
func readVia[T any](ctx context.Context, s *Store, key string, named func(T) string, more func(network string) []clientv3.Op) (item[T], [][]*mvccpb.KeyValue, error) {
	for network := s.guess(key); ; {
		found, _, err := s.read(ctx, append([]clientv3.Op{get(key)}, more(network)...)...)
		if err != nil {
			return item[T]{key: key}, nil, err
		}
		via, err := only[T](key, found[0])
		if err != nil {
			return via, nil, err
		}
		if named(via.value) == network {
			return via, found[1:], nil
		}
		network = named(via.value)
		s.remember(key, network)
	}
}

func (s *Store) guess(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.guesses[key]
}

func (s *Store) remember(key, network string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.guesses) >= maxGuesses {
		clear(s.guesses)
	}
	s.guesses[key] = network
}
