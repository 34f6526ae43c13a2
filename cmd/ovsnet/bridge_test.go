package main

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/ovsdb"
	"github.com/ovsnet/ovsnet/tunnel"
)

// switchFake is an OVSDB with one bridge.
type switchFake struct {
	seen    ovsdb.Observation
	tunnel  error
	refused map[string]error
	down    error
	// changed are the parts that were made or changed.
	changed []string
}

func (f *switchFake) Observe(context.Context, string) (ovsdb.Observation, error) { return f.seen, nil }
func (f *switchFake) EnsureBridge(_ context.Context, want ovsdb.Bridge) error {
	if f.down != nil {
		return f.down
	}
	f.changed = append(f.changed, want.Name)
	if f.seen.Bridge.ExternalIDs == nil {
		f.seen.Bridge.ExternalIDs = map[string]string{}
	}
	maps.Copy(f.seen.Bridge.ExternalIDs, want.ExternalIDs)
	return nil
}
func (f *switchFake) Ping(context.Context) error { return f.down }
func (f *switchFake) EnsureTunnel(_ context.Context, _ string, want ovsdb.Port) error {
	f.changed = append(f.changed, want.Name)
	return f.tunnel
}
func (f *switchFake) EnsurePorts(context.Context, string, []ovsdb.Port) (map[string]error, error) {
	return f.refused, nil
}
func (f *switchFake) RemovePorts(context.Context, string, []string) error { return nil }
func (f *switchFake) Changes() <-chan struct{}                            { return nil }

func remembering(host, cluster string) *switchFake {
	return &switchFake{seen: ovsdb.Observation{Bridge: ovsdb.BridgeState{ExternalIDs: map[string]string{ovsdb.KeyHost: host, ovsdb.KeyCluster: cluster}}}}
}

// What keeps the tunnel port from being made is told until it is over.
func TestTunnelConflictIsTold(t *testing.T) {
	f := &switchFake{tunnel: overlay.Refuse(overlay.Conflict, "port \"ovsnet-vxlan\"", "remove it", "bridge \"br0\" has one")}
	b := &bridge{ovs: f, name: "br-ovsnet"}
	told := func() string {
		if _, err := b.EnsureHost(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		seen, err := b.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return seen.TunnelError
	}
	if got := told(); !strings.Contains(got, `bridge "br0" has one`) {
		t.Errorf("the tunnel's error is %q", got)
	}
	f.tunnel = nil
	if got := told(); got != "" {
		t.Errorf("the tunnel's error is still %q", got)
	}
	f.tunnel = overlay.Refuse(overlay.Unavailable, "OVSDB", "", "away")
	if _, err := b.EnsureHost(t.Context(), true); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("EnsureHost with OVSDB away: %v", err)
	}
}

// A configuration that the cluster may refuse changes no tunnel that carries traffic.
func TestTunnelStaysUntilTheHostHasJoined(t *testing.T) {
	f := remembering("m1", "c1")
	f.seen.Ports = []ovsdb.PortState{{Name: "ovsnet-vxlan", Ofport: 1}}
	b := &bridge{ovs: f, name: "br-ovsnet", datapath: "netdev", port: tunnel.PortSpec(netip.MustParseAddr("192.0.2.9"), 4789)}
	for _, joined := range []bool{false, true} {
		if _, err := b.EnsureHost(t.Context(), joined); err != nil {
			t.Fatal(err)
		}
		if changed := len(f.changed) > 0; changed != joined {
			t.Errorf("joined %t: changed %v", joined, f.changed)
		}
	}
	empty := &switchFake{}
	b = &bridge{ovs: empty, name: "br-ovsnet", port: b.port}
	if _, err := b.EnsureHost(t.Context(), false); err != nil || len(empty.changed) != 2 {
		t.Errorf("a host that has nothing: changed %v, %v; want bridge and tunnel", empty.changed, err)
	}
}

// A port that is refused is its endpoint's problem and not an error of all.
func TestRefusedPortIsItsEndpointsProblem(t *testing.T) {
	b := &bridge{ovs: &switchFake{refused: map[string]error{"ovsn1": errors.New("taken")}}}
	problems, err := b.EnsurePorts(t.Context(), []agent.Port{{Name: "ovsn1", Endpoint: "e1"}, {Name: "ovsn2", Endpoint: "e2"}})
	if diff := cmp.Diff([]agent.Problem{{Object: "endpoint e1", Reason: "taken"}}, problems); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
}

func TestClusterIsRemembered(t *testing.T) {
	f := remembering("m1", "c1")
	b := &bridge{ovs: f}
	if got, err := b.EnsureHost(t.Context(), true); err != nil || got != (agent.HostIdentity{ID: "m1", Cluster: "c1"}) {
		t.Errorf("the host is %+v, %v", got, err)
	}
	// Somebody removes the bridge: what it remembered comes back with it.
	f.seen.Bridge.ExternalIDs = nil
	got, err := b.EnsureHost(t.Context(), true)
	if want := map[string]string{ovsdb.KeyHost: "m1", ovsdb.KeyCluster: "c1"}; err != nil || got.Cluster != "c1" || !maps.Equal(f.seen.Bridge.ExternalIDs, want) {
		t.Errorf("the host is %+v, %v; the bridge has %v", got, err, f.seen.Bridge.ExternalIDs)
	}
}

// With --new-cluster the bridge keeps the old cluster until the host is in the
// new one, so that a start which did not get there changes nothing.
func TestNewClusterIsTakenOnce(t *testing.T) {
	f := remembering("m1", "old")
	b := &bridge{ovs: f, newCluster: true}
	ensure := func(want string) {
		t.Helper()
		if got, err := b.EnsureHost(t.Context(), true); err != nil || got.ID != "m1" || got.Cluster != want {
			t.Errorf("the host is %+v, %v; want cluster %q", got, err, want)
		}
	}
	ensure("")
	if kept := f.seen.Bridge.ExternalIDs[ovsdb.KeyCluster]; kept != "old" {
		t.Errorf("the bridge remembers %q before the host has joined", kept)
	}
	f.down = errors.New("away")
	if err := b.RememberCluster(t.Context(), "new"); err == nil || b.remembered().Cluster != "" {
		t.Errorf("remembered %+v, %v though it was not written", b.remembered(), err)
	}
	f.down = nil
	if err := b.RememberCluster(t.Context(), "new"); err != nil || f.seen.Bridge.ExternalIDs[ovsdb.KeyCluster] != "new" {
		t.Errorf("the bridge has %v, %v", f.seen.Bridge.ExternalIDs, err)
	}
	ensure("new")
}
