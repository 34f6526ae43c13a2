package main

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/docker"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
	"github.com/ovsnet/ovsnet/tunnel"
)

// desk answers the control socket and other hosts: it is the agent.Controller. What it knows
// grows while the agent starts.
type desk struct {
	host   *host
	survey *agent.Survey

	mu       sync.Mutex
	node     overlay.Node
	loop     *agent.Loop
	problem  error
	draining bool
	// warnings are about the underlay as it was last seen.
	warnings []string
}

func newDesk(h *host) *desk {
	return &desk{host: h, survey: agent.NewSurvey(tunnel.Echo), node: overlay.Node{Name: h.settings.node, Datapath: h.settings.datapath, Version: version},
		problem: errNoVTEP}
}

// stuck notes why the host has no place in the underlay yet.
func (d *desk) stuck(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.problem = err
}

// begin notes that the host has its place and its loop.
func (d *desk) begin(node overlay.Node, loop *agent.Loop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.node, d.loop, d.problem = node, loop, nil
}

// moved notes how the host stands in the underlay now, and reports whether that
// is news.
func (d *desk) moved(node overlay.Node, warnings []string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	news := d.node.MTU != node.MTU || !slices.Equal(d.warnings, warnings)
	d.node, d.warnings = node, warnings
	return news
}

// self is this host as it stands in the underlay.
func (d *desk) self() overlay.Node {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.node
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
		Followings: d.host.followings.Len(),
		Blocked:    d.problem, Draining: d.draining,
	}
	if facts.Blocked == nil {
		facts.Blocked = d.host.member.Blocked()
	}
	facts.Warnings = append(facts.Warnings, d.warnings...)
	if s.store.Insecure {
		facts.Warnings = append(facts.Warnings, "--etcd-insecure: whoever can reach etcd can change every network")
	}
	if s.unguarded {
		facts.Warnings = append(facts.Warnings, "--guard off: a container can send tunnel packets in this host's name, and so into every network")
	}
	var state agent.State
	if d.loop != nil {
		state = d.loop.State()
	}
	if snapshot := state.View.Snapshot; snapshot != nil {
		facts.Warnings = append(facts.Warnings, tooLarge(snapshot, d.node.MTU)...)
	}
	return agent.NewStatus(facts, state)
}

// bridge is this host's flows, as they are and as they should be.
func (d *desk) bridge(ctx context.Context) (inspect.Bridge, error) {
	loop, err := d.working()
	if err != nil {
		return inspect.Bridge{}, err
	}
	return loop.Bridge(ctx)
}

// Flows lists this host's flows with their reasons.
func (d *desk) Flows(ctx context.Context, filter inspect.Filter) (iter.Seq[inspect.Line], error) {
	b, err := d.bridge(ctx)
	if err != nil {
		return nil, err
	}
	return b.Lines(filter)
}

// Differences holds this host's installed flows against the desired ones.
func (d *desk) Differences(ctx context.Context) (inspect.Comparison, error) {
	loop, err := d.working()
	if err != nil {
		return inspect.Comparison{}, err
	}
	return loop.Differences(ctx)
}

// Explain tells in sentences what flows do and why they are there.
func (d *desk) Explain(ctx context.Context, q inspect.Question) (iter.Seq[inspect.Explanation], error) {
	b, err := d.bridge(ctx)
	if err != nil {
		return nil, err
	}
	return b.Explain(q)
}

// Repair makes this host's installed flows the desired ones.
func (d *desk) Repair(ctx context.Context) (inspect.Report, error) {
	loop, err := d.working()
	if err != nil {
		return inspect.Report{}, err
	}
	return loop.Repair(ctx)
}

// Watch tells changes of this host's flows.
func (d *desk) Watch(ctx context.Context, tell func(agent.FlowChange) error) error {
	loop, err := d.working()
	if err != nil {
		return err
	}
	return loop.Watch(ctx, tell)
}

// Counters returns the traffic of one local endpoint.
func (d *desk) Counters(ctx context.Context, endpoint overlay.Endpoint) (agent.Counters, error) {
	loop, err := d.working()
	if err != nil {
		return agent.Counters{}, err
	}
	b, err := loop.Bridge(ctx)
	if err != nil {
		return agent.Counters{}, err
	}
	traffic, err := d.host.links.Traffic(ctx, endpoint.PortName())
	if err != nil {
		return agent.Counters{}, err
	}
	return agent.Counters{
		FromPackets: traffic.FromPackets, FromBytes: traffic.FromBytes, ToPackets: traffic.ToPackets, ToBytes: traffic.ToBytes,
		LinkDrops: traffic.Drops, Spoofed: agent.Spoofed(b, endpoint),
	}, nil
}

