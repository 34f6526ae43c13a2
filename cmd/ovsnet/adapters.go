package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/docker"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/ovsdb"
	"github.com/ovsnet/ovsnet/store"
	"github.com/ovsnet/ovsnet/tunnel"
)

// bridge makes OVSDB an agent.Switch.
type bridge struct {
	ovs            *ovsdb.Client
	name, datapath string
	port           tunnel.Port
	// hostID outlives a bridge that somebody removed; only the loop uses it.
	hostID string
}

// EnsureHost makes bridge and tunnel. The host ID is made once and remembered
// with the bridge. A tunnel that cannot be made is not the bridge's failure:
// Observe tells of it.
func (b *bridge) EnsureHost(ctx context.Context) (string, error) {
	seen, err := b.ovs.Observe(ctx, b.name)
	if err != nil {
		return "", err
	}
	if b.hostID == "" {
		b.hostID = cmp.Or(seen.Bridge.ExternalIDs[ovsdb.KeyHost], rand.Text())
	}
	want := ovsdb.Bridge{Name: b.name, Datapath: b.datapath, ExternalIDs: map[string]string{ovsdb.KeyHost: b.hostID}}
	if err := b.ovs.EnsureBridge(ctx, want); err != nil {
		return "", err
	}
	err = b.ovs.EnsureTunnel(ctx, b.name, ovsdb.Port{Name: b.port.Name, Type: b.port.Type, Options: b.port.Options})
	if overlay.IsKind(err, overlay.Conflict) {
		err = nil
	}
	return b.hostID, err
}

// Observe tells what OVS has of ours.
func (b *bridge) Observe(ctx context.Context) (agent.Observation, error) {
	seen, err := b.ovs.Observe(ctx, b.name)
	if err != nil {
		return agent.Observation{}, err
	}
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
	for _, p := range seen.Foreign {
		out.Problems = append(out.Problems, agent.Problem{Object: "port " + p.Name, Reason: "on bridge " + b.name + " and not of ovsnet; nothing it sends passes"})
	}
	return out, nil
}

// EnsurePorts makes the ports, each marked with its endpoint and network.
func (b *bridge) EnsurePorts(ctx context.Context, ports []agent.Port) error {
	wants := make([]ovsdb.Port, len(ports))
	for i, p := range ports {
		wants[i] = ovsdb.Port{Name: p.Name, ExternalIDs: map[string]string{ovsdb.KeyEndpoint: p.Endpoint, ovsdb.KeyNetwork: p.Network}}
	}
	return b.ovs.EnsurePorts(ctx, b.name, wants)
}

// RemovePorts removes the ports.
func (b *bridge) RemovePorts(ctx context.Context, names []string) error {
	return b.ovs.RemovePorts(ctx, b.name, names)
}

// Changes wakes on every change in OVSDB that Observe shows.
func (b *bridge) Changes() <-chan struct{} { return b.ovs.Changes() }

// links makes docker.HostLinks an agent.Links.
type links struct{ *docker.HostLinks }

func (l links) List(ctx context.Context) (map[string]agent.Link, error) {
	all, err := l.HostLinks.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]agent.Link, len(all))
	for name, link := range all {
		out[name] = agent.Link{Name: link.Name, Waiting: link.Waiting}
	}
	return out, nil
}

// views makes a store.Watcher an agent.Views.
type views struct {
	*store.Watcher
	out chan agent.View
}

func newViews(ctx context.Context, s *store.Store, node string) views {
	v := views{Watcher: s.Watch(ctx, node), out: make(chan agent.View, 1)}
	go v.translate(ctx)
	return v
}

func (v views) Views() <-chan agent.View { return v.out }

// translate passes views on, the newest in place of one that nobody took.
func (v views) translate(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case view, more := <-v.Watcher.Views():
			if !more {
				return
			}
			next := agent.View{Snapshot: view.Snapshot, Connected: view.Connected, Since: view.Since}
			for _, p := range view.Problems {
				next.Problems = append(next.Problems, agent.Problem{Object: "etcd key " + p.Key, Reason: p.Reason})
			}
			select {
			case <-v.out:
			default:
			}
			v.out <- next
		}
	}
}

// registry makes the store an agent.Registry.
type registry struct {
	store *store.Store
	boot  string
	ttl   time.Duration
}

func (r registry) CheckSchema(ctx context.Context) error { return r.store.CheckSchema(ctx) }

func (r registry) Register(ctx context.Context, node overlay.Node, hostID string) error {
	return r.store.Register(ctx, node, store.Identity{Host: hostID, Boot: r.boot})
}

func (r registry) KeepAlive(ctx context.Context, node, hostID string) error {
	return r.store.KeepAlive(ctx, node, store.Identity{Host: hostID, Boot: r.boot}, r.ttl)
}

// owner lets the loop clean up in etcd only while this host has its name: what
// is there under the name of a host that was refused belongs to another.
type owner struct {
	store  *store.Store
	member *agent.Membership
}

func (o owner) DeleteEndpoint(ctx context.Context, node, network, id string) error {
	if err := o.member.Blocked(); err != nil {
		return err
	}
	return o.store.DeleteEndpoint(ctx, node, network, id)
}

func (o owner) Detach(ctx context.Context, node, dockerNetwork string) error {
	if err := o.member.Blocked(); err != nil {
		return err
	}
	return o.store.Detach(ctx, node, dockerNetwork)
}

// routes makes the tunnel room's probe, with the hosts that the cluster has, a
// docker.HostRoutes.
type routes struct{ desk *desk }

func (r routes) Occupied(ctx context.Context) ([]docker.Occupied, error) {
	all, err := tunnel.HostRoutes(ctx)
	if err != nil {
		return nil, err
	}
	out := r.desk.peers()
	for _, o := range all {
		out = append(out, docker.Occupied(o))
	}
	return out, nil
}

// peers makes the tunnel room an agent.Peers.
type peers struct{}

func (peers) Resolve(ctx context.Context, addrs []netip.Addr) error {
	return tunnel.ResolvePeers(ctx, addrs)
}

// dockerAPI makes the address of Docker's API an agent.Docker.
type dockerAPI string

// Networks returns the Docker IDs of the networks that use our driver.
func (d dockerAPI) Networks(ctx context.Context) (map[string]bool, error) {
	return docker.DriverNetworks(ctx, string(d))
}

// errNoVTEP is what the underlay's MTU is unknown for.
var errNoVTEP = errors.New("this host has no VTEP address yet")
