package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// peerLink is the hosts' link to the peer's underlay, which peerBridge of the machine net joins.
const (
	peerLink   = "peer0"
	peerBridge = "peer"
)

func peerAddress(host int) string { return fmt.Sprintf("198.51.100.%d", host) }

// makeSwarm gives the hosts a second underlay and makes them a swarm on it, with h1 as its manager.
func makeSwarm(ctx context.Context, l *lab.Lab) error {
	if err := makePeerUnderlay(ctx, l); err != nil {
		return err
	}
	at := func(host int) []string {
		return []string{"--advertise-addr", peerAddress(host), "--data-path-addr", peerAddress(host), "--listen-addr", peerAddress(host) + ":2377"}
	}
	if _, err := l.Host(1).Run(ctx, append([]string{"docker", "swarm", "init"}, at(1)...)...); err != nil {
		return err
	}
	token, err := l.Host(1).Run(ctx, "docker", "swarm", "join-token", "-q", "worker")
	if err != nil {
		return err
	}
	for n := 2; n <= hosts; n++ {
		argv := append([]string{"docker", "swarm", "join", "--token", strings.TrimSpace(token)}, at(n)...)
		if _, err := l.Host(n).Run(ctx, append(argv, peerAddress(1)+":2377")...); err != nil {
			return err
		}
	}
	return nil
}

func makePeerUnderlay(ctx context.Context, l *lab.Lab) error {
	under, err := l.Net().NetNS()
	if err != nil {
		return err
	}
	ip := func(ns string, arguments ...string) error {
		argv := append([]string{"--net=" + ns, "ip"}, arguments...)
		if out, err := exec.CommandContext(ctx, "nsenter", argv...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(arguments, " "), err, out)
		}
		return nil
	}
	if err := ip(under, "link", "add", peerBridge, "up", "type", "bridge"); err != nil {
		return err
	}
	for n := 1; n <= hosts; n++ {
		ns, err := l.Host(n).NetNS()
		if err != nil {
			return err
		}
		process := strings.Split(ns, "/")[2]
		port := fmt.Sprintf("peer%d", n)
		for _, step := range []struct {
			ns   string
			argv []string
		}{
			{under, []string{"link", "add", port, "master", peerBridge, "up", "type", "veth", "peer", "name", peerLink, "netns", process}},
			{ns, []string{"addr", "add", peerAddress(n) + "/24", "dev", peerLink}},
			{ns, []string{"link", "set", peerLink, "up"}},
		} {
			if err := ip(step.ns, step.argv...); err != nil {
				return err
			}
		}
	}
	return nil
}
