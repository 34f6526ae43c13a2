package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/ovsdb"
	"github.com/ovsnet/ovsnet/tunnel"
)

// switchDB is the part of ovsdb.Client that bridge uses.
type switchDB interface {
	Observe(ctx context.Context, bridge string) (ovsdb.Observation, error)
	EnsureBridge(ctx context.Context, want ovsdb.Bridge) error
	EnsureTunnel(ctx context.Context, bridge string, want ovsdb.Port) error
	EnsurePorts(ctx context.Context, bridge string, wants []ovsdb.Port) (refused map[string]error, err error)
	RemovePorts(ctx context.Context, bridge string, names []string) error
	Ping(ctx context.Context) error
	Changes() <-chan struct{}
}

// bridge makes OVSDB an agent.Switch.
type bridge struct {
	ovs            switchDB
	name, datapath string
	port           tunnel.Port
	// newCluster forgets the cluster that the bridge remembers: another one is
	// remembered as soon as the host has joined it.
	newCluster bool

	// mu is held while the bridge is changed, so that no identity is written over
	// a newer one.
	mu sync.Mutex
	// identity outlives a bridge that somebody removed; without an ID it was not
	// read yet.
	identity agent.HostIdentity
	// conflict is why the tunnel port cannot be made, or nil.
	conflict error
}

// EnsureHost makes bridge and tunnel; before the host has joined only what is
// not there, since its containers' traffic goes through what is. The host ID is
// made once and remembered with the bridge. A tunnel that cannot be made is not the bridge's failure:
// Observe tells of it.
func (b *bridge) EnsureHost(ctx context.Context, joined bool) (agent.HostIdentity, error) {
	seen, err := b.ovs.Observe(ctx, b.name)
	if err != nil {
		return agent.HostIdentity{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.identity.ID == "" {
		b.identity.ID = cmp.Or(seen.Bridge.ExternalIDs[ovsdb.KeyHost], rand.Text())
		if !b.newCluster {
			b.identity.Cluster = seen.Bridge.ExternalIDs[ovsdb.KeyCluster]
		}
	}
	if joined || seen.Bridge.ExternalIDs[ovsdb.KeyHost] == "" {
		if err := b.ensure(ctx); err != nil {
			return agent.HostIdentity{}, err
		}
	}
	if !joined && slices.ContainsFunc(seen.Ports, func(p ovsdb.PortState) bool { return p.Name == b.port.Name }) {
		return b.identity, nil
	}
	err = b.ovs.EnsureTunnel(ctx, b.name, ovsdb.Port{Name: b.port.Name, Type: b.port.Type, Options: b.port.Options})
	b.conflict = nil
	if overlay.IsKind(err, overlay.Conflict) {
		b.conflict, err = err, nil
	}
	return b.identity, err
}

// RememberCluster writes the ID of the host's cluster to the bridge.
func (b *bridge) RememberCluster(ctx context.Context, cluster string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.identity.Cluster
	b.identity.Cluster = cluster
	if err := b.ensure(ctx); err != nil {
		b.identity.Cluster = before
		return fmt.Errorf("remember cluster %s: %w", cluster, err)
	}
	return nil
}

// remembered is the host's identity as it was last written.
func (b *bridge) remembered() agent.HostIdentity {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.identity
}

// ensure makes the bridge with the identity. A cluster that is not known is
// left as the bridge has it: until the host has joined another, the old one
// still stands.
func (b *bridge) ensure(ctx context.Context) error {
	keys := map[string]string{ovsdb.KeyHost: b.identity.ID}
	if b.identity.Cluster != "" {
		keys[ovsdb.KeyCluster] = b.identity.Cluster
	}
	return b.ovs.EnsureBridge(ctx, ovsdb.Bridge{Name: b.name, Datapath: b.datapath, ExternalIDs: keys})
}

// Observe tells what OVS has of ours.
func (b *bridge) Observe(ctx context.Context) (agent.Observation, error) {
	seen, err := b.ovs.Observe(ctx, b.name)
	if err != nil {
		return agent.Observation{}, err
	}
	b.mu.Lock()
	conflict := b.conflict
	b.mu.Unlock()
	return b.observation(seen, conflict), nil
}

func (b *bridge) observation(seen ovsdb.Observation, conflict error) agent.Observation {
	out := agent.Observation{Version: seen.Version, Datapath: seen.Bridge.Datapath, Answered: seen.Answered}
	for _, p := range seen.Ports {
		if p.Name == b.port.Name {
			out.Tunnel, out.TunnelError = p.Ofport, p.Error
			continue
		}
		if e := p.ExternalIDs[ovsdb.KeyEndpoint]; e != "" {
			out.Ports = append(out.Ports, agent.Port{Name: p.Name, Endpoint: e, Network: p.ExternalIDs[ovsdb.KeyNetwork], OFPort: p.Ofport, Error: p.Error})
		}
	}
	for _, t := range seen.FlowTunnels {
		if fmt.Sprint(t.UDPPort) != b.port.Options["dst_port"] {
			continue
		}
		if out.Tunnel == 0 {
			out.TunnelError = t.String() + "; remove it, or set --vxlan-port on every host"
			continue
		}
		out.Problems = append(out.Problems, agent.Problem{Object: "tunnel port", Reason: t.String() + "; packets to this host may go there: remove it"})
	}
	if conflict != nil {
		out.TunnelError = conflict.Error()
	}
	for _, p := range seen.Foreign {
		out.Problems = append(out.Problems, agent.Problem{Object: "port " + p.Name, Reason: "on bridge " + b.name + " and not of ovsnet; nothing it sends passes"})
	}
	return out
}

// Ping asks ovs-vswitchd for a sign of life.
func (b *bridge) Ping(ctx context.Context) error { return b.ovs.Ping(ctx) }

// EnsurePorts makes the ports, each marked with its endpoint and network. A port
// that is refused is its endpoint's problem.
func (b *bridge) EnsurePorts(ctx context.Context, ports []agent.Port) ([]agent.Problem, error) {
	wants := make([]ovsdb.Port, len(ports))
	for i, p := range ports {
		wants[i] = ovsdb.Port{Name: p.Name, ExternalIDs: map[string]string{ovsdb.KeyEndpoint: p.Endpoint, ovsdb.KeyNetwork: p.Network}}
	}
	refused, err := b.ovs.EnsurePorts(ctx, b.name, wants)
	var problems []agent.Problem
	for _, p := range ports {
		if why := refused[p.Name]; why != nil {
			problems = append(problems, agent.Problem{Object: "endpoint " + overlay.ShortID(p.Endpoint), Reason: why.Error()})
		}
	}
	return problems, err
}

// RemovePorts removes the ports.
func (b *bridge) RemovePorts(ctx context.Context, names []string) error {
	return b.ovs.RemovePorts(ctx, b.name, names)
}

// Changes wakes on every change in OVSDB that Observe shows.
func (b *bridge) Changes() <-chan struct{} { return b.ovs.Changes() }
