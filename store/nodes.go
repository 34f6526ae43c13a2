package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ovsnet/ovsnet/overlay"
)

// Identity tells machines apart that claim the same node name.
type Identity struct {
	// Host is a random ID that the machine keeps as long as its OVSDB.
	Host string
	// Boot is the kernel's boot ID.
	Boot string
	// Machine is what is known of the installed system (machine-id(5)); empty where
	// it has none. A copy of a disk may keep it, so it only tells machines apart.
	Machine string
}

// Register writes the host's durable record and claims its name and VTEP
// addresses; addresses that it had before and has no more are freed. It refuses
// (Conflict) a name or an address that another host has, also one that only has a
// copy of its OVSDB. A host whose identity was lost is let in when nobody lives
// under its name and its preferred VTEP address is still the same; a machine that
// lives under another boot ID is a clone and refused. A repeat writes nothing.
func (s *Store) Register(ctx context.Context, node overlay.Node, id Identity) error {
	if err := node.Validate(); err != nil {
		return err
	}
	_, err := s.update(ctx, fmt.Sprintf("register node %q", node.Name), func(ctx context.Context, c *change) error {
		found, _, err := s.read(ctx, get(nodeKey(node.Name)), get(aliveKey(node.Name)))
		if err != nil {
			return err
		}
		old, err := only[nodeRecord](nodeKey(node.Name), found[0])
		if err != nil {
			return err
		}
		alive, err := only[Alive](aliveKey(node.Name), found[1])
		if err != nil {
			return err
		}
		if err := refuseTwin(old, alive, node, id); err != nil {
			return err
		}
		c.expect(alive.key, alive.rev)
		if err := s.claimVTEPs(ctx, c, old.value.VTEPs, node); err != nil {
			return err
		}
		if fresh := (nodeRecord{Node: node, Host: id.Host, Machine: id.Machine}); !old.exists() || !sameNode(old.value, fresh) {
			write(c, put(old, fresh), clientv3.NoLease)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own[node.Name] = id.Host
	return nil
}

// ActAs makes what this Store changes under the node's name depend on its record
// being that machine's, as Register does, but writes nothing. It refuses a name
// that is in no record (Missing) or that another machine has (Conflict).
func (s *Store) ActAs(ctx context.Context, name, host string) error {
	return s.retry(ctx, fmt.Sprintf("read node %q", name), func(ctx context.Context) error {
		record, err := fetch[nodeRecord](ctx, s, nodeKey(name))
		if err != nil {
			return err
		}
		object := fmt.Sprintf("node %q", name)
		switch {
		case !record.exists():
			return overlay.Refuse(overlay.Missing, object, "see ovsnet node ls", "no such node")
		case record.value.Host != host:
			return overlay.Refuse(overlay.Conflict, object, "if that host will not come back, ovsnet node rm "+name,
				"another host has this name: VTEP %s", record.value.VTEP())
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.own[name] = host
		return nil
	})
}

// expectOwner makes the change depend on the node's record being the one that
// this Store registered: what is under a name that another machine has by now
// is that machine's. For a node that it did not register it asks nothing, so
// that operators can clean up after hosts. found is what is under nodeKey.
func (s *Store) expectOwner(c *change, node string, found []*mvccpb.KeyValue) error {
	s.mu.Lock()
	host := s.own[node]
	s.mu.Unlock()
	if host == "" {
		return nil
	}
	record, err := only[nodeRecord](nodeKey(node), found)
	if err != nil {
		return err
	}
	object := fmt.Sprintf("node %q", node)
	if !record.exists() {
		return overlay.Refuse(overlay.Missing, object, "the agent registers it again by itself", "its record is gone from etcd")
	}
	if record.value.Host != host {
		return overlay.Refuse(overlay.Conflict, object, "give one of the two another name with --node", "another host has this name by now: VTEP %s", record.value.VTEP())
	}
	c.expect(record.key, record.rev)
	return nil
}

// registered reports whether this Store registered the node.
func (s *Store) registered(node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.own[node] != ""
}

// refuseTwin refuses a host whose name another machine has.
func refuseTwin(old item[nodeRecord], alive item[Alive], node overlay.Node, id Identity) error {
	if !old.exists() {
		return nil
	}
	object := fmt.Sprintf("node %q", node.Name)
	since := alive.value.Since.UTC().Format(time.RFC3339)
	emptied := !alive.exists() && old.value.VTEP() == node.VTEP()
	copied := old.value.Machine != "" && id.Machine != "" && old.value.Machine != id.Machine
	if (old.value.Host != id.Host || copied) && !emptied {
		state := "not alive now"
		if alive.exists() {
			state = "alive since " + since
		}
		return overlay.Refuse(overlay.Conflict, object, fmt.Sprintf("choose another name with --node; if that host will not come back, ovsnet node rm %s", node.Name),
			"another host has this name: VTEP %s, %s", old.value.VTEP(), state)
	}
	if alive.exists() && alive.value.Host == id.Host && alive.value.Boot != id.Boot {
		return overlay.Refuse(overlay.Conflict, object, "if this machine was cloned, empty its OVSDB and give it a name of its own; if it was just rebooted, wait",
			"a machine of the same identity is alive under another boot: VTEP %s, alive since %s", old.value.VTEP(), since)
	}
	return nil
}

// claimVTEPs claims the node's addresses and frees those of before.
func (s *Store) claimVTEPs(ctx context.Context, c *change, before []netip.Addr, node overlay.Node) error {
	all := slices.Clone(node.VTEPs)
	for _, addr := range before {
		if !slices.Contains(all, addr) {
			all = append(all, addr)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	all = slices.Compact(all)
	reads := make([]clientv3.Op, len(all))
	for i, addr := range all {
		reads[i] = get(vtepKey(addr))
	}
	found, _, err := s.read(ctx, reads...)
	if err != nil {
		return err
	}
	for i, addr := range all {
		claim, err := only[owner](vtepKey(addr), found[i])
		if err != nil {
			return err
		}
		wanted := slices.Contains(node.VTEPs, addr)
		switch mine := claim.value.Node == node.Name; {
		case wanted && !claim.exists():
			write(c, put(claim, owner{Node: node.Name}), clientv3.NoLease)
		case wanted && !mine:
			return overlay.Refuse(overlay.Conflict, fmt.Sprintf("VTEP address %s of node %q", addr, node.Name),
				fmt.Sprintf("set --vtep to an address that only this host has; if that host will not come back, ovsnet node rm %s", claim.value.Node),
				"node %q has it", claim.value.Node)
		case !wanted && mine:
			drop(c, claim)
		}
	}
	return nil
}

func sameNode(a, b nodeRecord) bool {
	return a.Host == b.Host && a.Machine == b.Machine && slices.Equal(a.VTEPs, b.VTEPs) && a.Region == b.Region && a.Datapath == b.Datapath &&
		a.MTU == b.MTU && a.Version == b.Version
}

// RemoveNode forgets a host: its endpoints, attachments, claims and record. An
// unknown one is refused (Missing), and so is one that is alive (InUse), unless
// this Store registered it.
func (s *Store) RemoveNode(ctx context.Context, name string) error {
	if err := overlay.ValidateName("node", name); err != nil {
		return err
	}
	if err := s.refuseAlive(ctx, name); err != nil {
		return err
	}
	seen := false
	for again := true; again; {
		networks, err := s.dockerNetworks(ctx, name)
		if err != nil {
			return err
		}
		for _, id := range networks {
			if err := s.Detach(ctx, name, id); err != nil {
				return err
			}
		}
		if again, err = s.dropNode(ctx, name, &seen); err != nil {
			return err
		}
	}
	return nil
}

// dropNode removes the record and claims of a host that is in no network. It
// reports whether the host got into one meanwhile. seen remembers over all tries
// that the host was there.
func (s *Store) dropNode(ctx context.Context, name string, seen *bool) (attached bool, err error) {
	_, err = s.update(ctx, fmt.Sprintf("remove node %q", name), func(ctx context.Context, c *change) error {
		found, _, err := s.read(ctx, get(nodeKey(name)), getKeys(dockerOf(name)))
		if err != nil {
			return err
		}
		node, err := only[nodeRecord](nodeKey(name), found[0])
		if err != nil {
			return err
		}
		if !node.exists() && !*seen {
			return overlay.Refuse(overlay.Missing, fmt.Sprintf("node %q", name), "see ovsnet node ls", "no such node")
		}
		if node.exists() {
			if err := s.expectOwner(c, name, found[0]); err != nil {
				return err
			}
		}
		*seen = true
		if attached = len(found[1]) > 0; attached || !node.exists() {
			return nil
		}
		if err := s.claimVTEPs(ctx, c, node.value.VTEPs, overlay.Node{Name: name}); err != nil {
			return err
		}
		drop(c, node)
		c.expectNone(dockerOf(name))
		c.remove(aliveKey(name))
		c.removeAll(pendingOf(name))
		return nil
	})
	return attached, err
}

// refuseAlive refuses the removal of a host that another agent runs.
func (s *Store) refuseAlive(ctx context.Context, name string) error {
	return s.retry(ctx, fmt.Sprintf("read node %q", name), func(ctx context.Context) error {
		alive, err := fetch[Alive](ctx, s, aliveKey(name))
		if err != nil || !alive.exists() {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.own[name] == alive.value.Host {
			return nil
		}
		return overlay.Refuse(overlay.InUse, fmt.Sprintf("node %q", name), "run ovsnet uninstall there, or stop its agent and wait for its lease",
			"its agent is alive since %s", alive.value.Since.UTC().Format(time.RFC3339))
	})
}

// dockerNetworks lists the Docker networks of a host that are attached.
func (s *Store) dockerNetworks(ctx context.Context, node string) ([]string, error) {
	var ids []string
	err := s.retry(ctx, fmt.Sprintf("list the Docker networks of node %q", node), func(ctx context.Context) error {
		found, _, err := s.read(ctx, getKeys(dockerOf(node)))
		if err != nil {
			return err
		}
		ids = nil
		for _, kv := range found[0] {
			ids = append(ids, tail(dockerOf(node), string(kv.Key)))
		}
		return nil
	})
	return ids, err
}
