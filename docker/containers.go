package docker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// API is Docker's API at an address such as unix:///var/run/docker.sock. It is
// never asked inside a plugin call: Docker would wait for itself.
type API string

// NetworkNames is what Docker calls a network and what is in it.
type NetworkNames struct {
	// Name is the network's name.
	Name string
	// Containers are the containers' names by endpoint ID.
	Containers map[string]string
}

func (a API) open() (*client.Client, error) {
	api, err := client.New(client.WithHost(string(a)))
	if err != nil {
		return nil, fmt.Errorf("reach Docker at %s: %w", string(a), err)
	}
	return api, nil
}

// NetworkIDs returns the IDs of all networks. It does not ask by driver: Docker
// names a driver after the file of its socket, which may be a proxy's, and not
// the one that the plugin listens on.
func (a API) NetworkIDs(ctx context.Context) (map[string]bool, error) {
	api, err := a.open()
	if err != nil {
		return nil, err
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

// DaemonID returns the ID by which the daemon is told from others.
func (a API) DaemonID(ctx context.Context) (string, error) {
	api, err := a.open()
	if err != nil {
		return "", err
	}
	defer func() { _ = api.Close() }()
	answer, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return "", fmt.Errorf("ask Docker for its ID: %w", err)
	}
	return answer.Info.ID, nil
}

// Names returns the names of the networks with those Docker IDs, by ID. Networks
// that Docker does not answer for are in the error; the rest is returned.
func (a API) Names(ctx context.Context, networks []string) (map[string]NetworkNames, error) {
	api, err := a.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = api.Close() }()
	all := map[string]NetworkNames{}
	var failed []error
	for _, id := range networks {
		answer, err := api.NetworkInspect(ctx, id, client.NetworkInspectOptions{})
		if err != nil {
			failed = append(failed, fmt.Errorf("ask Docker for network %s: %w", id, err))
			continue
		}
		names := NetworkNames{Name: answer.Network.Name, Containers: map[string]string{}}
		for _, member := range answer.Network.Containers {
			names.Containers[member.EndpointID] = member.Name
		}
		all[id] = names
	}
	return all, errors.Join(failed...)
}

// Watch tells the IDs of networks that a container joined or left, or in which
// one got another name, and "" where it could be any: first when it listens. It
// returns an error when Docker goes away, nil when ctx ends.
func (a API) Watch(ctx context.Context, tell func(network string)) error {
	api, err := a.open()
	if err != nil {
		return err
	}
	defer func() { _ = api.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Docker keeps its latest events, so nothing is missed between now and the
	// moment when it listens to this request.
	stream := api.Events(ctx, client.EventsListOptions{Since: strconv.FormatInt(time.Now().Unix(), 10), Filters: client.Filters{}.
		Add("event", string(events.ActionConnect), string(events.ActionDisconnect), string(events.ActionRename))})
	if _, err := api.Ping(ctx, client.PingOptions{}); err != nil {
		return fmt.Errorf("ask Docker at %s: %w", string(a), err)
	}
	tell("")
	for {
		select {
		case m := <-stream.Messages:
			switch m.Type {
			case events.NetworkEventType:
				tell(m.Actor.ID)
			case events.ContainerEventType:
				for _, id := range a.networksOf(ctx, api, m.Actor.ID) {
					tell(id)
				}
			}
		case err := <-stream.Err:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("follow Docker's events: %w", err)
		}
	}
}

// networksOf returns the Docker IDs of the networks that a container is in; ""
// where Docker does not tell.
func (a API) networksOf(ctx context.Context, api *client.Client, container string) []string {
	answer, err := api.ContainerInspect(ctx, container, client.ContainerInspectOptions{})
	if err != nil || answer.Container.NetworkSettings == nil {
		return []string{""}
	}
	var ids []string
	for _, n := range answer.Container.NetworkSettings.Networks {
		ids = append(ids, n.NetworkID)
	}
	return ids
}
