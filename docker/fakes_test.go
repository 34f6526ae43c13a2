package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

// storage is all that the plugin needs of the store.
type storage interface {
	Pools
	Networks
	Endpoints
}

// fakeStore keeps in memory what the store keeps in etcd, for any number of
// nodes. Where the real store's rules are longer it knows the short form.
type fakeStore struct {
	mu          sync.Mutex
	revision    int64
	pools       map[overlay.Pool]*fakePool
	networks    map[string]overlay.Network
	attachments map[string]overlay.Attachment
	endpoints   map[string]overlay.Endpoint
	// hang makes every call wait for its context's end.
	hang bool
}

type fakePool struct {
	gateway netip.Addr
	users   map[string]bool
	taken   map[netip.Addr]string
}

func newFakeStore() *fakeStore {
	return &fakeStore{
		pools: map[overlay.Pool]*fakePool{}, networks: map[string]overlay.Network{},
		attachments: map[string]overlay.Attachment{}, endpoints: map[string]overlay.Endpoint{},
	}
}

// enter locks the store, unless it hangs.
func (s *fakeStore) enter(ctx context.Context) error {
	if s.hang {
		<-ctx.Done()
		return fmt.Errorf("ask the store: %w", ctx.Err())
	}
	s.mu.Lock()
	s.revision++
	return nil
}

func (s *fakeStore) named(name string) (overlay.Network, bool) {
	for _, n := range s.networks {
		if n.Name == name {
			return n, true
		}
	}
	return overlay.Network{}, false
}

// claimed forgets the range, which is no part of what is claimed.
func claimed(pool overlay.Pool) overlay.Pool {
	return overlay.Pool{Space: pool.Space, Prefix: pool.Prefix}
}

func (s *fakeStore) RequestPool(ctx context.Context, r PoolRequest) (overlay.Pool, error) {
	if err := s.enter(ctx); err != nil {
		return overlay.Pool{}, err
	}
	defer s.mu.Unlock()
	pool := overlay.Pool{Space: overlay.DefaultSpace, Prefix: r.Prefix, Range: r.Range}
	if r.Network != "" {
		pool.Space = r.Network
	}
	if !r.Prefix.IsValid() {
		existing, found := s.named(r.Network)
		taken := slices.Clone(r.Avoid)
		for p := range s.pools {
			if p.Space == pool.Space {
				taken = append(taken, p.Prefix)
			}
		}
		if found {
			pool.Prefix = existing.Subnets[0].Prefix
		} else {
			var err error
			if pool.Prefix, err = overlay.FreeSubnet(r.From, 24, taken); err != nil {
				return overlay.Pool{}, err
			}
		}
	}
	if s.pools[claimed(pool)] == nil {
		s.pools[claimed(pool)] = &fakePool{users: map[string]bool{}, taken: map[netip.Addr]string{}}
	}
	s.pools[claimed(pool)].users[r.Node] = true
	return pool, nil
}

func (s *fakeStore) ReleasePool(ctx context.Context, node string, pool overlay.Pool) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if p := s.pools[claimed(pool)]; p != nil {
		delete(p.users, node)
		if len(p.users) == 0 {
			delete(s.pools, claimed(pool))
		}
	}
	return nil
}

func (s *fakeStore) RequestAddress(ctx context.Context, r AddressRequest) (netip.Prefix, error) {
	if err := s.enter(ctx); err != nil {
		return netip.Prefix{}, err
	}
	defer s.mu.Unlock()
	p := s.pools[claimed(r.Pool)]
	if p == nil {
		return netip.Prefix{}, overlay.Refuse(overlay.Missing, "address pool "+r.Pool.ID(), "", "not requested")
	}
	addr := r.Address
	if r.Gateway && !addr.IsValid() {
		addr = p.gateway
	}
	if !addr.IsValid() {
		var err error
		if addr, err = r.Pool.NextFree(slices.SortedFunc(maps.Keys(p.taken), netip.Addr.Compare), netip.Addr{}); err != nil {
			return netip.Prefix{}, err
		}
	}
	if by := p.taken[addr]; by != "" && (!r.Gateway || addr != p.gateway) {
		return netip.Prefix{}, overlay.Refuse(overlay.Conflict, "address "+addr.String(), "choose another", "taken by %s", by)
	}
	p.taken[addr] = r.Node
	if r.Gateway {
		p.gateway = addr
	}
	return netip.PrefixFrom(addr, r.Pool.Prefix.Bits()), nil
}

func (s *fakeStore) ReleaseAddress(ctx context.Context, node string, pool overlay.Pool, addr netip.Addr) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if p := s.pools[claimed(pool)]; p != nil && p.taken[addr] == node {
		delete(p.taken, addr)
	}
	return nil
}

func (s *fakeStore) Attach(ctx context.Context, r AttachRequest) (overlay.Network, error) {
	if err := s.enter(ctx); err != nil {
		return overlay.Network{}, err
	}
	defer s.mu.Unlock()
	if a, found := s.attachments[r.Node+"/"+r.DockerNetwork]; found {
		return s.networks[a.Network], nil
	}
	name := r.Name
	if name == "" {
		name = "net-" + overlay.ShortID(r.DockerNetwork)
	}
	pool := overlay.Pool{Space: overlay.DefaultSpace, Prefix: r.Subnet.Prefix}
	if own := (overlay.Pool{Space: r.Name, Prefix: r.Subnet.Prefix}); s.pools[own] != nil {
		pool = own
	}
	n, found := s.named(name)
	if !found {
		n = overlay.Network{ID: fmt.Sprintf("%032x", s.revision), Name: name, VNI: r.VNI, Space: pool.Space,
			Subnets: []overlay.Subnet{r.Subnet}, MTU: r.MTU, Internal: r.Internal, Revision: s.revision}
		n.VNI = max(n.VNI, uint32(len(s.networks)+1))
		if n.MTU == 0 {
			n.MTU = r.DefaultMTU
		}
		s.networks[n.ID] = n
	}
	a := overlay.Attachment{Network: n.ID, Node: r.Node, DockerNetwork: r.DockerNetwork, Revision: s.revision}
	if !r.ForeignIPAM {
		a.Pool = pool.ID()
	}
	s.attachments[r.Node+"/"+r.DockerNetwork] = a
	return n, nil
}

