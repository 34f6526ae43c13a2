package main

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/capture"
	"github.com/ovsnet/ovsnet/docker"
	"github.com/ovsnet/ovsnet/guard"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
	"github.com/ovsnet/ovsnet/tunnel"
)

// links makes docker.HostLinks an agent.Links.
type links struct{ *docker.HostLinks }

func (l links) List(ctx context.Context) (map[string]agent.Link, error) {
	all, err := l.HostLinks.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]agent.Link, len(all))
	for name, link := range all {
		out[name] = agent.Link{Name: link.Name, Index: link.Index, Waiting: link.Waiting}
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
			next := agent.View{Snapshot: view.Snapshot, Connected: view.Connected, Since: view.Since, Cluster: view.Cluster, Lost: view.Lost}
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
	store         *store.Store
	boot, machine string
	ttl           time.Duration
}

func (r registry) CheckSchema(ctx context.Context, node string, host agent.HostIdentity) (string, error) {
	return r.store.CheckSchema(ctx, store.Remembered{Cluster: host.Cluster, Node: node, Host: host.ID})
}

func (r registry) Register(ctx context.Context, node overlay.Node, hostID string) error {
	return r.store.Register(ctx, node, store.Identity{Host: hostID, Boot: r.boot, Machine: r.machine})
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

func (o owner) NameEndpoint(ctx context.Context, node, network, id string, names []string) error {
	if err := o.member.Blocked(); err != nil {
		return err
	}
	return o.store.NameEndpoint(ctx, node, network, id, names)
}

func (o owner) NameAttachment(ctx context.Context, node, network, name string) error {
	if err := o.member.Blocked(); err != nil {
		return err
	}
	return o.store.NameAttachment(ctx, node, network, name)
}

func (o owner) FinishDetaches(ctx context.Context, node string) error {
	if err := o.member.Blocked(); err != nil {
		return err
	}
	return o.store.FinishDetaches(ctx, node)
}

func (o owner) Recognise(ctx context.Context, node, dockerNetwork, daemon string) error {
	if err := o.member.Blocked(); err != nil {
		return err
	}
	return o.store.Recognise(ctx, node, dockerNetwork, daemon)
}

// networks makes the store a docker.Networks, pools a docker.Pools.
type networks struct{ *store.Store }

func (n networks) Attach(ctx context.Context, request docker.AttachRequest) (overlay.Network, error) {
	return n.Store.Attach(ctx, store.AttachRequest(request))
}

type pools struct{ *store.Store }

func (p pools) RequestPool(ctx context.Context, request docker.PoolRequest) (overlay.Pool, error) {
	return p.Store.RequestPool(ctx, store.PoolRequest(request))
}

func (p pools) RequestAddress(ctx context.Context, request docker.AddressRequest) (netip.Prefix, error) {
	return p.Store.RequestAddress(ctx, store.AddressRequest(request))
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

// ears make the capture room an agent.Ears.
type ears struct{}

func (ears) Listen(link string, from overlay.MAC, offset int, token []byte) (agent.Ear, error) {
	filter, err := capture.Carrying(from, offset, token)
	if err != nil {
		return nil, err
	}
	s, err := capture.ListenLink(link, filter)
	if err != nil {
		return nil, err
	}
	return ear{s}, nil
}

// ear is a capture at an endpoint.
type ear struct{ *capture.Socket }

// Hear waits for a packet that goes into the container.
func (e ear) Hear(ctx context.Context) (time.Time, error) {
	for {
		p, err := e.Next(ctx)
		if err != nil || p.Out {
			return p.At, err
		}
	}
}

// dockerAPI makes Docker's API an agent.Docker and an agent.Containers.
type dockerAPI struct{ docker.API }

// Networks returns the Docker IDs of all its networks.
func (d dockerAPI) Networks(ctx context.Context) (map[string]bool, error) {
	return d.NetworkIDs(ctx)
}

// Names returns what Docker calls networks and the containers in them.
func (d dockerAPI) Names(ctx context.Context, networks []string) (map[string]agent.NetworkNames, error) {
	found, err := d.API.Names(ctx, networks)
	names := make(map[string]agent.NetworkNames, len(found))
	for id, n := range found {
		names[id] = agent.NetworkNames(n)
	}
	return names, err
}

// Daemon returns the daemon's own ID.
func (d dockerAPI) Daemon(ctx context.Context) (string, error) {
	return d.DaemonID(ctx)
}

// doorkeeper makes the guard an agent.Guard.
type doorkeeper struct {
	port  uint16
	vteps []netip.Addr
	// userspace says that OVS takes packets off the links before netfilter sees
	// them: what the host's own kernel is kept from there never was for it. With
	// the kernel's datapath the same rule would keep OVS from its packets.
	userspace bool
	// off says that there is to be no guard.
	off bool
}

// Ensure guards the tunnel port, and the links where that is due. Drops are told
// where they keep something from OVS.
func (d doorkeeper) Ensure(ctx context.Context, links []string, peers []netip.Addr) (uint64, error) {
	if d.off {
		return 0, guard.Remove(ctx)
	}
	drops, err := guard.Ensure(ctx, d.rules(links, peers))
	if d.userspace {
		return 0, err
	}
	return drops.Arriving, err
}

func (d doorkeeper) rules(links []string, peers []netip.Addr) guard.Rules {
	rules := guard.Rules{Port: d.port, VTEPs: d.vteps, Peers: peers}
	if d.userspace {
		rules.Links = links
	}
	return rules
}

// errNoVTEP is what the underlay's MTU is unknown for.
var errNoVTEP = errors.New("this host has no VTEP address yet")
