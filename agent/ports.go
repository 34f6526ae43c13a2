package agent

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// Port is an OVS port of this host that belongs to an endpoint.
type Port struct {
	// Name is the port's, the interface's and the link's name.
	Name string
	// Endpoint and Network are the IDs remembered in the port's external_ids.
	Endpoint, Network string
	// OFPort is the OpenFlow port number; 0 until ovs-vswitchd assigned one.
	OFPort uint32
	// Error is why OVS could not open the port, or empty.
	Error string
}

// Link is an endpoint's link as it stands in the host's network namespace.
type Link struct {
	// Name is the name of the host's end.
	Name string
	// Waiting says that the container's end was not moved into a container yet.
	Waiting bool
}

// portPlan is what must be done about ports, links and endpoints.
type portPlan struct {
	// ensure are the ports that OVS must have and does not.
	ensure []Port
	// remove are the ports that OVS has and must not have.
	remove []string
	// dropLinks are links nobody asks for any more.
	dropLinks []string
	// release are endpoints whose link vanished without a word from Docker.
	release []overlay.Endpoint
	// inUse are the networks of which a container holds a link.
	inUse map[string]bool
	// recheck is when something above may become due; zero when nothing will.
	recheck time.Time
}

// patience remembers since when something has looked abandoned. Docker calls
// twice for an endpoint (CreateEndpoint, Join) and may die in between, so what
// looks abandoned gets a grace period before it is cleaned up.
type patience struct {
	grace time.Duration
	since map[string]time.Time
	seen  map[string]bool
}

func newPatience(grace time.Duration) *patience {
	return &patience{grace: grace, since: map[string]time.Time{}}
}

// begin starts a look at everything; end forgets what no longer looks abandoned.
func (p *patience) begin() { p.seen = map[string]bool{} }

func (p *patience) end() {
	maps.DeleteFunc(p.since, func(key string, _ time.Time) bool { return !p.seen[key] })
}

// over reports whether key has looked abandoned for the whole grace period, and
// when it will have.
func (p *patience) over(key string, now time.Time) (bool, time.Time) {
	p.seen[key] = true
	first, ok := p.since[key]
	if !ok {
		p.since[key], first = now, now
	}
	due := first.Add(p.grace)
	return !now.Before(due), due
}

// planPorts decides what must happen so that the host has exactly the ports of
// the local endpoints that have a link. local is by endpoint ID, links by name.
func planPorts(local map[string]overlay.Endpoint, links map[string]Link, ports []Port, wait *patience, now time.Time) portPlan {
	plan := portPlan{inUse: map[string]bool{}}
	due := func(key string) bool {
		over, at := wait.over(key, now)
		if !over && (plan.recheck.IsZero() || at.Before(plan.recheck)) {
			plan.recheck = at
		}
		return over
	}
	wait.begin()
	defer wait.end()
	wanted := map[string]bool{}
	for _, e := range local {
		name := e.PortName()
		link, present := links[name]
		wanted[name] = present
		if present && !link.Waiting {
			plan.inUse[e.Network] = true
		}
		if !present && due("endpoint "+e.ID) {
			plan.release = append(plan.release, e)
		}
		if present && link.Waiting && due("waiting "+name) {
			plan.dropLinks = append(plan.dropLinks, name)
		}
	}
	have := map[string]bool{}
	for _, p := range ports {
		have[p.Name] = true
		if !wanted[p.Name] {
			plan.remove = append(plan.remove, p.Name)
		}
	}
	for _, e := range local {
		if name := e.PortName(); wanted[name] && !have[name] {
			plan.ensure = append(plan.ensure, Port{Name: name, Endpoint: e.ID, Network: e.Network})
		}
	}
	for name, link := range links {
		if _, known := wanted[name]; !known && link.Waiting && due("orphan "+name) {
			plan.dropLinks = append(plan.dropLinks, name)
		}
	}
	plan.sort()
	return plan
}

// sort makes a plan the same whatever order maps were walked in.
func (p *portPlan) sort() {
	slices.SortFunc(p.ensure, func(a, b Port) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(p.remove)
	slices.Sort(p.dropLinks)
	slices.SortFunc(p.release, func(a, b overlay.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
}
