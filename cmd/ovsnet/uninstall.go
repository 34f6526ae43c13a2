package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/docker"
	"github.com/ovsnet/ovsnet/guard"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/ovsdb"
	"github.com/ovsnet/ovsnet/store"
)

func uninstallCommand() *cli.Command {
	hostname, _ := os.Hostname()
	flags := []cli.Flag{
		&cli.StringFlag{Name: "node", Usage: "`NAME` of this host, where its agent cannot be asked", EnvVars: env("NODE"), Value: hostname},
		&cli.BoolFlag{Name: "force", Usage: "cut off containers that still use this host's networks"},
		dockerFlag(), socketFlag(),
	}
	flags = append(append(flags, ovsFlags()...), etcdFlags()...)
	return &cli.Command{
		Name: "uninstall", Usage: "take this host out of the cluster: remove its bridge, links, guard rules and claims",
		Flags: flags, Action: uninstall,
	}
}

// uninstall drains the agent, then removes what this host has in etcd, its
// links and its bridge. Each step may be repeated.
func uninstall(c *cli.Context) error {
	if err := exactArgs(c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context, time.Minute)
	defer cancel()
	st, err := openStore(c)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	control := agent.NewClient(c.String("socket"))
	status, asked := control.Status(ctx)
	node := c.String("node")
	switch {
	case asked == nil:
		node = status.Node
	case !errors.Is(asked, syscall.ENOENT) && !errors.Is(asked, syscall.ECONNREFUSED) && !c.Bool("force"):
		return fmt.Errorf("drain the agent: %w", asked)
	default:
		warn(c, "no agent answers at %s, so none is drained", c.String("socket"))
	}
	ours, err := actAsThisHost(ctx, c, st, node)
	if err != nil {
		return err
	}
	if !c.Bool("force") {
		if err := mayLeave(ctx, c, st, node, ours, status); err != nil {
			return err
		}
	}
	if asked == nil {
		if err := control.Drain(ctx); err != nil {
			return fmt.Errorf("drain the agent: %w", err)
		}
		say(c, "drained the agent")
	}
	if ours {
		if err := st.RemoveNode(ctx, node); err != nil && !overlay.IsKind(err, overlay.Missing) {
			return fmt.Errorf("remove node %s from etcd: %w", node, err)
		}
		say(c, "removed node %s, its endpoints and its claims from etcd", node)
	}
	if err := removeDataPath(ctx, c); err != nil {
		return err
	}
	if asked == nil {
		say(c, "now end the agent, so that it does not come back: systemctl disable --now ovsnet")
	}
	return nil
}

// etcdTimeout bounds asking etcd whether the node's record is this host's.
const etcdTimeout = 10 * time.Second

// actAsThisHost reports whether etcd has a record of this very host under the
// name. What another host of that name has is not touched; with --force the host
// is also cleaned up while etcd is away.
func actAsThisHost(ctx context.Context, c *cli.Context, st *store.Store, node string) (bool, error) {
	ovs := ovsdb.Dial(ovsdb.Config{Endpoint: c.String("ovsdb")})
	defer ovs.Close()
	seen, err := ovs.Observe(ctx, c.String("bridge"))
	if err != nil {
		return false, err
	}
	asking, cancel := context.WithTimeout(ctx, etcdTimeout)
	defer cancel()
	err = st.ActAs(asking, node, seen.Bridge.ExternalIDs[ovsdb.KeyHost])
	away := overlay.IsKind(err, overlay.Unavailable) && c.Bool("force")
	if away || overlay.IsKind(err, overlay.Conflict) || overlay.IsKind(err, overlay.Missing) {
		warn(c, "nothing is removed from etcd: %v", err)
		return false, nil
	}
	return err == nil, err
}

