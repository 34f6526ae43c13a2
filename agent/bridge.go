package agent

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/tunnel"
)

const (
	// lookPause is how long Bridge waits for a round that may be under way, and
	// looks how often it looks.
	lookPause = 250 * time.Millisecond
	looks     = 4
)

// Bridge dumps the flows and returns them with what the desired ones follow from.
func (l *Loop) Bridge(ctx context.Context) (inspect.Bridge, error) {
	b, _, err := l.look(ctx)
	return b, err
}

// Differences compares the installed flows with the desired ones. A round that
// is changing flows meanwhile is no difference: what differs is looked at again
// once it has ended.
func (l *Loop) Differences(ctx context.Context) (inspect.Comparison, error) {
	for n := 1; ; n++ {
		b, changed, err := l.look(ctx)
		if err != nil {
			return inspect.Comparison{}, err
		}
		if !b.Differs() {
			return inspect.Report{Head: b.Compare().Head}.Comparison(), nil
		}
		if n == looks {
			return b.Compare(), nil
		}
		select {
		case <-changed:
		case <-time.After(lookPause):
			n = looks - 1
		case <-ctx.Done():
			return inspect.Comparison{}, ctx.Err()
		}
	}
}

// look dumps the flows between two states that desire the same; the channel
// closes at the next state. It changes nothing, not even OVSDB's next_cfg, as a
// Ping would.
func (l *Loop) look(ctx context.Context) (inspect.Bridge, <-chan struct{}, error) {
	for n := 1; ; n++ {
		before, changed := l.board.look()
		if before.Applied == nil {
			refusal := overlay.Refuse(overlay.Unavailable, "flows of "+l.cfg.Node, "see ovsnet status", "the agent does not know yet which there should be")
			refusal.Err = before.Held
			return inspect.Bridge{}, nil, refusal
		}
		host := flows.Host{Node: l.cfg.Node, Tunnel: before.Observed.Tunnel, Ports: before.Ports}
		b := inspect.NewBridge(before.Applied, host, l.cfg.Route, nil)
		go b.Compile() // while Open vSwitch dumps
		installed, err := l.parts.Flows.Dump(ctx)
		if err != nil {
			return inspect.Bridge{}, nil, fmt.Errorf("dump flows: %w", err)
		}
		after, _ := l.board.look()
		if n < looks && (before.Applied != after.Applied || before.Observed.Tunnel != after.Observed.Tunnel || !maps.Equal(before.Ports, after.Ports)) {
			continue
		}
		b.Installed, b.PortNames = installed, before.Observed.PortNames()
		return b, changed, nil
	}
}

// PortNames are the OpenFlow numbers of our ports by name.
func (o Observation) PortNames() map[string]uint32 {
	names := map[string]uint32{tunnel.PortName: o.Tunnel}
	for _, p := range o.Ports {
		names[p.Name] = p.OFPort
	}
	return names
}

// Repair makes the installed flows the desired ones, foreign ones included, and
// returns what differs still.
func (l *Loop) Repair(ctx context.Context) (inspect.Report, error) {
	_, changed := l.board.look()
	select {
	case l.repairs <- struct{}{}:
	default: // one that was ordered and not begun does for both
	}
	select {
	case <-changed:
		left, err := l.Differences(ctx)
		if err != nil {
			return inspect.Report{}, err
		}
		return left.Report()
	case <-ctx.Done():
		return inspect.Report{}, ctx.Err()
	}
}
