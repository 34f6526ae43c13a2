package overlay

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Snapshot is one immutable view of networks, nodes, endpoints and
// attachments. It may be read from any goroutine. The nil *Snapshot is not
// valid; NewSnapshot makes an empty one.
//
// A host's snapshot holds every node, network and attachment, and the
// endpoints of the networks that the host follows (those it has endpoints in).
type Snapshot struct {
	revision    int64
	nodes       treap[Node]
	networks    treap[Network]
	names       treap[string]
	attachments treap[Attachment]
	members     treap[membership]
}

// membership is what is known of one network's endpoints.
type membership struct {
	endpoints treap[Endpoint]
	// hosts counts the endpoints on each node, so that flooding need not visit
	// every endpoint.
	hosts treap[int]
}

// NewSnapshot returns a Snapshot without anything in it.
func NewSnapshot() *Snapshot { return &Snapshot{} }

// Revision is the largest store revision that this snapshot includes. It orders
// snapshots for people; whether a record is included is read off the record's
// own Revision, because watches progress independently.
func (s *Snapshot) Revision() int64 { return s.revision }

// Node returns the node of that name.
func (s *Snapshot) Node(name string) (Node, bool) { return s.nodes.get(name) }

// Nodes yields all nodes by name.
func (s *Snapshot) Nodes() iter.Seq[Node] { return values(s.nodes) }

// Network returns the network with that ID.
func (s *Snapshot) Network(id string) (Network, bool) { return s.networks.get(id) }

// NetworkNamed returns the network of that name.
func (s *Snapshot) NetworkNamed(name string) (Network, bool) {
	id, ok := s.names.get(name)
	if !ok {
		return Network{}, false
	}
	return s.Network(id)
}

// Networks yields all networks by ID.
func (s *Snapshot) Networks() iter.Seq[Network] { return values(s.networks) }

// Endpoint returns one endpoint of a network.
func (s *Snapshot) Endpoint(network, id string) (Endpoint, bool) {
	m, _ := s.members.get(network)
	return m.endpoints.get(id)
}

// Endpoints yields a network's endpoints by ID.
func (s *Snapshot) Endpoints(network string) iter.Seq[Endpoint] {
	m, _ := s.members.get(network)
	return values(m.endpoints)
}

// EndpointCount returns the number of a network's endpoints.
func (s *Snapshot) EndpointCount(network string) int {
	m, _ := s.members.get(network)
	return m.endpoints.size
}

// MemberHosts yields the names of the nodes that have an endpoint in the
// network, with their number of endpoints, by name.
func (s *Snapshot) MemberHosts(network string) iter.Seq2[string, int] {
	m, _ := s.members.get(network)
	return m.hosts.all()
}

// HasMember reports whether the node has an endpoint in the network.
func (s *Snapshot) HasMember(network, node string) bool {
	m, _ := s.members.get(network)
	_, ok := m.hosts.get(node)
	return ok
}

// MemberNetworks yields the IDs of the networks of which endpoints are known.
func (s *Snapshot) MemberNetworks() iter.Seq[string] {
	return func(yield func(string) bool) {
		for id := range s.members.all() {
			if !yield(id) {
				return
			}
		}
	}
}

// EndpointsOn yields the endpoints of one node in every known network. It
// costs a look at every endpoint of the networks that the node is in.
func (s *Snapshot) EndpointsOn(node string) iter.Seq[Endpoint] {
	return func(yield func(Endpoint) bool) {
		for _, m := range s.members.all() {
			if _, ok := m.hosts.get(node); !ok {
				continue
			}
			for _, e := range m.endpoints.all() {
				if e.Node == node && !yield(e) {
					return
				}
			}
		}
	}
}

// Attachment returns a node's attachment to a network.
func (s *Snapshot) Attachment(network, node string) (Attachment, bool) {
	return s.attachments.get(attachmentKey(network, node))
}

// Attachments yields all attachments by network and node.
func (s *Snapshot) Attachments() iter.Seq[Attachment] { return values(s.attachments) }

