package store

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/overlay"
)

func TestRecordKeepsUnknownFields(t *testing.T) {
	old, err := decode[poolClaim]([]byte(`{"v":1,"network":"n1","Node":"h1","colour":{"deep":[1,2]},"shape":null}`))
	if err != nil {
		t.Fatal(err)
	}
	old.value.Node = "h2"
	text, err := old.encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"colour":{"deep":[1,2]},"network":"n1","node":"h2","shape":null,"v":1}`
	if text != want {
		t.Errorf("rewritten as\n%s\nwant\n%s", text, want)
	}
}

func TestRecordRefuses(t *testing.T) {
	for text, reason := range map[string]string{
		``:                        "not a JSON object",
		`null`:                    "no format version",
		`[1]`:                     "not a JSON object",
		`{"node":"h1"}`:           "no format version",
		`{"v":"1","node":"h1"}`:   "no format version",
		`{"v":2,"node":"h1"}`:     "format 2, this build reads format 1",
		`{"v":1,"node":{"a":1}}`:  "not the right fields",
		`{"v":1,"at":"tomorrow"}`: "not the right fields",
	} {
		if _, err := decode[poolClaim]([]byte(text)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("decode %s: %v, want %q", text, err, reason)
		}
	}
}

// TestRecordRoundTrip rewrites records with random unknown fields.
func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unknown := rapid.MapOf(rapid.StringMatching(`x[a-z]{1,6}`), rapid.Int()).Draw(t, "unknown")
		fields := map[string]any{"v": 1, "kind": "reserved", "node": rapid.StringMatching(`[a-z]{1,5}`).Draw(t, "node")}
		for name, value := range unknown {
			fields[name] = value
		}
		data, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		read, err := decode[addressClaim](data)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := slices.Sorted(maps.Keys(read.unknown)), slices.Sorted(maps.Keys(unknown)); !slices.Equal(got, want) {
			t.Fatalf("unknown fields %v, want %v", got, want)
		}
		text, err := read.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode[addressClaim]([]byte(text))
		if err != nil || !cmp.Equal(again.value, read.value) || !cmp.Equal(again.unknown, read.unknown) {
			t.Fatalf("%s became %s: %v", data, text, err)
		}
	})
}

// network returns a record as CreateNetwork would write it.
const goodNetwork = `{"v":1,"id":"n1","name":"web","vni":4096,"space":"web","subnets":[{"prefix":"10.0.0.0/24","gateway":"10.0.0.1"}],"mtu":1450,"created":"2026-01-01T00:00:00Z"}`

func TestParseRefusesWhatContradictsItsKey(t *testing.T) {
	for name, test := range map[string]struct {
		key, value, reason string
		parse              func(*mvccpb.KeyValue) error
	}{
		"good":             {networksPrefix + "n1", goodNetwork, "", parseAs[overlay.Network]},
		"other id":         {networksPrefix + "n2", goodNetwork, `it says that it is "n1"`, parseAs[overlay.Network]},
		"terminal escape":  {networksPrefix + "n1", strings.ReplaceAll(goodNetwork, "web", `\u001b[2J`), "not a valid name", parseAs[overlay.Network]},
		"VNI 0":            {networksPrefix + "n1", strings.Replace(goodNetwork, "4096", "0", 1), "VNI 0 is out of range", parseAs[overlay.Network]},
		"foreign space":    {networksPrefix + "n1", strings.Replace(goodNetwork, `"space":"web"`, `"space":"x"`, 1), "neither", parseAs[overlay.Network]},
		"gateway outside":  {networksPrefix + "n1", strings.Replace(goodNetwork, "10.0.0.1", "10.0.1.1", 1), "outside subnet", parseAs[overlay.Network]},
		"node":             {nodesPrefix + "h1", `{"v":1,"name":"h2","vteps":["192.0.2.1"]}`, `it says that it is "h2"`, parseAs[nodeRecord]},
		"node, multicast":  {nodesPrefix + "h1", `{"v":1,"name":"h1","vteps":["224.0.0.1"]}`, "cannot be reached", parseAs[nodeRecord]},
		"endpoint":         {endpointsPrefix + "n1/e1", `{"v":1,"id":"e1","network":"n2","node":"h1","mac":"02:42:0a:00:00:02","ipv4":"10.0.0.2"}`, `it says that it is "n2/e1"`, parseAs[overlay.Endpoint]},
		"endpoint, no MAC": {endpointsPrefix + "n1/e1", `{"v":1,"id":"e1","network":"n1","node":"h1","ipv4":"10.0.0.2"}`, "all zero", parseAs[overlay.Endpoint]},
		"endpoint, no IP":  {endpointsPrefix + "n1/e1", `{"v":1,"id":"e1","network":"n1","node":"h1","mac":"02:42:0a:00:00:02"}`, "no address", parseAs[overlay.Endpoint]},
		"endpoint, zone":   {endpointsPrefix + "n1/e1", `{"v":1,"id":"e1","network":"n1","node":"h1","mac":"02:42:0a:00:00:02","ipv6":"fe80::2%\u001b[2J"}`, "with a zone", parseAs[overlay.Endpoint]},
		"endpoint, family": {endpointsPrefix + "n1/e1", `{"v":1,"id":"e1","network":"n1","node":"h1","mac":"02:42:0a:00:00:02","ipv4":"fd00::2"}`, "wrong family", parseAs[overlay.Endpoint]},
		"endpoint, name":   {endpointsPrefix + "n1/e1", `{"v":1,"id":"e1","network":"n1","node":"h1","mac":"02:42:0a:00:00:02","ipv4":"10.0.0.2","names":["a b"]}`, "not a valid name", parseAs[overlay.Endpoint]},
		"attachment":       {attachmentsPrefix + "n1/h1", `{"v":1,"network":"n1","node":"h2","docker_network":"d"}`, `it says that it is "n1/h2"`, parseAs[overlay.Attachment]},
		"claim":            {addressesPrefix + "web/10.0.0.0/24/10.0.0.9", `{"v":1,"kind":"mine"}`, "unknown kind", parseAs[addressClaim]},
		"pool":             {poolsPrefix + "web/10.0.0.0", `{"v":1}`, "key of a subnet", parseAs[poolClaim]},
	} {
		err := test.parse(&mvccpb.KeyValue{Key: []byte(test.key), Value: []byte(test.value), ModRevision: 1})
		if test.reason == "" && err != nil || test.reason != "" && (err == nil || !strings.Contains(err.Error(), test.reason)) {
			t.Errorf("%s: %v, want %q", name, err, test.reason)
		}
	}
}

func parseAs[T any](kv *mvccpb.KeyValue) error {
	_, err := parse[T](kv)
	return err
}

// FuzzRecord reads anything under anything: no panic, what was accepted can be
// rewritten and read again, and an assembly never shows what it refused.
func FuzzRecord(f *testing.F) {
	f.Add(networksPrefix+"n1", goodNetwork)
	f.Add(nodesPrefix+"h1", `{"v":1,"name":"h1","vteps":["192.0.2.1"],"host":"m","future":[]}`)
	f.Add(alivePrefix+"h1", `{"v":1,"host":"m","boot":"b","since":"2026-01-01T00:00:00Z"}`)
	f.Add(endpointsPrefix+"n1/e1", `{"v":1,"id":"e1","network":"n1","node":"h1","mac":"02:42:0a:00:00:02","ipv4":"10.0.0.2"}`)
	f.Add(attachmentsPrefix+"n1/h1", `{"v":1,"network":"n1","node":"h1","docker_network":"d","pool":"web|10.0.0.0/24"}`)
	f.Add(addressesPrefix+"web/10.0.0.0/24/10.0.0.9", `{"v":1,"kind":"endpoint","endpoint":"e1"}`)
	f.Add(poolsPrefix+"web/10.0.0.0/24", `{"v":1,"network":"n1"}`)
	f.Fuzz(func(t *testing.T, key, value string) {
		kv := &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: 7}
		rewrite[nodeRecord](t, kv)
		rewrite[overlay.Network](t, kv)
		rewrite[overlay.Endpoint](t, kv)
		rewrite[overlay.Attachment](t, kv)
		rewrite[addressClaim](t, kv)
		rewrite[poolClaim](t, kv)
		claimedPools([]*mvccpb.KeyValue{kv})
		a := newAssembly()
		edit := a.snapshot.Edit()
		a.set(edit, string(kv.Key), kv)
		a.unset(edit, key)
		if changes := overlay.Diff(a.snapshot, edit.Snapshot()); !changes.Empty() || len(a.alive)+len(a.problems) > 0 {
			t.Errorf("%s stays after its removal: %+v, problems %v", key, changes, a.problems)
		}
	})
}

func rewrite[T any](t *testing.T, kv *mvccpb.KeyValue) {
	read, err := parse[T](kv)
	if err != nil {
		return
	}
	text, err := read.encode()
	if err != nil {
		t.Fatalf("%s was read and cannot be written: %v", kv.Value, err)
	}
	again, err := parse[T](&mvccpb.KeyValue{Key: kv.Key, Value: []byte(text), ModRevision: 8})
	if err != nil {
		t.Fatalf("%s was written as %s, which cannot be read: %v", kv.Value, text, err)
	}
	if !slices.Equal(slices.Sorted(maps.Keys(read.unknown)), slices.Sorted(maps.Keys(again.unknown))) {
		t.Fatalf("%s was written as %s: unknown fields differ", kv.Value, text)
	}
}