func (s *fakeStore) Detach(ctx context.Context, node, dockerNetwork string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	gone, found := s.attachments[node+"/"+dockerNetwork]
	if !found {
		return nil
	}
	delete(s.attachments, node+"/"+dockerNetwork)
	if !slices.ContainsFunc(slices.Collect(maps.Values(s.attachments)), func(a overlay.Attachment) bool { return a.Network == gone.Network }) {
		delete(s.networks, gone.Network)
	}
	return nil
}

func (s *fakeStore) Attached(ctx context.Context, node, dockerNetwork string) (overlay.Network, overlay.Attachment, error) {
	if err := s.enter(ctx); err != nil {
		return overlay.Network{}, overlay.Attachment{}, err
	}
	defer s.mu.Unlock()
	a, found := s.attachments[node+"/"+dockerNetwork]
	if !found {
		return overlay.Network{}, a, overlay.Refuse(overlay.Missing, "Docker network "+overlay.ShortID(dockerNetwork), "", "not known to ovsnet")
	}
	return s.networks[a.Network], a, nil
}

func (s *fakeStore) CreateEndpoint(ctx context.Context, e overlay.Endpoint) (overlay.Endpoint, error) {
	if err := s.enter(ctx); err != nil {
		return e, err
	}
	defer s.mu.Unlock()
	for id, other := range s.endpoints {
		if other.Network == e.Network && id != e.ID && (other.IPv4 == e.IPv4 || other.MAC == e.MAC) {
			return e, overlay.Refuse(overlay.Conflict, "address "+e.IPv4.String(), "choose another", "endpoint %s has it", other.Label())
		}
	}
	if before, found := s.endpoints[e.ID]; found {
		return before, nil
	}
	e.Revision = s.revision
	s.endpoints[e.ID] = e
	return e, nil
}

func (s *fakeStore) DeleteEndpoint(ctx context.Context, _, _, id string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	delete(s.endpoints, id)
	return nil
}

func (s *fakeStore) GetEndpoint(ctx context.Context, network, id string) (overlay.Endpoint, bool, error) {
	if err := s.enter(ctx); err != nil {
		return overlay.Endpoint{}, false, err
	}
	defer s.mu.Unlock()
	e, found := s.endpoints[id]
	return e, found && e.Network == network, nil
}

// empty fails the test if anything is left in the store.
func (s *fakeStore) empty(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pools)+len(s.networks)+len(s.attachments)+len(s.endpoints) > 0 {
		t.Errorf("left behind:\npools %v\nnetworks %v\nattachments %v\nendpoints %v", s.pools, s.networks, s.attachments, s.endpoints)
	}
}

// fakeLoop installs nothing and remembers what it was asked.
type fakeLoop struct {
	mu        sync.Mutex
	followed  []string
	waited    []overlay.Endpoint
	links     []int
	wakes     int
	waitError error
	hang      bool
}

func (l *fakeLoop) Follow(_ context.Context, network string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followed = append(l.followed, network)
	return nil
}

func (l *fakeLoop) WaitEndpoint(ctx context.Context, e overlay.Endpoint, link int) error {
	if l.hang {
		<-ctx.Done()
		return fmt.Errorf("wait for endpoint %s: %w", e.Label(), ctx.Err())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waited, l.links = append(l.waited, e), append(l.links, link)
	return l.waitError
}

func (l *fakeLoop) Wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakes++
}

// fakeLinks keeps the links' MTUs by name.
type fakeLinks struct {
	mu    sync.Mutex
	links map[string]Link
	// made is the index of the last one.
	made int
	// fail is what Create answers.
	fail error
}

func newFakeLinks() *fakeLinks { return &fakeLinks{links: map[string]Link{}} }

func (l *fakeLinks) Create(ctx context.Context, e overlay.Endpoint, mtu int) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := errors.Join(ctx.Err(), l.fail); err != nil {
		return 0, err
	}
	index := l.links[e.PortName()].Index
	if l.links[e.PortName()].MTU != mtu {
		l.made++
		index = l.made
	}
	l.links[e.PortName()] = Link{Name: e.PortName(), Index: index, MTU: mtu, Waiting: true, Up: true}
	return index, nil
}

func (l *fakeLinks) Delete(ctx context.Context, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if !isPortName(name) {
		return overlay.Refuse(overlay.Invalid, "link "+name, "", "not a link of an endpoint")
	}
	delete(l.links, name)
	return nil
}

func (l *fakeLinks) List(context.Context) (map[string]Link, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.links), nil
}

// fakeHost is the host below the plugin.
type fakeHost struct {
	occupied []Occupied
	carries  int
	fail     error
}

func (h *fakeHost) Occupied(context.Context) ([]Occupied, error) { return h.occupied, h.fail }
func (h *fakeHost) NetworkMTU(context.Context) (int, error)      { return h.carries, h.fail }
