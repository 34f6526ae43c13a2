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
	// Name is the name of the host's end, and Index the kernel's number of it.
	Name  string
	Index int
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
	// unrecorded are the ports, which OVS may not have, of links that a container
	// holds and that no endpoint is known for; port and link are left as they are.
	unrecorded []Port
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

// unrecordedProblem tells of a container that has lost its endpoint.
func unrecordedProblem(p Port) Problem {
	object := "link " + p.Name
	if p.Endpoint != "" {
		object = endpointObject(p.Endpoint)
	}
	return Problem{Object: object, Reason: "a container holds its link " + p.Name + " and etcd has no record of it, as after an older backup was restored: nothing it sends passes; " +
		"restart the container, and where its network is not in ovsnet network ls create the Docker network again first"}
}

// planPorts decides what must happen so that the host has exactly the ports of
// the local endpoints that have a link, and of links that a container holds. local is by endpoint ID, links by name.
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
	have := map[string]Port{}
	for _, p := range ports {
		have[p.Name] = p
		_, known := wanted[p.Name]
		if link, present := links[p.Name]; present && !link.Waiting && !known {
			plan.inUse[p.Network] = true
		} else if !wanted[p.Name] {
			plan.remove = append(plan.remove, p.Name)
		}
	}
	for _, e := range local {
		name := e.PortName()
		if _, there := have[name]; wanted[name] && !there {
			plan.ensure = append(plan.ensure, Port{Name: name, Endpoint: e.ID, Network: e.Network})
		}
	}
	for name, link := range links {
		if _, known := wanted[name]; !known {
			plan.stray(name, link, have[name], due("orphan "+name))
		}
	}
	plan.sort()
	return plan
}

// stray plans for a link of no endpoint; over says that it has been one for the
// grace period.
func (p *portPlan) stray(name string, link Link, port Port, over bool) {
	switch {
	case !over:
	case link.Waiting:
		p.dropLinks = append(p.dropLinks, name)
	default:
		port.Name = name
		p.unrecorded = append(p.unrecorded, port)
	}
}

// sort makes a plan the same whatever order maps were walked in.
func (p *portPlan) sort() {
	slices.SortFunc(p.ensure, func(a, b Port) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.unrecorded, func(a, b Port) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(p.remove)
	slices.Sort(p.dropLinks)
	slices.SortFunc(p.release, func(a, b overlay.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
}
