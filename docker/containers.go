package docker

import (
	"context"
	"errors"
	"fmt"

	"github.com/moby/moby/client"
)

// NetworkIDs asks Docker's API at that address for the IDs of all its networks.
// It does not ask by driver: Docker names a driver after the file of its socket,
// which may be a proxy's, and not the one that the plugin listens on. Like
// ContainerNames it is never called inside a plugin call.
func NetworkIDs(ctx context.Context, address string) (map[string]bool, error) {
	api, err := client.New(client.WithHost(address))
	if err != nil {
		return nil, fmt.Errorf("reach Docker at %s: %w", address, err)
	}
	defer func() { _ = api.Close() }()
	answer, err := api.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return nil, fmt.Errorf("ask Docker for its networks: %w", err)
	}
	ids := make(map[string]bool, len(answer.Items))
	for _, n := range answer.Items {
		ids[n.ID] = true
	}
	return ids, nil
}

// ContainerNames asks Docker's API at that address which containers are in the
// networks with those Docker IDs, and returns their names by endpoint ID. It is
// never called inside a plugin call: Docker would wait for itself. Networks
// that Docker does not answer for are in the error; the rest is returned.
func ContainerNames(ctx context.Context, address string, networks []string) (map[string]string, error) {
	api, err := client.New(client.WithHost(address))
	if err != nil {
		return nil, fmt.Errorf("reach Docker at %s: %w", address, err)
	}
	defer func() { _ = api.Close() }()
	names := map[string]string{}
	var failed []error
	for _, id := range networks {
		answer, err := api.NetworkInspect(ctx, id, client.NetworkInspectOptions{})
		if err != nil {
			failed = append(failed, fmt.Errorf("ask Docker for network %s: %w", id, err))
			continue
		}
		for _, member := range answer.Network.Containers {
			names[member.EndpointID] = member.Name
		}
	}
	return names, errors.Join(failed...)
}
