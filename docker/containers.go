package docker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/moby/moby/client"
)

// DriverName is what Docker calls the driver whose plugin listens at that path:
// the file's name without its ending.
func DriverName(socket string) string {
	return strings.TrimSuffix(filepath.Base(socket), ".sock")
}

// DriverNetworks asks Docker's API at that address for the networks of the
// driver, and returns their Docker IDs. Like ContainerNames it is never called
// inside a plugin call.
func DriverNetworks(ctx context.Context, address, driver string) (map[string]bool, error) {
	api, err := client.New(client.WithHost(address))
	if err != nil {
		return nil, fmt.Errorf("reach Docker at %s: %w", address, err)
	}
	defer func() { _ = api.Close() }()
	answer, err := api.NetworkList(ctx, client.NetworkListOptions{Filters: make(client.Filters).Add("driver", driver)})
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
