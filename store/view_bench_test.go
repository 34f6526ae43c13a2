package store

import (
	"fmt"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// BenchmarkEndpoint reads one endpoint's record into a view of 10,000.
func BenchmarkEndpoint(b *testing.B) {
	a := newAssembly()
	record := func(i int) *mvccpb.KeyValue {
		value := fmt.Sprintf(`{"created":"2026-01-01T00:00:00Z","id":"e%d","ipv4":"10.1.%d.%d","mac":"02:42:0a:01:%02x:%02x","network":"n1","node":"h%d","v":1}`, i, i/250, i%250+1, i/250, i%250+1, i%50)
		return &mvccpb.KeyValue{Key: []byte(endpointKey("n1", fmt.Sprintf("e%d", i))), Value: []byte(value), ModRevision: int64(i)}
	}
	edit := a.snapshot.Edit()
	for i := range 10000 {
		a.set(edit, endpointKey("n1", fmt.Sprintf("e%d", i)), record(i))
	}
	a.snapshot = edit.Snapshot()
	kv := record(77)
	b.ReportAllocs()
	for b.Loop() {
		edit := a.snapshot.Edit()
		a.set(edit, string(kv.Key), kv)
		a.snapshot = edit.Snapshot()
	}
	if len(a.problems) > 0 {
		b.Fatal(a.problems)
	}
}
