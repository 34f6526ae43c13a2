package docker

import (
	"context"
	"net/netip"

	"github.com/ovsnet/ovsnet/overlay"
)

// PoolRequest asks for a subnet.
type PoolRequest struct {
	// Node is the host that asks.
	Node string
	// Network is the name given with --ipam-opt ovsnet.network, or empty.
	Network string
	// Prefix is the subnet asked for, and Range the part of it to give addresses
	// from; the zero Prefix where the user named none.
	Prefix netip.Prefix
	Range  netip.Prefix
	// From is where to choose a subnet when neither Prefix nor an existing
	// Network says which.
	From netip.Prefix
	// Avoid are the prefixes that a chosen subnet must not overlap.
	Avoid []netip.Prefix
}

// AddressRequest asks for an address of a pool.
type AddressRequest struct {
	// Node is the host that asks, and Boot its boot ID.
	Node string
	Boot string
	// Pool is where the address comes from.
	Pool overlay.Pool
	// Address is the one asked for; the zero Addr asks for a free one.
	Address netip.Addr
	// Gateway says that the address is for the network's gateway.
	Gateway bool
}

// AttachRequest asks that a host's Docker network becomes, or joins, a network.
type AttachRequest struct {
	// Node is the host, and DockerNetwork the ID that its Docker chose.
	Node          string
	DockerNetwork string
	// Name is the name given with -o ovsnet.network, or empty.
	Name string
	// VNI and MTU are what the user asked for; 0 where nothing was asked.
	VNI uint32
	MTU int
	// DefaultMTU is what a new network gets when MTU is 0, in bytes.
	DefaultMTU int
	// Internal is Docker's --internal.
	Internal bool
	// Subnet is Docker's IPv4 subnet with gateway and auxiliary addresses.
	Subnet overlay.Subnet
	// ForeignIPAM says that another IPAM driver chose the subnet.
	ForeignIPAM bool
}

// Pools gives subnets and addresses, and takes them back. Every method may be
// repeated; only an unnamed pool and an unaddressed address are new each time,
// and what of those is never used expires.
type Pools interface {
	// RequestPool reserves a subnet for this host.
	RequestPool(ctx context.Context, request PoolRequest) (overlay.Pool, error)
	// ReleasePool drops this host's hold on the subnet.
	ReleasePool(ctx context.Context, node string, pool overlay.Pool) error
	// RequestAddress reserves an address; the prefix has the subnet's length.
	RequestAddress(ctx context.Context, request AddressRequest) (netip.Prefix, error)
	// ReleaseAddress drops this host's hold on the address.
	ReleaseAddress(ctx context.Context, node string, pool overlay.Pool, addr netip.Addr) error
}

// Networks ties this host's Docker networks to networks of the overlay.
type Networks interface {
	// Attach makes or joins the network that the request describes.
	Attach(ctx context.Context, request AttachRequest) (overlay.Network, error)
	// Detach undoes Attach. An unknown Docker network is no error, or one of
	// kind overlay.Missing.
	Detach(ctx context.Context, node, dockerNetwork string) error
	// Attached returns what Attach tied together; an unknown Docker network is a
	// refusal of kind overlay.Missing.
	Attached(ctx context.Context, node, dockerNetwork string) (overlay.Network, overlay.Attachment, error)
}

// Endpoints keeps the endpoints of the networks. Every method may be repeated.
type Endpoints interface {
	// CreateEndpoint writes the endpoint and binds its addresses; the answer has
	// the record's Revision.
	CreateEndpoint(ctx context.Context, endpoint overlay.Endpoint) (overlay.Endpoint, error)
	// DeleteEndpoint removes it; an unknown one is no error.
	DeleteEndpoint(ctx context.Context, node, network, id string) error
	// GetEndpoint returns it; false where there is none.
	GetEndpoint(ctx context.Context, network, id string) (overlay.Endpoint, bool, error)
}

// Loop is this host's reconcile loop.
type Loop interface {
	// Follow returns when the network's endpoints are known to the loop.
	Follow(ctx context.Context, network string) error
	// WaitEndpoint returns when this host's flows for at least the endpoint's
	// Revision are installed with its port, and the link of that index was looked at,
	// or why not, and wakes the loop unless all is so.
	WaitEndpoint(ctx context.Context, endpoint overlay.Endpoint, link int) error
	// Wake makes the loop look again at this host's links and ports.
	Wake()
}

// Links makes and removes the link between a container and its host.
type Links interface {
	// Create makes the link, its host's end up, its container's end with the
	// endpoint's MAC; mtu is in bytes. A repeat leaves a fitting link alone. The
	// answer is the kernel's number of the host's end, another for each link.
	Create(ctx context.Context, endpoint overlay.Endpoint, mtu int) (index int, err error)
	// Delete removes the link whose host's end has that name; one that is absent
	// is no error.
	Delete(ctx context.Context, name string) error
}

// Occupied is a prefix that a network of containers must not overlap on this
// host.
type Occupied struct {
	Prefix netip.Prefix
	// What tells people what has the prefix: "route 10.0.0.0/8 through eth0".
	What string
}

// HostRoutes tells which prefixes are in use on this host and its underlay.
type HostRoutes interface {
	Occupied(ctx context.Context) ([]Occupied, error)
}

// Underlay tells what the network below the tunnels carries.
type Underlay interface {
	// NetworkMTU is the largest MTU, in bytes, of a network whose packets this
	// host's underlay carries with the tunnel's headers around them.
	NetworkMTU(ctx context.Context) (int, error)
}
