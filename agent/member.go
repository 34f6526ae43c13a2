package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// Registry is where a host says that it takes part.
type Registry interface {
	// CheckSchema refuses a store that this build cannot share, or that is not of
	// the cluster that the host remembers; it returns the store's cluster. A host
	// that remembers none may begin one.
	CheckSchema(ctx context.Context, node string, host HostIdentity) (string, error)
	// Register writes the host's durable record and claims its name and VTEPs.
	Register(ctx context.Context, node overlay.Node, hostID string) error
	// KeepAlive holds the leased sign of life until ctx ends or it is lost to
	// another host.
	KeepAlive(ctx context.Context, node, hostID string) error
}

// Membership registers the host and keeps it alive; until it has, and when it
// was refused, Blocked says why the host must not take part.
type Membership struct {
	registry Registry
	log      *slog.Logger

	mu      sync.Mutex
	blocked error
	changed chan struct{}
	// conflict is since when another host stands in the way; zero when none does.
	conflict time.Time
	// joined says that the host took part at some time since the agent's start.
	joined bool
	// left says that the host takes part no more, whatever Run was about to say.
	left bool
}

// conflictGrace is how long a conflict may be this host's own past: after a
// quick reboot its old sign of life has not expired yet.
const conflictGrace = 15 * time.Second

// NewMembership returns a Membership that is blocked until Run registered.
func NewMembership(registry Registry, log *slog.Logger) *Membership {
	return &Membership{registry: registry, log: log, changed: make(chan struct{}),
		blocked: overlay.Refuse(overlay.Unavailable, "this host", "see ovsnet status", "not registered in etcd yet")}
}

// Standing is how a host stands with its cluster.
type Standing struct {
	// Joined says that it took part at some time since the agent's start.
	Joined bool
	// Blocked is why it must not take part now, or nil.
	Blocked error
}

// Standing makes Membership a Member.
func (m *Membership) Standing() (Standing, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Standing{Joined: m.joined, Blocked: m.blocked}, m.changed
}

// Blocked is why the host must not take part, or nil.
func (m *Membership) Blocked() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.blocked
}

// Wait returns nil once the host takes part. It returns the reason when ctx
// ends, and at once when another host has stood in the way for a while.
func (m *Membership) Wait(ctx context.Context) error {
	for {
		m.mu.Lock()
		blocked, changed := m.blocked, m.changed
		lasting := !m.conflict.IsZero() && time.Since(m.conflict) > conflictGrace
		m.mu.Unlock()
		if blocked == nil || lasting {
			return blocked
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return blocked
		}
	}
}

func (m *Membership) set(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left {
		return
	}
	m.blocked = err
	m.joined = m.joined || err == nil
	switch {
	case !overlay.IsKind(err, overlay.Conflict):
		m.conflict = time.Time{}
	case m.conflict.IsZero():
		m.conflict = time.Now()
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

// Run registers the host under that identity, trying again with back-off
// whatever the reason was, because the other host may go or etcd come back. A
// host that belongs to no cluster yet is told, through remember, which one it
// has registered in, before it takes part: one that is refused there, or crashes
// before it was told, has nothing of that cluster and may still join another.
func (m *Membership) Run(ctx context.Context, node overlay.Node, host HostIdentity, remember func(ctx context.Context, cluster string) error) {
	pause := persistent(200*time.Millisecond, 5*time.Second)
	for ctx.Err() == nil {
		err := m.join(ctx, node, &host, remember)
		if err == nil {
			pause.Reset()
			m.set(nil)
			m.log.Info("registered", "node", node.Name, "vteps", node.VTEPs, "mtu", node.MTU)
			err = m.registry.KeepAlive(ctx, node.Name, host.ID)
		}
		if ctx.Err() != nil {
			return
		}
		m.log.Warn("not taking part; it will be tried again", "node", node.Name, "error", err)
		m.set(err)
		select {
		case <-ctx.Done():
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// join checks the schema, registers and remembers where, within a bound.
func (m *Membership) join(ctx context.Context, node overlay.Node, host *HostIdentity, remember func(ctx context.Context, cluster string) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cluster, err := m.registry.CheckSchema(ctx, node.Name, *host)
	if err != nil {
		return fmt.Errorf("check the schema: %w", err)
	}
	if err := m.registry.Register(ctx, node, host.ID); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if host.Cluster == "" {
		if err := remember(ctx, cluster); err != nil {
			return fmt.Errorf("remember the cluster: %w", err)
		}
		host.Cluster = cluster
	}
	return nil
}

// Leave blocks the host for good, for an agent that is being drained.
func (m *Membership) Leave() {
	m.set(errors.New("the host is being taken out of the cluster"))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = true
}