func attachmentKey(network, node string) string { return network + "/" + node }

func values[V any](t treap[V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		walk(t.root, func(_ string, v V) bool { return yield(v) })
	}
}

// Editor collects changes and makes the next Snapshot from them. It is used by
// one goroutine.
type Editor struct{ next Snapshot }

// Edit begins the next Snapshot; s itself never changes.
func (s *Snapshot) Edit() *Editor { return &Editor{next: *s} }

// Snapshot returns the snapshot with all edits so far. The Editor may be used on.
func (e *Editor) Snapshot() *Snapshot {
	done := e.next
	return &done
}

// Seen raises the snapshot's revision to at least that.
func (e *Editor) Seen(revision int64) { e.next.revision = max(e.next.revision, revision) }

// SetNode adds or replaces a node.
func (e *Editor) SetNode(n Node) { e.next.nodes = e.next.nodes.set(n.Name, n) }

// DeleteNode removes a node; one that is absent is no error.
func (e *Editor) DeleteNode(name string) { e.next.nodes = e.next.nodes.without(name) }

// SetNetwork adds or replaces a network.
func (e *Editor) SetNetwork(n Network) {
	if old, ok := e.next.networks.get(n.ID); ok && old.Name != n.Name {
		e.dropName(old)
	}
	e.next.networks = e.next.networks.set(n.ID, n)
	e.next.names = e.next.names.set(n.Name, n.ID)
}

// DeleteNetwork removes a network; its endpoints go by their own deletion.
func (e *Editor) DeleteNetwork(id string) {
	if old, ok := e.next.networks.get(id); ok {
		e.dropName(old)
	}
	e.next.networks = e.next.networks.without(id)
}

// dropName forgets a network's name, unless a newer network has it by now.
func (e *Editor) dropName(n Network) {
	if id, _ := e.next.names.get(n.Name); id == n.ID {
		e.next.names = e.next.names.without(n.Name)
	}
}

// SetAttachment adds or replaces an attachment.
func (e *Editor) SetAttachment(a Attachment) {
	e.next.attachments = e.next.attachments.set(attachmentKey(a.Network, a.Node), a)
}

// DeleteAttachment removes an attachment; one that is absent is no error.
func (e *Editor) DeleteAttachment(network, node string) {
	e.next.attachments = e.next.attachments.without(attachmentKey(network, node))
}

// SetEndpoint adds or replaces an endpoint.
func (e *Editor) SetEndpoint(ep Endpoint) {
	m, _ := e.next.members.get(ep.Network)
	if old, ok := m.endpoints.get(ep.ID); ok {
		m.hosts = count(m.hosts, old.Node, -1)
	}
	m.endpoints = m.endpoints.set(ep.ID, ep)
	m.hosts = count(m.hosts, ep.Node, 1)
	e.next.members = e.next.members.set(ep.Network, m)
}

// DeleteEndpoint removes an endpoint; one that is absent is no error.
func (e *Editor) DeleteEndpoint(network, id string) {
	m, _ := e.next.members.get(network)
	old, ok := m.endpoints.get(id)
	if !ok {
		return
	}
	m.endpoints = m.endpoints.without(id)
	m.hosts = count(m.hosts, old.Node, -1)
	if m.endpoints.size == 0 {
		e.next.members = e.next.members.without(network)
		return
	}
	e.next.members = e.next.members.set(network, m)
}

// ForgetEndpoints removes all that is known of a network's endpoints, for a
// host that no longer follows it.
func (e *Editor) ForgetEndpoints(network string) {
	e.next.members = e.next.members.without(network)
}

func count(hosts treap[int], node string, by int) treap[int] {
	n, _ := hosts.get(node)
	if n += by; n == 0 {
		return hosts.without(node)
	}
	return hosts.set(node, n)
}

// Change is one object in two snapshots; Before is nil for a new one and After
// for one that went.
type Change[T any] struct{ Before, After *T }

