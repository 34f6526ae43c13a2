package agent

import (
	"context"
	"time"

	"github.com/ovsnet/ovsnet/flows/journey"
)

// Live sends a probe from one host to another, or to the same, and tells what both
// say of it. It listens before it sends. Errors are why nothing was sent, or nobody
// can tell what became of it.
func (h *Hosts) Live(ctx context.Context, from, to string, p journey.Probe) (journey.Live, error) {
	live := journey.Live{Probe: p}
	sender, receiver := h.inspector(from), h.inspector(to)
	// The switch answers ARP where it is asked.
	arrives := p.Proto != "arp"
	if arrives {
		if _, err := timely[struct{}](ctx, h, receiver, AboutExpecting, p, 0); err != nil {
			return live, err
		}
	}
	var err error
	if live.Sending, err = timely[journey.Sending](ctx, h, sender, AboutSending, p, answerPatience); err != nil || !arrives {
		return live, err
	}
	live.Arrival, err = timely[journey.Arrival](ctx, h, receiver, AboutArrival, p, arrivalPatience)
	return live, err
}

// inspector asks the agent of a host.
func (h *Hosts) inspector(node string) Inspector {
	if node == h.Here {
		return h.Agent
	}
	return h.Remote(node)
}

// leastPatience is how long an agent may take about a probe at least: of an inquiry's
// time a second is kept for who asks, and something has to be left.
const leastPatience = 2 * time.Second

// timely asks about a probe within an agent's patience, beside what the agent itself
// waits for a packet that may not come.
func timely[T any](ctx context.Context, h *Hosts, i Inspector, kind string, p journey.Probe, waits time.Duration) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, max(h.Patience, leastPatience)+waits)
	defer cancel()
	return ask[T](ctx, i, kind, p)
}
