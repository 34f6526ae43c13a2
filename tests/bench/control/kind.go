package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// kind is one way to be connected.
type kind struct {
	// name is Docker's name of the network.
	name string
	// prefix is the network's subnet; the zero Prefix where Docker's own is used, which other hosts do not reach.
	prefix netip.Prefix
	// create are the commands that make the network: the first on h1, then the second, if any, on each other host.
	create [][]string
}

func allKinds() []kind {
	return []kind{{name: "none"}, {name: "bridge"}, {name: "own-bridge", create: [][]string{{"docker", "network", "create", "own-bridge"}}},
		overlayKind("overlay", netip.MustParsePrefix("10.81.0.0/16")),
		ovsnetKind("internal", netip.MustParsePrefix("10.82.0.0/16"), "--internal"),
		ovsnetKind("ovsnet", netip.MustParsePrefix("10.83.0.0/16"))}
}

func overlayKind(name string, prefix netip.Prefix) kind {
	return kind{name: name, prefix: prefix, create: [][]string{
		{"docker", "network", "create", "-d", "overlay", "--attachable", "--subnet", prefix.String(), name}}}
}

func ovsnetKind(name string, prefix netip.Prefix, options ...string) kind {
	// The other hosts name the subnet too: Docker takes --ip only where it was named.
	argv := append([]string{"docker", "network", "create", "-d", "ovsnet", "--ipam-driver", "ovsnet", "--subnet", prefix.String(),
		"--ipam-opt", "ovsnet.network=" + name, "-o", "ovsnet.network=" + name}, append(options, name)...)
	return kind{name: name, prefix: prefix, create: [][]string{argv, argv}}
}

// address is that of the kind's container of that number.
func (k kind) address(number int) netip.Addr {
	if !k.prefix.IsValid() {
		return netip.Addr{}
	}
	base := k.prefix.Addr().As4()
	return netip.AddrFrom4([4]byte{base[0], base[1], base[2] + byte(1+number/250), byte(1 + number%250)})
}

// start is the command that starts a container of that name, with an address of its own where the kind has any.
func (k kind) start(name string, number int) []string {
	argv := []string{"docker", "run", "-d", "--name", name, "--network", k.name}
	if addr := k.address(number); addr.IsValid() {
		argv = append(argv, "--ip", addr.String())
	}
	return append(argv, lab.ImageName)
}

// makeNetworks makes the kinds' networks on every host.
func makeNetworks(ctx context.Context, l *lab.Lab, kinds []kind) error {
	for _, k := range kinds {
		if err := k.makeNetwork(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// makeNetwork runs the commands after which the network can be used on every host.
func (k kind) makeNetwork(ctx context.Context, l *lab.Lab) error {
	if len(k.create) == 0 {
		return nil
	}
	if _, err := l.Host(1).Run(ctx, k.create[0]...); err != nil {
		return err
	}
	return others(ctx, l, func(ctx context.Context, h *lab.Host) error {
		if len(k.create) == 1 {
			return nil
		}
		_, err := h.Run(ctx, k.create[1]...)
		return err
	})
}

// others does something on every host but h1, at once.
func others(ctx context.Context, l *lab.Lab, do func(context.Context, *lab.Host) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, h := range l.Hosts()[1:] {
		group.Go(func() error { return do(ctx, h) })
	}
	return group.Wait()
}

// pid is a container's first process.
func pid(ctx context.Context, h *lab.Host, container string) (int, error) {
	text, err := h.Run(ctx, "docker", "inspect", "-f", "{{.State.Pid}}", container)
	if err != nil {
		return 0, err
	}
	number, err := strconv.Atoi(text[:max(0, len(text)-1)])
	if err != nil {
		return 0, fmt.Errorf("process of container %s: %w", container, err)
	}
	return number, nil
}
