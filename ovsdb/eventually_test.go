package ovsdb

import (
	"testing"
	"time"
)

// eventually waits until the condition holds, and fails saying what it waited
// for if it does not within ten seconds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("gave up waiting for: %s", what)
		}
	}
}
