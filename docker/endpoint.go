package docker

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/docker/go-plugins-helpers/network"

	"github.com/ovsnet/ovsnet/overlay"
)

// createEndpoint writes the endpoint, so that the other hosts can prepare for
// it while Docker makes the container's sandbox, and so does this one. The loop
// learns of the network's other endpoints before, which Join would else wait
// for.
func (p *Plugin) createEndpoint(ctx context.Context, request network.CreateEndpointRequest) (network.CreateEndpointResponse, error) {
	var answer network.CreateEndpointResponse
	if err := requireEndpoint(request.NetworkID, request.EndpointID); err != nil {
		return answer, err
	}
	if err := refuseEndpointOptions(request.Options); err != nil {
		return answer, err
	}
	joined, attachment, err := p.Networks.Attached(ctx, p.Node, request.NetworkID)
	if err != nil {
		return answer, p.away(ctx, "etcd", err)
	}
	endpoint, err := newEndpoint(request, joined)
	if err != nil {
		return answer, err
	}
	endpoint.Node, endpoint.ForeignIPAM, endpoint.Created = p.Node, attachment.Pool == "", time.Now().UTC()
	if err := p.Loop.Follow(ctx, joined.ID); err != nil {
		return answer, p.away(ctx, "the list of the network's endpoints in etcd", err)
	}
	if _, err := p.Endpoints.CreateEndpoint(ctx, endpoint); err != nil {
		return answer, p.away(ctx, "etcd", err)
	}
	p.prepare(ctx, endpoint, joined.MTU)
	answer.Interface = &network.EndpointInterface{}
	// Docker refuses an answer that repeats what it said itself.
	if request.Interface.MacAddress == "" {
		answer.Interface.MacAddress = endpoint.MAC.String()
	}
	return answer, nil
}

// prepare makes the link ahead of Join, so that the loop gives it its port and
// flows while Docker is busy elsewhere. A failure is left to Join, which does the
// same again and can say what is wrong.
func (p *Plugin) prepare(ctx context.Context, endpoint overlay.Endpoint, mtu int) {
	if _, err := p.Links.Create(ctx, endpoint, mtu); err != nil {
		p.Logger.Debug("the link could not be made ahead of Join", "endpoint", endpoint.Label(), "error", err)
		return
	}
	p.Loop.Wake()
}

// newEndpoint reads what Docker says of the endpoint's interface.
func newEndpoint(request network.CreateEndpointRequest, in overlay.Network) (overlay.Endpoint, error) {
	endpoint := overlay.Endpoint{ID: request.EndpointID, Network: in.ID}
	face := request.Interface
	if face == nil {
		return endpoint, malformed{errors.New("no Interface is given")}
	}
	if face.AddressIPv6 != "" {
		return endpoint, refuseIPv6()
	}
	var err error
	if endpoint.IPv4, err = parseAddr("address", face.Address); err != nil {
		return endpoint, err
	}
	if err := refuseAddress(endpoint.IPv4, in); err != nil {
		return endpoint, err
	}
	if face.MacAddress == "" {
		endpoint.MAC = overlay.MACFromAddr(endpoint.IPv4)
		return endpoint, nil
	}
	if endpoint.MAC, err = overlay.ParseMAC(face.MacAddress); err != nil {
		return endpoint, err
	}
	return endpoint, endpoint.MAC.Validate()
}

// refuseAddress refuses an address that no endpoint of the network can have.
func refuseAddress(addr netip.Addr, in overlay.Network) error {
	subnet, ok := in.IPv4()
	if !ok {
		return overlay.Refuse(overlay.Invalid, networkObject(in.Name), "remove it and make it anew", "it has no IPv4 subnet")
	}
	if err := subnet.Usable(addr); err != nil {
		return err
	}
	if addr == subnet.Gateway {
		return overlay.Refuse(overlay.Conflict, "address "+addr.String(), "choose another", "it is the gateway of %s", networkObject(in.Name))
	}
	return nil
}

// deleteEndpoint removes the endpoint's link and record. The link goes even
// when etcd is away, since Docker does not ask twice; the loop then removes the
// record later.
func (p *Plugin) deleteEndpoint(ctx context.Context, request network.DeleteEndpointRequest) (none, error) {
	if err := requireEndpoint(request.NetworkID, request.EndpointID); err != nil {
		return none{}, err
	}
	defer p.Loop.Wake()
	return none{}, and(
		p.away(ctx, "the kernel", p.Links.Delete(ctx, overlay.Endpoint{ID: request.EndpointID}.PortName())),
		p.deleteRecord(ctx, request))
}

func (p *Plugin) deleteRecord(ctx context.Context, request network.DeleteEndpointRequest) error {
	joined, _, err := p.Networks.Attached(ctx, p.Node, request.NetworkID)
	if overlay.IsKind(err, overlay.Missing) {
		return nil
	}
	if err != nil {
		return p.away(ctx, "etcd", err)
	}
	return p.away(ctx, "etcd", p.Endpoints.DeleteEndpoint(ctx, p.Node, joined.ID, request.EndpointID))
}

// endpointInfo tells where an endpoint is plugged in. Docker asks twice while it
// starts a container, waits for the answer, and takes from it only published
// ports, which are not this driver's: so nothing is looked up.
func (p *Plugin) endpointInfo(_ context.Context, request network.InfoRequest) (network.InfoResponse, error) {
	return network.InfoResponse{Value: map[string]string{
		"ovsnet.port": overlay.Endpoint{ID: request.EndpointID}.PortName(),
	}}, requireEndpoint(request.NetworkID, request.EndpointID)
}

// endpoint returns an endpoint of this host with its network.
func (p *Plugin) endpoint(ctx context.Context, dockerNetwork, id string) (overlay.Network, overlay.Endpoint, error) {
	joined, _, err := p.Networks.Attached(ctx, p.Node, dockerNetwork)
	if err != nil {
		return joined, overlay.Endpoint{}, p.away(ctx, "etcd", err)
	}
	endpoint, found, err := p.Endpoints.GetEndpoint(ctx, joined.ID, id)
	if err != nil {
		return joined, endpoint, p.away(ctx, "etcd", err)
	}
	object := "endpoint " + overlay.ShortID(id)
	if !found {
		return joined, endpoint, overlay.Refuse(overlay.Missing, object, "connect the container to the network again", "not known in %s", networkObject(joined.Name))
	}
	if endpoint.Node != p.Node {
		return joined, endpoint, overlay.Refuse(overlay.Conflict, object, "connect the container to the network again", "it belongs to node %q", endpoint.Node)
	}
	return joined, endpoint, nil
}
