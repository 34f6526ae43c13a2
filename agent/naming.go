package agent

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// NetworkNames is what Docker calls a network and what is in it.
type NetworkNames struct {
	// Name is the network's name.
	Name string
	// Containers are the containers' names by endpoint ID.
	Containers map[string]string
}

// Containers tells what Docker calls networks and containers. It is never asked
// inside a plugin call.
type Containers interface {
	// Names returns the names of networks and their containers, by the networks'
	// Docker IDs. What cannot be told is in the error; the rest is returned.
	Names(ctx context.Context, networks []string) (map[string]NetworkNames, error)
	// Watch tells the Docker IDs of networks whose names may have changed, "" for
	// all of them, which it begins with. It ends when Docker goes away or ctx ends.
	Watch(ctx context.Context, tell func(network string)) error
}

// NameKeeper keeps names in the cluster's records. What is gone is no error, and
// what is so already costs nothing but a look.
type NameKeeper interface {
	// NameEndpoint writes what users call an endpoint of the node.
	NameEndpoint(ctx context.Context, node, network, id string, names []string) error
	// NameAttachment writes what the node's Docker calls a network.
	NameAttachment(ctx context.Context, node, network, name string) error
}

// Naming keeps what Docker calls this host's containers and networks in their
// records, so that every host can speak of them by name. Docker's events say
// when to look; what is written follows from the look alone.
type Naming struct {
	// Node is this host's name.
	Node string
	// Look returns what the loop last published, and a channel that closes at the
	// next time.
	Look   func() (State, <-chan struct{})
	Docker Containers
	Store  NameKeeper
	Logger *slog.Logger
}

const (
	// namingTimeout bounds asking Docker for names and writing them.
	namingTimeout = 20 * time.Second
	// namingEvery is how often all names are looked at though nothing changed.
	namingEvery = time.Minute
)

// Run follows the names until ctx ends. While Docker or etcd is away the names
// stay as they are.
func (n *Naming) Run(ctx context.Context) {
	hints := make(chan string, 64)
	go n.watch(ctx, hints)
	every := time.NewTicker(namingEvery)
	defer every.Stop()
	again := persistent(100*time.Millisecond, 10*time.Second)
	due := hinted{}
	for {
		state, changed := n.Look()
		var retry <-chan time.Time
		if ready := state.View.Snapshot != nil && state.Held == nil; ready && len(due) > 0 {
			due = n.keep(ctx, state.View.Snapshot, due)
			changed = nil
			if len(due) > 0 {
				retry = time.After(again.NextBackOff())
			} else {
				again.Reset()
			}
		}
		select {
		case <-ctx.Done():
			return
		case id := <-hints:
			due.add(id, hints)
		case <-every.C:
			due.add("", hints)
		case <-changed:
		case <-retry:
		}
	}
}

// watch follows Docker's events, whenever Docker is there. One that answers and
// tells no events, as behind some proxies, is not asked at full speed.
func (n *Naming) watch(ctx context.Context, hints chan<- string) {
	pause := persistent(200*time.Millisecond, 10*time.Second)
	for ctx.Err() == nil {
		began := time.Now()
		err := n.Docker.Watch(ctx, func(id string) {
			select {
			case hints <- id:
			case <-ctx.Done():
			}
		})
		if time.Since(began) > 2*time.Second {
			pause.Reset()
		}
		n.Logger.Debug("Docker does not tell its events", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// hinted are Docker networks to look at; "" stands for all.
type hinted map[string]bool

// add notes a hint and those that wait behind it.
func (h hinted) add(id string, more <-chan string) {
	h[id] = true
	for {
		select {
		case id := <-more:
			h[id] = true
		default:
			return
		}
	}
}

// keep brings the records of the hinted networks up to date, and returns those to
// look at again: where that failed, and where an endpoint has no record yet.
func (n *Naming) keep(ctx context.Context, s *overlay.Snapshot, due hinted) hinted {
	ctx, cancel := context.WithTimeout(ctx, namingTimeout)
	defer cancel()
	networks := attached(s, n.Node, due)
	names, err := n.Docker.Names(ctx, networks)
	if err != nil {
		n.Logger.Debug("Docker does not tell all names", "error", err)
		if len(names) == 0 {
			return due
		}
	}
	plan := planNames(s, n.Node, names)
	if err := n.write(ctx, plan); err != nil {
		n.Logger.Debug("names are not written", "error", err)
		return due
	}
	left := hinted{}
	for _, id := range plan.unseen {
		left[id] = true
	}
	return left
}

func (n *Naming) write(ctx context.Context, plan namePlan) error {
	for _, e := range plan.endpoints {
		if err := n.Store.NameEndpoint(ctx, n.Node, e.Network, e.ID, e.Names); err != nil {
			return err
		}
		n.Logger.Info("endpoint named", "endpoint", overlay.ShortID(e.ID), "names", e.Names)
	}
	for _, a := range plan.attachments {
		if err := n.Store.NameAttachment(ctx, n.Node, a.Network, a.DockerName); err != nil {
			return err
		}
	}
	return nil
}

// attached returns the node's Docker networks that are hinted at, sorted.
func attached(s *overlay.Snapshot, node string, due hinted) []string {
	var ids []string
	for a := range s.Attachments() {
		if a.Node == node && (due[""] || due[a.DockerNetwork]) {
			ids = append(ids, a.DockerNetwork)
		}
	}
	slices.Sort(ids)
	return ids
}

// namePlan is what has to be written about names.
type namePlan struct {
	// endpoints and attachments are the records with their new names.
	endpoints   []overlay.Endpoint
	attachments []overlay.Attachment
	// unseen are Docker networks with endpoints of which there is no record yet.
	unseen []string
}

// planNames holds what Docker says against the records of its networks. A name
// that no record can have is left out.
func planNames(s *overlay.Snapshot, node string, names map[string]NetworkNames) namePlan {
	var plan namePlan
	for a := range s.Attachments() {
		told, known := names[a.DockerNetwork]
		if a.Node != node || !known {
			continue
		}
		if told.Name != a.DockerName {
			a.DockerName = told.Name
			plan.attachments = append(plan.attachments, a)
		}
		unseen := false
		for id, name := range told.Containers {
			e, recorded := s.Endpoint(a.Network, id)
			if !recorded {
				unseen = true
				continue
			}
			var wanted []string
			if overlay.ValidateName("endpoint", name) == nil {
				wanted = []string{name}
			}
			if e.Node == node && !slices.Equal(e.Names, wanted) {
				e.Names = wanted
				plan.endpoints = append(plan.endpoints, e)
			}
		}
		if unseen {
			plan.unseen = append(plan.unseen, a.DockerNetwork)
		}
	}
	return plan
}