// Passage says what becomes of a packet on this host.
func (d *desk) Passage(ctx context.Context, q journey.Question) (journey.Passage, error) {
	loop, err := d.working()
	if err != nil {
		return journey.Passage{}, err
	}
	return loop.Passage(ctx, d.host.settings.bridge, d.host.table, q)
}

// Report says how this host stands, and what it measures towards its peers.
func (d *desk) Report(ctx context.Context) (topology.Report, error) {
	status := d.Status()
	r := topology.Report{Ready: status.Ready, Reasons: status.Reasons, Paths: []topology.Path{}}
	loop, err := d.working()
	if err != nil {
		r.Unmeasured = err.Error()
		return r, nil
	}
	snapshot := loop.State().View.Snapshot
	if snapshot == nil {
		r.Unmeasured = "etcd has not answered yet"
		return r, nil
	}
	paths, others, err := d.survey.Paths(ctx, d.self(), snapshot)
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	if err != nil {
		r.Unmeasured = err.Error()
	}
	r.Paths, r.Others = append(r.Paths, paths...), others
	return r, nil
}

// Traffic returns the counters of all endpoints on this host.
func (d *desk) Traffic(ctx context.Context) (topology.Traffic, error) {
	loop, err := d.working()
	if err != nil {
		return topology.Traffic{}, err
	}
	installed, err := d.host.table.Dump(ctx)
	if err != nil {
		return topology.Traffic{}, err
	}
	links, err := d.host.links.AllTraffic(ctx)
	if err != nil {
		return topology.Traffic{}, err
	}
	ports := loop.State().Ports
	spoofed := agent.SpoofedByEndpoint(ports, installed)
	t := topology.Traffic{Node: d.self().Name, At: time.Now(), Endpoints: []topology.EndpointTraffic{}}
	for id, port := range ports {
		l, there := links[overlay.Endpoint{ID: id}.PortName()]
		if !there {
			continue
		}
		t.Endpoints = append(t.Endpoints, topology.EndpointTraffic{
			Network: port.Network, Endpoint: id, FromPackets: l.FromPackets, FromBytes: l.FromBytes,
			ToPackets: l.ToPackets, ToBytes: l.ToBytes, Drops: l.Drops, Spoofed: spoofed[id],
		})
	}
	return t, nil
}

// Expect listens for a probe that is to arrive here.
func (d *desk) Expect(_ context.Context, p journey.Probe) error {
	loop, err := d.working()
	if err != nil {
		return err
	}
	return d.host.prober.Expect(loop, p)
}

// Arrival tells when a probe came that is listened for.
func (d *desk) Arrival(ctx context.Context, p journey.Probe) (journey.Arrival, error) {
	return d.host.prober.Arrival(ctx, p)
}

// Send sends a probe.
func (d *desk) Send(ctx context.Context, p journey.Probe) (journey.Sending, error) {
	loop, err := d.working()
	if err != nil {
		return journey.Sending{}, err
	}
	return d.host.prober.Send(ctx, loop, p)
}

// Follow tells what happened here since somebody asked that last.
func (d *desk) Follow(ctx context.Context, q agent.Follow) (agent.Page, error) {
	loop, err := d.working()
	if err != nil {
		return agent.Page{}, err
	}
	return d.host.followings.Follow(ctx, loop, q)
}

// working returns the loop, or why there is none.
func (d *desk) working() (*agent.Loop, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.loop == nil {
		return nil, overlay.Refuse(overlay.Unavailable, "agent", "see ovsnet status", "it has not begun: %v", d.problem)
	}
	return d.loop, nil
}

// Drain ends plugin calls, rounds and the sign of life, for good, and waits
// until what was under way has ended.
func (d *desk) Drain(ctx context.Context) error {
	d.mu.Lock()
	d.draining = true
	d.mu.Unlock()
	if !d.host.stages.drain(ctx) {
		return overlay.Refuse(overlay.Unavailable, "agent", "try again", "what was under way did not end in time")
	}
	d.host.member.Leave()
	return nil
}
