package docker

import (
	"context"
	"fmt"

	"github.com/docker/go-plugins-helpers/network"

	"github.com/ovsnet/ovsnet/overlay"
)

// createNetwork makes this host's Docker network a network of the overlay, or
// joins it to one that exists. Which of them is the store's to decide, in one
// transaction.
func (p *Plugin) createNetwork(ctx context.Context, request network.CreateNetworkRequest) (none, error) {
	attach, err := p.attachRequest(request)
	if err != nil {
		return none{}, err
	}
	carries, err := p.Underlay.NetworkMTU(ctx)
	if err != nil {
		return none{}, p.away(ctx, "the underlay", err)
	}
	if attach.MTU, attach.DefaultMTU, err = fitMTU(attach.MTU, p.DefaultMTU, carries); err != nil {
		return none{}, err
	}
	occupied, err := p.Routes.Occupied(ctx)
	if err != nil {
		return none{}, p.away(ctx, "this host's routes", err)
	}
	if err := refuseOverlap(networkObject(attach.Name), "its subnet "+attach.Subnet.Prefix.String(), attach.Subnet.Prefix, occupied); err != nil {
		return none{}, err
	}
	joined, err := p.Networks.Attach(ctx, attach)
	if err != nil {
		return none{}, p.away(ctx, "etcd", err)
	}
	if joined.MTU > carries {
		return none{}, p.detachUnfit(ctx, request.NetworkID, joined, carries)
	}
	return none{}, nil
}

// attachRequest reads what Docker asks for.
func (p *Plugin) attachRequest(request network.CreateNetworkRequest) (AttachRequest, error) {
	if err := require("NetworkID", request.NetworkID); err != nil {
		return AttachRequest{}, err
	}
	options, err := parseNetworkOptions(request.Options)
	if err != nil {
		return AttachRequest{}, err
	}
	subnet, foreign, err := parseSubnet(request)
	if err != nil {
		return AttachRequest{}, err
	}
	return AttachRequest{
		Node: p.Node, DockerNetwork: request.NetworkID, Name: options.Name, VNI: options.VNI, MTU: options.MTU,
		Internal: options.Internal, Subnet: subnet, ForeignIPAM: foreign,
	}, nil
}

// detachUnfit leaves a network whose packets this host's underlay would drop,
// and says so. The network's MTU is only known once it is joined.
func (p *Plugin) detachUnfit(ctx context.Context, dockerNetwork string, joined overlay.Network, carries int) error {
	ctx, cancel := undo(ctx)
	defer cancel()
	return and(
		overlay.Refuse(overlay.Conflict, networkObject(joined.Name), "raise the MTU of this host's underlay, or make the network with a smaller "+OptionMTU,
			"its MTU is %d, this host's underlay carries at most %d", joined.MTU, carries),
		p.Networks.Detach(ctx, p.Node, dockerNetwork))
}

// deleteNetwork takes this host out of the network. Docker has forgotten the
// network whatever is answered.
func (p *Plugin) deleteNetwork(ctx context.Context, request network.DeleteNetworkRequest) (none, error) {
	if err := require("NetworkID", request.NetworkID); err != nil {
		return none{}, err
	}
	err := p.Networks.Detach(ctx, p.Node, request.NetworkID)
	if overlay.IsKind(err, overlay.Missing) {
		return none{}, nil
	}
	return none{}, p.away(ctx, "etcd", err)
}

// networkObject names a network for a refusal.
func networkObject(name string) string {
	if name == "" {
		return "network"
	}
	return fmt.Sprintf("network %q", name)
}
