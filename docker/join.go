package docker

import (
	"context"

	"github.com/docker/go-plugins-helpers/network"

	"github.com/ovsnet/ovsnet/overlay"
)

// ifPrefix begins the name of the interface in the container: eth0, eth1, ….
const ifPrefix = "eth"

// join makes the container's link, unless CreateEndpoint did, and answers when
// packets pass through it on this host. No gateway is answered, so that Docker gives the container a way
// out through docker_gwbridge, unless the network is internal.
func (p *Plugin) join(ctx context.Context, request network.JoinRequest) (network.JoinResponse, error) {
	if err := requireEndpoint(request.NetworkID, request.EndpointID); err != nil {
		return network.JoinResponse{}, err
	}
	joined, endpoint, err := p.endpoint(ctx, request.NetworkID, request.EndpointID)
	if err != nil {
		return network.JoinResponse{}, err
	}
	if err := p.connect(ctx, endpoint, joined.MTU); err != nil {
		return network.JoinResponse{}, p.disconnect(ctx, endpoint, err)
	}
	return network.JoinResponse{
		InterfaceName:         network.InterfaceName{SrcName: endpoint.PeerName(), DstPrefix: ifPrefix},
		DisableGatewayService: joined.Internal,
	}, nil
}

// connect makes the link and waits for the loop to put it to use.
func (p *Plugin) connect(ctx context.Context, endpoint overlay.Endpoint, mtu int) error {
	link, err := p.Links.Create(ctx, endpoint, mtu)
	if err != nil {
		return p.away(ctx, "the kernel", err)
	}
	return p.away(ctx, "Open vSwitch", p.Loop.WaitEndpoint(ctx, endpoint, link))
}

// disconnect undoes a connect that failed, and returns why it did.
func (p *Plugin) disconnect(ctx context.Context, endpoint overlay.Endpoint, cause error) error {
	ctx, cancel := undo(ctx)
	defer cancel()
	defer p.Loop.Wake()
	return and(cause, p.Links.Delete(ctx, endpoint.PortName()))
}

// leave has nothing to undo: Docker takes its end of the link out of the
// container after this call and would not find it, so it goes with
// DeleteEndpoint.
func (p *Plugin) leave(_ context.Context, request network.LeaveRequest) (none, error) {
	return none{}, requireEndpoint(request.NetworkID, request.EndpointID)
}