// Changes is how two snapshots differ.
type Changes struct {
	Nodes       []Change[Node]
	Networks    []Change[Network]
	Attachments []Change[Attachment]
	Endpoints   []Change[Endpoint]
}

// Empty reports whether nothing differs.
func (c Changes) Empty() bool {
	return len(c.Nodes)+len(c.Networks)+len(c.Attachments)+len(c.Endpoints) == 0
}

// Diff returns what must happen to before to make it after. Its cost follows
// the number of changes, not the size of the snapshots, when after was made
// from before by edits.
func Diff(before, after *Snapshot) Changes {
	var c Changes
	diffTreaps(before.nodes, after.nodes, sameNode, into(&c.Nodes))
	diffTreaps(before.networks, after.networks, sameNetwork, into(&c.Networks))
	diffTreaps(before.attachments, after.attachments, sameAttachment, into(&c.Attachments))
	diffTreaps(before.members, after.members,
		func(x, y membership) bool { return x.endpoints.root == y.endpoints.root },
		func(_ string, x, y *membership) {
			diffTreaps(orNone(x).endpoints, orNone(y).endpoints, sameEndpoint, into(&c.Endpoints))
		})
	return c
}

func orNone(m *membership) membership {
	if m == nil {
		return membership{}
	}
	return *m
}

func into[T any](list *[]Change[T]) func(string, *T, *T) {
	return func(_ string, before, after *T) { *list = append(*list, Change[T]{Before: before, After: after}) }
}

func sameNode(x, y Node) bool {
	return x.Revision == y.Revision && x.Name == y.Name && slices.Equal(x.VTEPs, y.VTEPs) &&
		x.Region == y.Region && x.Datapath == y.Datapath && x.MTU == y.MTU && x.Version == y.Version
}

func sameNetwork(x, y Network) bool {
	return x.Revision == y.Revision && x.Name == y.Name && x.VNI == y.VNI && x.Space == y.Space && x.MTU == y.MTU &&
		x.Internal == y.Internal && x.Durable == y.Durable && slices.EqualFunc(x.Subnets, y.Subnets, func(a, b Subnet) bool {
		return a.Prefix == b.Prefix && a.Gateway == b.Gateway && slices.Equal(a.Aux, b.Aux)
	})
}

func sameEndpoint(x, y Endpoint) bool {
	return x.Revision == y.Revision && x.Network == y.Network && x.Node == y.Node && x.MAC == y.MAC &&
		x.IPv4 == y.IPv4 && x.IPv6 == y.IPv6 && slices.Equal(x.Names, y.Names)
}

// sameAttachment compares times by instant: == also compares where their zone
// is kept, which no two readings of one record share.
func sameAttachment(x, y Attachment) bool {
	created := x.Created.Equal(y.Created)
	x.Created, y.Created = time.Time{}, time.Time{}
	return created && x == y
}

// FindEndpoints returns the known endpoints that word means, in the order of network
// and ID: those that have it as their ID, a name, IP or MAC address, and only where
// nobody has those whose ID begins with it, since many a name is the beginning of
// IDs. Network is the ID of the only one to look in; empty for all.
func (s *Snapshot) FindEndpoints(word, network string) []Endpoint {
	var called, begun []Endpoint
	for id, m := range s.members.all() {
		if network != "" && network != id || word == "" {
			continue
		}
		for _, e := range m.endpoints.all() {
			switch {
			case e.calledBy(word):
				called = append(called, e)
			case strings.HasPrefix(e.ID, word):
				begun = append(begun, e)
			}
		}
	}
	if len(called) > 0 {
		return called
	}
	return begun
}

// calledBy reports whether word is all of one of the endpoint's names, IDs and addresses.
func (e Endpoint) calledBy(word string) bool {
	return e.ID == word || slices.Contains(e.Names, word) || e.MAC.String() == strings.ToLower(word) ||
		slices.ContainsFunc(e.Addrs(), func(a netip.Addr) bool { return a.String() == word })
}
