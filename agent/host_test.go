package agent

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ovsnet/ovsnet/flows"
)

// fakeHost is a host with a switch whose every part a test can break.
type fakeHost struct {
	mu      sync.Mutex
	views   chan View
	changes chan struct{}
	gone    chan struct{}

	links    map[string]Link
	ports    map[string]Port
	tunnel   uint32
	table    map[flows.Key]flows.Installed
	next     uint32
	broken   map[string]error
	deleted  []string
	resolved []netip.Addr
	// guarded and vteps are what the packet filter was asked to fit last, bare the
	// ports that were made before their link was guarded.
	guarded []string
	vteps   []netip.Addr
	bare    []string
	dropped uint64
	// asked are the switch's and the filter's parts in the order of their use.
	asked []string
	// configured says that bridge and tunnel may be changed.
	configured bool
	applies    int
	dumps      int
	looks      int
	standing   Standing
	stands     chan struct{}
	refused    map[string]string
	// needs is how much time a dump must be given.
	needs time.Duration
	// events, when it is set, gets what a flow monitor would tell, and between is
	// called between a dump and what is made of it.
	events  func(flows.Event)
	between func()
	// stuck, when it is set, holds up who waits for etcd or for peers until it closes.
	stuck chan struct{}
}

func newFakeHost() *fakeHost {
	return &fakeHost{
		views: make(chan View, 1), changes: make(chan struct{}, 1), gone: make(chan struct{}),
		links: map[string]Link{}, ports: map[string]Port{}, table: map[flows.Key]flows.Installed{}, next: 10, broken: map[string]error{},
		standing: Standing{Joined: true}, stands: make(chan struct{}), refused: map[string]string{},
	}
}

func (h *fakeHost) Standing() (Standing, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.standing, h.stands
}

// stand changes how the host stands with its cluster.
func (h *fakeHost) stand(now Standing) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.standing = now
	close(h.stands)
	h.stands = make(chan struct{})
}

func (h *fakeHost) Ensure(_ context.Context, links []string, vteps []netip.Addr) (dropped uint64, err error) {
	err = h.do("guard", func() { h.guarded, h.vteps, dropped = links, vteps, h.dropped })
	return dropped, err
}

func (h *fakeHost) Ping(context.Context) error { return h.do("ping", func() {}) }

// do runs a change under the lock, unless what it is called is broken.
func (h *fakeHost) do(what string, change func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, what)
	if err := h.broken[what]; err != nil {
		return err
	}
	change()
	return nil
}

// hold waits as long as the host is stuck.
func (h *fakeHost) hold() {
	h.mu.Lock()
	stuck := h.stuck
	h.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
}

// failing breaks what is called that.
func (h *fakeHost) failing(what string, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken[what] = why
}

func (h *fakeHost) parts() Parts {
	return Parts{Views: h, Switch: h, Flows: h, Links: h, Endpoints: h, Peers: h, Guard: h, Member: h}
}

func (h *fakeHost) Views() <-chan View                   { return h.views }
func (h *fakeHost) Follow(context.Context, string) error { return h.do("follow", func() {}) }
func (h *fakeHost) Unfollow(string)                      {}
func (h *fakeHost) Changes() <-chan struct{}             { return h.changes }
func (h *fakeHost) Resolve(_ context.Context, addrs []netip.Addr) error {
	err := h.do("resolve", func() { h.resolved = addrs })
	h.hold()
	return err
}

func (h *fakeHost) EnsureHost(_ context.Context, joined bool) (HostIdentity, error) {
	return HostIdentity{ID: "host-1", Cluster: "here"}, h.do("ensure", func() { h.tunnel, h.configured = 1, joined })
}

func (h *fakeHost) Observe(context.Context) (o Observation, err error) {
	err = h.do("observe", func() {
		o = Observation{Tunnel: h.tunnel, Answered: true, Ports: slices.Collect(maps.Values(h.ports))}
	})
	return o, err
}

func (h *fakeHost) EnsurePorts(_ context.Context, ports []Port) (problems []Problem, err error) {
	return problems, h.do("ports", func() {
		for _, p := range ports {
			if !slices.Contains(h.guarded, p.Name) {
				h.bare = append(h.bare, p.Name)
			}
			if why := h.refused[p.Endpoint]; why != "" {
				problems = append(problems, Problem{Object: endpointObject(p.Endpoint), Reason: why})
				continue
			}
			h.next++
			p.OFPort = h.next
			if why := h.broken["port "+p.Endpoint]; why != nil {
				p.OFPort, p.Error = 0, why.Error()
			}
			h.ports[p.Name] = p
		}
	})
}

func (h *fakeHost) RemovePorts(_ context.Context, names []string) error {
	return h.do("remove", func() {
		for _, name := range names {
			delete(h.ports, name)
		}
	})
}

func (h *fakeHost) Dump(ctx context.Context) (list []flows.Installed, err error) {
	if end, bounded := ctx.Deadline(); bounded && time.Until(end) < h.needs {
		return nil, context.DeadlineExceeded
	}
	err = h.do("dump", func() { h.dumps++; list = slices.Collect(maps.Values(h.table)) })
	h.interrupt()
	return list, err
}

// interrupt lets somebody else act where the loop has looked and not acted yet.
func (h *fakeHost) interrupt() {
	if h.between != nil {
		h.between()
	}
}

func (h *fakeHost) Apply(_ context.Context, change flows.Delta) error {
	return h.do("apply", func() {
		h.applies++
		for _, k := range change.Delete {
			h.drop(k)
		}
		for _, f := range change.Evict {
			if h.table[f.Key].Cookie == f.Cookie {
				h.drop(f.Key)
			}
		}
		for _, f := range change.Add {
			h.put(flows.Added, flows.Installed{Flow: f})
		}
	})
}

// drop and put change the table as a bundle or somebody else does, and tell the monitor.
func (h *fakeHost) drop(k flows.Key) {
	if f, there := h.table[k]; there {
		delete(h.table, k)
		h.told(flows.Event{Kind: flows.Removed, Reason: "delete", Flow: f})
	}
}

func (h *fakeHost) put(kind flows.EventKind, f flows.Installed) {
	h.table[f.Key] = f
	h.told(flows.Event{Kind: kind, Flow: f})
}

// told tells an event as the monitor does, which knows neither priority nor purpose.
func (h *fakeHost) told(e flows.Event) {
	if h.events != nil {
		e.Flow.Priority, e.Flow.Why = 0, flows.Why{}
		h.events(e)
	}
}

func (h *fakeHost) DumpAt(_ context.Context, at flows.Where) (list []flows.Installed, err error) {
	err = h.do("dump at", func() {
		h.looks++
		for _, f := range h.table {
			if f.Where() == at {
				list = append(list, f)
			}
		}
	})
	h.interrupt()
	return list, err
}

func (h *fakeHost) Watch(ctx context.Context, tell func(flows.Event)) error {
	tell(flows.Event{Kind: flows.Began})
	select {
	case <-h.gone:
		return errors.New("the connection ended")
	case <-ctx.Done():
		return nil
	}
}

func (h *fakeHost) List(context.Context) (links map[string]Link, err error) {
	err = h.do("links", func() { links = maps.Clone(h.links) })
	return links, err
}

func (h *fakeHost) Delete(_ context.Context, name string) error {
	return h.do("unlink", func() { delete(h.links, name) })
}

func (h *fakeHost) DeleteEndpoint(_ context.Context, _, _, id string) error {
	err := h.do("release", func() { h.deleted = append(h.deleted, id) })
	h.hold()
	return err
}
