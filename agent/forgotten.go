package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// Docker tells of the daemon at the address that the agent was given. It is
// never asked inside a plugin call.
type Docker interface {
	// Networks returns the Docker IDs of all its networks.
	Networks(ctx context.Context) (map[string]bool, error)
	// Daemon returns the ID that tells this daemon from others.
	Daemon(ctx context.Context) (string, error)
}

// Attachments are a host's uses of networks, in etcd.
type Attachments interface {
	// Detach forgets the Docker network on that node; an unknown one is no error.
	Detach(ctx context.Context, node, dockerNetwork string) error
	// FinishDetaches carries on with every Detach that was cut short.
	FinishDetaches(ctx context.Context, node string) error
	// Recognise notes which Docker daemon has the network.
	Recognise(ctx context.Context, node, dockerNetwork, daemon string) error
}

// Forgotten finds the networks that Docker removed while nobody listened: it
// removes a network even when its driver is away, and never says so again.
//
// What one daemon does not list may be another's, because any daemon may be
// behind the plugin's socket, and any behind the address that is asked. So the
// daemon that lists a network is noted with it, and only that one is believed
// when it lists it no more. Records of versions that noted no daemon are no use
// for that: where none is noted, and the daemon lists some of the networks, it is
// believed about the others, once, unless a container holds a link.
type Forgotten struct {
	// Node is this host's name.
	Node string
	// Grace is how long Docker must have been without a network, because one that
	// is being created is attached before Docker lists it. It is also how often
	// Docker is asked; about a new network it is asked sooner.
	Grace time.Duration
	// State is what the loop last published, and Tell where it shows what is wrong.
	State  func() State
	Tell   func([]Problem)
	Docker Docker
	Store  Attachments
	Logger *slog.Logger
	// unnoted are the Docker networks that the daemon did not list when none had
	// a daemon noted. Only Run uses it.
	unnoted map[string]bool
}

// Run looks again and again until ctx ends.
func (f *Forgotten) Run(ctx context.Context) {
	wait := newPatience(f.Grace)
	every := time.NewTicker(f.Grace / 12)
	defer every.Stop()
	var last time.Time
	for {
		if now := time.Now(); now.Sub(last) >= f.Grace || f.fresh(now) {
			last = now
			f.look(ctx, wait, now)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// fresh reports whether there is a new network whose daemon is not noted yet.
func (f *Forgotten) fresh(now time.Time) bool {
	snapshot := f.State().View.Snapshot
	if snapshot == nil {
		return false
	}
	for a := range snapshot.Attachments() {
		if a.Node == f.Node && a.Daemon == "" && now.Sub(a.Created) < f.Grace {
			return true
		}
	}
	return false
}

// look detaches what its daemon has been without for the grace period. It does
// nothing while Docker or etcd is away or the rounds fail, since then nobody
// knows who holds links.
func (f *Forgotten) look(ctx context.Context, wait *patience, now time.Time) {
	state := f.State()
	if state.View.Snapshot == nil || state.Held != nil || state.Err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, f.Grace)
	defer cancel()
	if err := f.Store.FinishDetaches(ctx, f.Node); err != nil {
		f.Logger.Warn("a network that was detached in part cannot be detached; it will be tried again", "error", err)
	}
	known, err := f.Docker.Networks(ctx)
	if err != nil {
		f.Logger.Debug("Docker does not tell its networks", "error", err)
		return
	}
	daemon, err := f.Docker.Daemon(ctx)
	if err != nil || daemon == "" {
		f.Logger.Debug("Docker does not tell its ID", "error", err)
		return
	}
	f.settle(ctx, state, daemon, known, wait, now)
}

// settle notes whose the networks are that the daemon lists, and detaches what
// it has forgotten.
func (f *Forgotten) settle(ctx context.Context, state State, daemon string, known map[string]bool, wait *patience, now time.Time) {
	wait.begin()
	defer wait.end()
	if missing := unnoted(state.View.Snapshot, f.Node, known); len(missing) > 0 {
		f.unnoted = missing
	}
	var problems []Problem
	for a := range state.View.Snapshot.Attachments() {
		if a.Node != f.Node {
			continue
		}
		if known[a.DockerNetwork] {
			if a.Daemon != daemon {
				f.attempt("noting a network's daemon", a, f.Store.Recognise(ctx, f.Node, a.DockerNetwork, daemon))
			}
			continue
		}
		if over, _ := wait.over(a.DockerNetwork, now); !over {
			continue
		}
		if doubt := doubtful(a, daemon, f.unnoted[a.DockerNetwork], state.InUse[a.Network]); doubt != "" {
			problems = append(problems, Problem{Object: networkObject(state.View.Snapshot, a.Network), Reason: doubt})
			continue
		}
		f.attempt("detaching a network that Docker forgot", a, f.Store.Detach(ctx, f.Node, a.DockerNetwork))
	}
	f.Tell(problems)
}

// attempt logs what was done; a failure is tried again at the next look.
func (f *Forgotten) attempt(what string, a overlay.Attachment, err error) {
	if err != nil {
		f.Logger.Warn(what+" failed; it will be tried again", "network", a.Network, "docker_network", a.DockerNetwork, "error", err)
		return
	}
	f.Logger.Info(what, "network", a.Network, "docker_network", a.DockerNetwork)
}

// unnoted returns the node's Docker networks that are not known, where others are
// and none of them all has a daemon noted.
func unnoted(s *overlay.Snapshot, node string, known map[string]bool) map[string]bool {
	missing, listed := map[string]bool{}, false
	for a := range s.Attachments() {
		switch {
		case a.Node != node:
		case a.Daemon != "":
			return nil
		case known[a.DockerNetwork]:
			listed = true
		default:
			missing[a.DockerNetwork] = true
		}
	}
	if !listed {
		return nil
	}
	return missing
}

// doubtful is why a network is not detached though the daemon does not list it;
// empty where it is forgotten beyond doubt. old says that its record is from
// before daemons were noted.
func doubtful(a overlay.Attachment, daemon string, old, inUse bool) string {
	const remedy = "set --docker to the daemon that uses this plugin socket; where that daemon is gone for good, take the host out with ovsnet uninstall and start its agent again"
	id := overlay.ShortID(a.DockerNetwork)
	switch {
	case a.Daemon == "" && !old:
		return fmt.Sprintf("the Docker daemon at --docker does not list its Docker network %s, and no daemon was ever seen to; %s", id, remedy)
	case a.Daemon != "" && a.Daemon != daemon:
		return fmt.Sprintf("its Docker network %s is of Docker daemon %s, and the one at --docker is %s; %s", id, a.Daemon, daemon, remedy)
	case inUse:
		return fmt.Sprintf("Docker does not list its Docker network %s, and a container still holds a link of it; restart the container", id)
	}
	return ""
}

// networkObject is how problems name a network.
func networkObject(s *overlay.Snapshot, id string) string {
	if n, known := s.Network(id); known {
		return fmt.Sprintf("network %q", n.Name)
	}
	return "network " + overlay.ShortID(id)
}
