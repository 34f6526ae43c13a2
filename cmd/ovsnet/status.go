package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "how an agent stands; exit status 0 when containers can join",
		Flags: append(inspectFlags(), outputFlag()), Action: inspecting(theAgent, showStatus),
	}
}

func showStatus(ctx context.Context, c *cli.Context, i agent.Inspector) error {
	s, err := i.Status(ctx)
	if err != nil {
		return err
	}
	if err := printObject(c, s, statusFields(s, time.Now())); err != nil {
		return err
	}
	if !s.Ready {
		return errSaid
	}
	return nil
}

// statusFields lays a status out for people.
func statusFields(s agent.Status, now time.Time) []field {
	ready := "yes"
	if !s.Ready {
		ready = "no: " + strings.Join(s.Reasons, "; ")
	}
	etcd := "does not answer"
	if s.Etcd.Connected {
		etcd = "connected"
	}
	fields := []field{
		{"node", s.Node}, {"ready", ready},
		{"version", s.Version},
		{"vtep", fmt.Sprintf("%s, network MTU up to %d", s.VTEP, s.MTU)},
		{"etcd", fmt.Sprintf("%s for %s (%s)", etcd, ago(s.Etcd.Since, now), strings.Join(s.Etcd.Endpoints, ", "))},
		{"ovs", fmt.Sprintf("%s, bridge %s, datapath %s, tunnel port %d", orDash(s.OVS.Version), s.OVS.Bridge, orDash(s.OVS.Datapath), s.OVS.TunnelPort)},
		{"networks", s.Networks}, {"endpoints", fmt.Sprintf("%d, %d of them here", s.Endpoints, s.Local)}, {"flows", s.Flows},
		{"last round", fmt.Sprintf("%s ago, %.1f ms, %d flows added, %d removed", ago(s.Round.At, now), s.Round.Seconds*1000, s.Round.Added, s.Round.Removed)},
	}
	if d := s.Drift; d.Watching {
		fields = append(fields, field{"drift", fmt.Sprintf("flows changed %d times by others, %d flows put right, %d foreign flows here, %d removed", d.ForeignChanges, d.Repaired, d.ForeignFlows, d.Removed)})
	} else {
		fields = append(fields, field{"drift", "the flow monitor is not followed; all flows are compared now and then"})
	}
	if s.Followings > 0 {
		fields = append(fields, field{"followed", fmt.Sprintf("by %d from elsewhere (flows watch or capture with --node)", s.Followings)})
	}
	for _, w := range s.Warnings {
		fields = append(fields, field{"warning", w})
	}
	for _, p := range s.Problems {
		fields = append(fields, field{"problem", p.Object + ": " + p.Reason})
	}
	return fields
}
