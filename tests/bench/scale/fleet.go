package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
)

const (
	// batch is how many endpoints one transaction writes: three keys each, of the 128 operations that etcd takes.
	batch = 40
	// writers is how many transactions are under way at once.
	writers = 8
	// spread is on how many hosts a network lives where there are several networks.
	spread = 10
)

// fleet is the simulated hosts and what is in etcd because of them.
type fleet struct {
	store *store.Store
	raw   *clientv3.Client
	made  time.Time

	hosts    int
	networks []overlay.Network
	// perNetwork is how many endpoints each network has by now.
	perNetwork []int
}

func newFleet(s *store.Store, raw *clientv3.Client) *fleet {
	return &fleet{store: s, raw: raw, made: time.Now().UTC().Truncate(time.Second)}
}

// grow brings the fleet to the size of the scenario. It never shrinks.
func (f *fleet) grow(ctx context.Context, s scenario) error {
	if err := f.addHosts(ctx, s.Nodes); err != nil {
		return err
	}
	for len(f.networks) < s.Networks {
		n, err := f.store.CreateNetwork(ctx, overlay.Network{
			Name: networkName(len(f.networks)), MTU: 1450, Subnets: []overlay.Subnet{{Prefix: space()}},
		})
		if err != nil {
			return err
		}
		f.networks, f.perNetwork = append(f.networks, n), append(f.perNetwork, 0)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for network := range s.Networks {
		for first := f.perNetwork[network]; first < s.Endpoints/s.Networks; first += batch {
			last := min(first+batch, s.Endpoints/s.Networks)
			group.Go(func() error { return f.write(ctx, f.subjects(network, first, last), true) })
		}
		f.perNetwork[network] = max(f.perNetwork[network], s.Endpoints/s.Networks)
	}
	return group.Wait()
}

// addHosts registers hosts as their agents would.
func (f *fleet) addHosts(ctx context.Context, hosts int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for n := f.hosts; n < hosts; n++ {
		group.Go(func() error {
			vtep := netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}).Next()
			node := overlay.Node{Name: hostName(n), VTEPs: []netip.Addr{vtep}, Datapath: "system", MTU: 1450, Version: "simulated"}
			return f.store.Register(ctx, node, store.Identity{Host: "host of " + node.Name, Boot: "boot of " + node.Name})
		})
	}
	f.hosts = max(f.hosts, hosts)
	return group.Wait()
}

// subjects are a network's endpoints of those numbers, spread over its hosts.
func (f *fleet) subjects(network, first, last int) []subject {
	var list []subject
	for number := first; number < last; number++ {
		host := number % f.hosts
		if len(f.networks) > 1 {
			host = (network*spread + number%spread) % f.hosts
		}
		list = append(list, subject{network: network, host: host, number: number})
	}
	return list
}

// write makes endpoints, or removes them, in one transaction.
func (f *fleet) write(ctx context.Context, subjects []subject, there bool) error {
	ops, err := f.ops(subjects, there)
	if err != nil {
		return err
	}
	return f.commit(ctx, ops)
}

// ops are what the transaction that makes endpoints, or removes them, consists of.
func (f *fleet) ops(subjects []subject, there bool) ([]clientv3.Op, error) {
	var ops []clientv3.Op
	for _, s := range subjects {
		n := f.networks[s.network]
		all, err := keys(s.endpoint(n.ID, f.made), n.Name)
		if err != nil {
			return nil, err
		}
		for _, key := range slices.Sorted(maps.Keys(all)) {
			if there {
				ops = append(ops, clientv3.OpPut(key, all[key]))
			} else {
				ops = append(ops, clientv3.OpDelete(key))
			}
		}
	}
	return ops, nil
}

func (f *fleet) commit(ctx context.Context, ops []clientv3.Op) error {
	if _, err := f.raw.Txn(ctx).Then(ops...).Commit(); err != nil {
		return fmt.Errorf("write to etcd: %w", err)
	}
	return nil
}

// removeAll removes endpoints, however many.
func (f *fleet) removeAll(ctx context.Context, subjects []subject) error {
	for part := range slices.Chunk(subjects, batch) {
		if err := f.write(ctx, part, false); err != nil {
			return err
		}
	}
	return nil
}

// compact has etcd forget what was there before, so that its size is that of what is there.
func (f *fleet) compact(ctx context.Context) error {
	now, err := f.raw.Status(ctx, etcdURL)
	if err != nil {
		return fmt.Errorf("ask etcd for its revision: %w", err)
	}
	if _, err := f.raw.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("compact etcd: %w", err)
	}
	return nil
}

// check holds that the fleet writes what package store would: the same keys with the same values.
func (f *fleet) check(ctx context.Context) error {
	n := f.networks[0]
	s := subject{network: 0, host: 0, number: firstMeasured - 1}
	if err := f.attach(ctx, n, hostName(s.host)); err != nil {
		return err
	}
	e := s.endpoint(n.ID, f.made)
	if _, err := f.store.CreateEndpoint(ctx, e); err != nil {
		return err
	}
	want, err := keys(e, n.Name)
	if err != nil {
		return err
	}
	for key, value := range want {
		found, err := f.raw.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		if len(found.Kvs) != 1 || string(found.Kvs[0].Value) != value {
			return fmt.Errorf("the fleet writes %s\n  %s\nand package store\n  %v: change the fleet", key, value, found.Kvs)
		}
	}
	return f.store.DeleteEndpoint(ctx, e.Node, e.Network, e.ID)
}

// attach makes a host a user of the network, as its Docker would.
func (f *fleet) attach(ctx context.Context, n overlay.Network, host string) error {
	pool, err := f.store.RequestPool(ctx, store.PoolRequest{Node: host, Network: n.Name})
	if err != nil {
		return err
	}
	_, err = f.store.Attach(ctx, store.AttachRequest{
		Node: host, DockerNetwork: "docker" + n.ID, Name: n.Name, DefaultMTU: n.MTU,
		Subnet: overlay.Subnet{Prefix: pool.Prefix, Gateway: overlay.First(pool.Prefix)},
	})
	return err
}
