package agent

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// Docker tells which networks the host's Docker has. It is never asked inside a
// plugin call.
type Docker interface {
	// Networks returns the Docker IDs of all its networks.
	Networks(ctx context.Context) (map[string]bool, error)
}

// Detacher ends a host's use of a network.
type Detacher interface {
	// Detach forgets the Docker network on that node; an unknown one is no error.
	Detach(ctx context.Context, node, dockerNetwork string) error
}

// Forgotten finds the networks that Docker removed while nobody listened: it
// removes a network even when its driver is away, and never says so again.
type Forgotten struct {
	// Node is this host's name.
	Node string
	// Grace is how long Docker must have been without a network, because one that
	// is being created is attached before Docker lists it. It is also how often
	// Docker is asked.
	Grace time.Duration
	// State is what the loop last published.
	State  func() State
	Docker Docker
	Store  Detacher
	Logger *slog.Logger
}

// Run looks again and again until ctx ends.
func (f *Forgotten) Run(ctx context.Context) {
	wait := newPatience(f.Grace)
	every := time.NewTicker(f.Grace)
	defer every.Stop()
	for {
		f.look(ctx, wait, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// look detaches what Docker has been without for the grace period. With Docker
// or etcd away it does nothing, nor when what Docker says cannot be: another
// daemon, or one that knows this driver under another name, lists none of the
// networks whose containers run here.
func (f *Forgotten) look(ctx context.Context, wait *patience, now time.Time) {
	state := f.State()
	snapshot := state.View.Snapshot
	if snapshot == nil || state.Held != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, f.Grace)
	defer cancel()
	known, err := f.Docker.Networks(ctx)
	if err != nil {
		f.Logger.Debug("Docker does not tell its networks", "error", err)
		return
	}
	missing := forgotten(snapshot, f.Node, known)
	if i := slices.IndexFunc(missing, func(a overlay.Attachment) bool { return state.InUse[a.Network] }); i >= 0 {
		f.Logger.Warn("Docker does not list a network of which a container here holds a link, so its list is not trusted; is --docker the daemon that uses this plugin socket?",
			"network", missing[i].Network, "docker_network", missing[i].DockerNetwork)
		return
	}
	wait.begin()
	defer wait.end()
	for _, a := range missing {
		if over, _ := wait.over(a.DockerNetwork, now); !over {
			continue
		}
		f.Logger.Warn("detaching a network that Docker forgot", "network", a.Network, "docker_network", a.DockerNetwork)
		if err := f.Store.Detach(ctx, f.Node, a.DockerNetwork); err != nil {
			f.Logger.Warn("the network cannot be detached; it will be tried again", "docker_network", a.DockerNetwork, "error", err)
		}
	}
}

// forgotten returns the node's attachments whose Docker network is not known.
func forgotten(s *overlay.Snapshot, node string, known map[string]bool) []overlay.Attachment {
	var list []overlay.Attachment
	for a := range s.Attachments() {
		if a.Node == node && !known[a.DockerNetwork] {
			list = append(list, a)
		}
	}
	return list
}
