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

// look detaches what Docker has been without for the grace period. It does
// nothing while Docker or etcd is away or the rounds fail, since then nobody
// knows who holds links, nor when what Docker says cannot be: another daemon
// lists none of the networks whose containers run here.
func (f *Forgotten) look(ctx context.Context, wait *patience, now time.Time) {
	state := f.State()
	snapshot := state.View.Snapshot
	if snapshot == nil || state.Held != nil || state.Err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, f.Grace)
	defer cancel()
	known, err := f.Docker.Networks(ctx)
	if err != nil {
		f.Logger.Debug("Docker does not tell its networks", "error", err)
		return
	}
	missing, listed := forgotten(snapshot, f.Node, known)
	if doubtful(missing, listed, state) {
		f.Logger.Warn("Docker does not list networks that are in use here, so its list is not trusted; is --docker the daemon that uses this plugin socket?",
			"not_listed", len(missing), "listed", listed)
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

// doubtful reports whether Docker cannot really have forgotten the networks
// that it does not list: a container holds a link of one, or it lists none of
// them all and endpoints live here.
func doubtful(missing []overlay.Attachment, listed int, state State) bool {
	return slices.ContainsFunc(missing, func(a overlay.Attachment) bool { return state.InUse[a.Network] }) ||
		listed == 0 && len(missing) > 0 && state.Local > 0
}

// forgotten returns the node's attachments whose Docker network is not known,
// and how many others are.
func forgotten(s *overlay.Snapshot, node string, known map[string]bool) (missing []overlay.Attachment, listed int) {
	for a := range s.Attachments() {
		switch {
		case a.Node != node:
		case known[a.DockerNetwork]:
			listed++
		default:
			missing = append(missing, a)
		}
	}
	return missing, listed
}
