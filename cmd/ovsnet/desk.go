package main

import (
	"context"
	"net/netip"
	"sync"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/docker"
	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// desk answers the control socket: it is the agent.Reporter. What it knows
// grows while the agent starts.
type desk struct {
	host *host

	mu       sync.Mutex
	node     overlay.Node
	loop     *agent.Loop
	route    flows.Route
	problem  error
	stops    []context.CancelFunc
	draining bool
	// idle closes when the loop has ended, quiet when the plugin has.
	idle, quiet chan struct{}
}

func newDesk(h *host) *desk {
	return &desk{host: h, node: overlay.Node{Name: h.settings.node, Datapath: h.settings.datapath, Version: version},
		problem: errNoVTEP, idle: make(chan struct{}), quiet: make(chan struct{})}
}

// stuck notes why the host has no place in the underlay yet.
func (d *desk) stuck(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.problem = err
}

// begin notes that the host has its place and its loop.
func (d *desk) begin(node overlay.Node, loop *agent.Loop, route flows.Route) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.node, d.loop, d.route, d.problem = node, loop, route, nil
}

// onDrain registers what ends when the host is drained, at once where it has
// been: an agent that was drained while it started stays out.
func (d *desk) onDrain(stop context.CancelFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stops = append(d.stops, stop)
	if d.draining {
		stop()
	}
}

// NetworkMTU makes desk a docker.Underlay.
func (d *desk) NetworkMTU(context.Context) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.problem != nil {
		refusal := overlay.Refuse(overlay.Unavailable, "underlay", "see ovsnet status", "its MTU is not known")
		refusal.Err = d.problem
		return 0, refusal
	}
	return d.node.MTU, nil
}

// peers are the tunnel addresses of the other hosts: a route to one may be the
// default route, so the host's own routes do not show them.
func (d *desk) peers() []docker.Occupied {
	d.mu.Lock()
	loop := d.loop
	d.mu.Unlock()
	if loop == nil {
		return nil
	}
	snapshot := loop.State().View.Snapshot
	if snapshot == nil {
		return nil
	}
	var list []docker.Occupied
	for n := range snapshot.Nodes() {
		for _, addr := range n.VTEPs {
			list = append(list, docker.Occupied{Prefix: netip.PrefixFrom(addr, addr.BitLen()), What: "VTEP address " + addr.String() + " of node " + n.Name})
		}
	}
	return list
}

// Status says how the agent stands.
func (d *desk) Status() agent.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.host.settings
	facts := agent.Facts{
		Node: d.node, Bridge: s.bridge, Etcd: s.store.Endpoints, Embedded: s.etcdDir != "",
		Blocked: d.problem, Draining: d.draining,
	}
	if facts.Blocked == nil {
		facts.Blocked = d.host.member.Blocked()
	}
	if s.store.Insecure {
		facts.Warnings = append(facts.Warnings, "--etcd-insecure: whoever can reach etcd can change every network")
	}
	var state agent.State
	if d.loop != nil {
		state = d.loop.State()
	}
	return agent.NewStatus(facts, state)
}

// Flows lists this host's flows with their reasons.
func (d *desk) Flows(ctx context.Context, filter agent.FlowFilter) ([]agent.FlowLine, error) {
	loop, route, err := d.working()
	if err != nil {
		return nil, err
	}
	installed, err := d.host.table.Dump(ctx)
	if err != nil {
		return nil, err
	}
	return agent.FlowLines(d.host.settings.node, route, loop.State(), installed, filter)
}

// Counters returns the traffic of one local endpoint.
func (d *desk) Counters(ctx context.Context, endpoint overlay.Endpoint) (agent.Counters, error) {
	loop, route, err := d.working()
	if err != nil {
		return agent.Counters{}, err
	}
	installed, err := d.host.table.Dump(ctx)
	if err != nil {
		return agent.Counters{}, err
	}
	traffic, err := d.host.links.Traffic(ctx, endpoint.PortName())
	if err != nil {
		return agent.Counters{}, err
	}
	counters := agent.Counters{
		FromPackets: traffic.FromPackets, FromBytes: traffic.FromBytes, ToPackets: traffic.ToPackets, ToBytes: traffic.ToBytes,
		LinkDrops: traffic.Drops,
	}
	counters.Spoofed = agent.Spoofed(d.host.settings.node, route, loop.State(), installed, endpoint)
	return counters, nil
}

// working returns the loop, or why there is none.
func (d *desk) working() (*agent.Loop, flows.Route, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.loop == nil {
		return nil, nil, overlay.Refuse(overlay.Unavailable, "agent", "see ovsnet status", "it has not begun: %v", d.problem)
	}
	return d.loop, d.route, nil
}

// Drain ends rounds, plugin calls and the sign of life, for good, and waits
// until what was under way has ended.
func (d *desk) Drain(ctx context.Context) error {
	d.mu.Lock()
	d.draining = true
	stops := d.stops
	d.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
	d.host.member.Leave()
	for _, ended := range []<-chan struct{}{d.idle, d.quiet} {
		select {
		case <-ended:
		case <-ctx.Done():
			return overlay.Refuse(overlay.Unavailable, "agent", "try again", "what was under way did not end in time")
		}
	}
	return nil
}
