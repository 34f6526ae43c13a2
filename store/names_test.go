package store

import (
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

// Names are written into records without touching the rest, and only by the
// endpoint's own host.
func TestNames(t *testing.T) {
	s := startServer(t)
	store, node := s.host(t, 1)
	network := quickNetwork(t, store, node, "web", "10.1.0.0/24")
	e := quickEndpoint(t, store, network, node, 1)
	key := endpointKey(network.ID, e.ID)
	s.put(t, key, strings.Replace(s.keys(t, key)[key], "{", `{"newer":7,`, 1))
	for range 2 {
		if err := store.NameEndpoint(callContext(t), node, network.ID, e.ID, []string{"web-1"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.keys(t, key)[key]; !strings.Contains(got, `"newer":7`) || !strings.Contains(got, `"names":["web-1"]`) {
		t.Errorf("the record is %s", got)
	}
	if err := store.NameAttachment(callContext(t), node, network.ID, "shop"); err != nil {
		t.Fatal(err)
	}
	view, err := store.List(callContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if a, _ := view.Snapshot.Attachment(network.ID, node); a.DockerName != "shop" || a.Pool == "" && a.DockerNetwork == "" {
		t.Errorf("attachment %+v", a)
	}
	named, _ := view.Snapshot.Endpoint(network.ID, e.ID)
	before := named.Revision
	other, otherNode := s.host(t, 2)
	if err := other.NameEndpoint(callContext(t), otherNode, network.ID, e.ID, []string{"mine"}); err != nil {
		t.Fatal(err)
	}
	if err := store.NameEndpoint(callContext(t), node, network.ID, "gone", []string{"late"}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, store.NameEndpoint(callContext(t), node, network.ID, e.ID, []string{"a/b"}), overlay.Invalid)
	if again, _, err := store.GetEndpoint(callContext(t), network.ID, e.ID); err != nil || again.Revision != before || !slices.Equal(again.Names, []string{"web-1"}) {
		t.Errorf("endpoint %+v, error %v", again, err)
	}
	audit(t, s)
}