// mayLeave refuses while containers use this host's networks: by etcd's records
// of them, or, where the host has none, by the links that they hold.
func mayLeave(ctx context.Context, c *cli.Context, st *store.Store, node string, ours bool, status agent.Status) error {
	if ours {
		view, err := st.List(ctx)
		if err != nil {
			return err
		}
		return inTheWay(view, node, status, containerNames(ctx, c, dockerNetworks(view, node)))
	}
	links, err := (&docker.HostLinks{}).List(ctx)
	if err != nil {
		return err
	}
	var held []string
	for name, link := range links {
		if !link.Waiting {
			held = append(held, name)
		}
	}
	if len(held) == 0 {
		return nil
	}
	slices.Sort(held)
	return overlay.Refuse(overlay.InUse, "this host", "stop them, or use --force to cut them off",
		"%d containers still use its links: %s", len(held), strings.Join(held, ", "))
}

func warn(c *cli.Context, format string, args ...any) {
	_, _ = fmt.Fprintf(c.App.ErrWriter, "ovsnet: "+format+"\n", args...)
}

func say(c *cli.Context, format string, args ...any) {
	_, _ = fmt.Fprintf(c.App.Writer, format+"\n", args...)
}

// namesTimeout bounds asking Docker for names, which only make a refusal easier
// to read: a daemon that hangs must not use up the time for the rest.
const namesTimeout = 5 * time.Second

// containerNames returns the containers' names by endpoint ID, as far as Docker
// tells them.
func containerNames(ctx context.Context, c *cli.Context, networks []string) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, namesTimeout)
	defer cancel()
	found, err := docker.API(c.String("docker")).Names(ctx, networks)
	if err != nil {
		_, _ = fmt.Fprintln(c.App.ErrWriter, "ovsnet: containers are shown by endpoint:", err)
	}
	names := map[string]string{}
	for _, n := range found {
		maps.Copy(names, n.Containers)
	}
	return names
}

// removeDataPath removes the bridge with its ports, the endpoints' links and the
// guard's rules.
func removeDataPath(ctx context.Context, c *cli.Context) error {
	ovs := ovsdb.Dial(ovsdb.Config{Endpoint: c.String("ovsdb")})
	defer ovs.Close()
	if err := ovs.RemoveBridge(ctx, c.String("bridge")); err != nil {
		return fmt.Errorf("remove bridge %s: %w", c.String("bridge"), err)
	}
	say(c, "removed bridge %s", c.String("bridge"))
	links := &docker.HostLinks{}
	all, err := links.List(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for name := range all {
		failed = append(failed, links.Delete(ctx, name))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	say(c, "removed %d links", len(all))
	if err := guard.Remove(ctx); err != nil {
		return fmt.Errorf("remove the guard's rules: %w", err)
	}
	say(c, "removed the guard's rules")
	return nil
}

// dockerNetworks returns Docker's IDs of the networks a node has.
func dockerNetworks(view store.View, node string) []string {
	var ids []string
	for a := range view.Snapshot.Attachments() {
		if a.Node == node {
			ids = append(ids, a.DockerNetwork)
		}
	}
	return ids
}

// inTheWay refuses to remove a host that is still needed. names are containers'
// names by endpoint ID, as far as they are known.
func inTheWay(view store.View, node string, status agent.Status, names map[string]string) error {
	object := fmt.Sprintf("node %q", node)
	var users []string
	for e := range view.Snapshot.EndpointsOn(node) {
		network, _ := view.Snapshot.Network(e.Network)
		name := names[e.ID]
		if name == "" {
			name = "endpoint " + e.Label()
		}
		users = append(users, fmt.Sprintf("%s (%s in %s)", name, e.IPv4, network.Name))
	}
	if len(users) > 0 {
		return overlay.Refuse(overlay.InUse, object, "stop them, or use --force to cut them off",
			"%d containers still use its networks: %s", len(users), strings.Join(users, ", "))
	}
	var others []string
	for n := range view.Snapshot.Nodes() {
		if n.Name != node {
			others = append(others, n.Name)
		}
	}
	if status.Etcd.Embedded && len(others) > 0 {
		return overlay.Refuse(overlay.InUse, object, "uninstall the other hosts first, or use --force",
			"its agent runs the cluster's etcd, which %s still need", strings.Join(others, ", "))
	}
	return nil
}
