package agent

import (
	"context"
	"net/netip"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// View is what the store last said, and how well it can be reached.
type View struct {
	// Snapshot is complete: everything this host follows was read.
	Snapshot *overlay.Snapshot
	// Cluster is the ID of the cluster that the Snapshot's records belong to.
	Cluster string
	// Lost is why etcd, though it answers, does not hold that cluster any more; nil
	// while it does. The Snapshot is then the last one of before.
	Lost error
	// Connected says whether etcd answers now; Since when that has been so.
	Connected bool
	Since     time.Time
	// Problems are records that could not be read, each with a reason.
	Problems []Problem
}

// Problem is one object that does not work, and why.
type Problem struct {
	// Object names it as users know it.
	Object string `json:"object"`
	// Reason is the cause, with what to do where that is known.
	Reason string `json:"reason"`
}

// Views delivers what the store says.
type Views interface {
	// Views yields the newest view; older ones that nobody took are dropped.
	Views() <-chan View
	// Follow begins to deliver a network's endpoints and returns when they are
	// in the stream.
	Follow(ctx context.Context, network string) error
	// Unfollow ends that.
	Unfollow(network string)
}

// Observation is what OVS has of ours.
type Observation struct {
	// Tunnel is the tunnel port's OpenFlow number, 0 while it has none, and
	// TunnelError why.
	Tunnel      uint32
	TunnelError string
	// Ports are the endpoint ports on our bridge.
	Ports []Port
	// Problems are what else is wrong on the switch, such as foreign ports.
	Problems []Problem
	// Answered is false while ovs-vswitchd has not taken over the last change.
	Answered bool
	// Version is OVS's version, and Datapath the bridge's datapath type.
	Version, Datapath string
}

// HostIdentity is what a host remembers with its bridge.
type HostIdentity struct {
	// ID is random and tells machines of one name apart.
	ID string
	// Cluster is the ID of the cluster that the host belongs to; empty until it
	// has joined one.
	Cluster string
}

// Switch is the host's OVS as far as OVSDB shows it.
type Switch interface {
	// EnsureHost makes bridge and tunnel port as configured and returns the
	// identity that is remembered with the bridge. Until the host has joined, what
	// is there stays as it is: the cluster may refuse the configuration.
	EnsureHost(ctx context.Context, joined bool) (HostIdentity, error)
	// Ping returns nil once ovs-vswitchd has answered a question put to it now,
	// and an error that says what is away when ctx ends before.
	Ping(ctx context.Context) error
	// Observe reads what is there.
	Observe(ctx context.Context) (Observation, error)
	// EnsurePorts makes the ports; one that OVSDB's state forbids is a problem of
	// its endpoint and keeps no other. RemovePorts removes them.
	EnsurePorts(ctx context.Context, ports []Port) ([]Problem, error)
	RemovePorts(ctx context.Context, names []string) error
	// Changes wakes when something of this may have changed.
	Changes() <-chan struct{}
}

// FlowTable is the bridge's OpenFlow side.
type FlowTable interface {
	// Dump returns every flow on the bridge.
	Dump(ctx context.Context) ([]flows.Installed, error)
	// Apply makes the change in one atomic bundle.
	Apply(ctx context.Context, change flows.Delta) error
	// DumpAt returns the flows at one place, of any priority.
	DumpAt(ctx context.Context, where flows.Where) ([]flows.Installed, error)
	// Watch tells what happens to the flows, one event after the other: Began once
	// it tells everything, Missed where it left something out. It returns when
	// ovs-vswitchd goes away, or ctx ends.
	Watch(ctx context.Context, tell func(flows.Event)) error
}

// Links are the endpoint links in the host's network namespace.
type Links interface {
	// List returns our links by the name of the host's end.
	List(ctx context.Context) (map[string]Link, error)
	// Delete removes a link; one that is absent is no error.
	Delete(ctx context.Context, name string) error
}

// Endpoints releases endpoints that Docker forgot.
type Endpoints interface {
	// DeleteEndpoint removes an endpoint and what it claims; one that is absent
	// is no error.
	DeleteEndpoint(ctx context.Context, node, network, id string) error
}

// Guard is the host's packet filter around the tunnel and the endpoints' links.
type Guard interface {
	// Ensure makes the filter fit these host ends of endpoint links, and these
	// tunnel addresses of the cluster's hosts, nil while they are not known. It
	// returns how many tunnel packets for this host the filter has dropped, since
	// it stands, that would have been taken without it.
	Ensure(ctx context.Context, links []string, vteps []netip.Addr) (dropped uint64, err error)
}

// Member tells whether this host takes part in its cluster.
type Member interface {
	// Standing is how it stands now; the channel closes when that changes.
	Standing() (Standing, <-chan struct{})
}

// Peers are the other hosts' tunnel end points.
type Peers interface {
	// Resolve readies the way to each address, without waiting for it.
	Resolve(ctx context.Context, addrs []netip.Addr) error
}

// Parts are the effects a Loop works through.
type Parts struct {
	Views     Views
	Switch    Switch
	Flows     FlowTable
	Links     Links
	Endpoints Endpoints
	Peers     Peers
	Guard     Guard
	Member    Member
}
