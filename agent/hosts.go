package agent

import (
	"context"
	"time"

	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
)

// LocalPatience is how long this host's agent may take to answer before the host
// is read without it.
const LocalPatience = 4 * time.Second

// Hosts asks about packets on any host: it is the journey.Hosts of a command
// line. This host is asked through its agent, or read where the agent is away,
// which is just when an operator has to know. It is used by one goroutine.
type Hosts struct {
	// Here is this host's name, which Settle finds, and Agent asks its agent.
	Here  string
	Agent Inspector
	// Remote asks the agent of another host, which may take as long as Patience.
	Remote   func(node string) Inspector
	Patience time.Duration
	// Read reads, without an agent, what this host's flows follow from, and Tracer
	// asks its bridge of the name Bridge.
	Read   func(ctx context.Context) (journey.Bridge, error)
	Bridge string
	Tracer Tracer
	// silent are the agents that did not answer, which are not waited for twice.
	silent map[string]error
}

// Settle finds out this host's name from its agent; where that does not answer, it
// keeps the one that it has, and the agent is not waited for again.
func (h *Hosts) Settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, LocalPatience)
	defer cancel()
	status, err := h.Agent.Status(ctx)
	if err != nil {
		h.silence(h.Here, err)
		return
	}
	h.Here = status.Node
}

// silence notes that an agent did not answer.
func (h *Hosts) silence(node string, err error) {
	if h.silent == nil {
		h.silent = map[string]error{}
	}
	h.silent[node] = err
}

// Pass makes Hosts a journey.Hosts.
func (h *Hosts) Pass(ctx context.Context, node string, q journey.Question) (journey.Passage, error) {
	if node != h.Here {
		return h.try(ctx, node, h.Remote(node), h.Patience, q)
	}
	p, silent := h.try(ctx, node, h.Agent, LocalPatience, q)
	if ctx.Err() != nil || h.silent[node] == nil {
		return p, silent
	}
	b, err := h.Read(ctx)
	if err != nil {
		return journey.Passage{}, err
	}
	return Passage(ctx, h.Bridge, h.Tracer, b, journey.ByHost, q)
}

// try asks an agent that has not been silent before.
func (h *Hosts) try(ctx context.Context, node string, agent Inspector, patience time.Duration, q journey.Question) (journey.Passage, error) {
	if silent := h.silent[node]; silent != nil {
		return journey.Passage{}, silent
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, err := agent.Passage(ctx, q)
	if err != nil && ctx.Err() != nil && !overlay.IsKind(err, overlay.Unavailable) {
		err = &overlay.Refusal{Kind: overlay.Unavailable, Object: "agent of " + node, Cause: "does not answer", Remedy: "see systemctl status ovsnet on that host", Err: err}
	}
	if overlay.IsKind(err, overlay.Unavailable) {
		h.silence(node, err)
	}
	return p, err
}
