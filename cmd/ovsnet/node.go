package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
)

// nodeRow is a host as `ovsnet node ls -o json` prints it.
type nodeRow struct {
	// Name is the host's name; Alive says whether its agent holds a lease now,
	// and Since when.
	Name  string    `json:"name"`
	Alive bool      `json:"alive"`
	Since time.Time `json:"since,omitzero"`
	// VTEPs are the tunnel addresses, the preferred one first.
	VTEPs    []netip.Addr `json:"vteps"`
	Region   string       `json:"region"`
	Datapath string       `json:"datapath"`
	// MTU is the largest a network may have on this host.
	MTU     int    `json:"mtu"`
	Version string `json:"version"`
	// Networks and Endpoints count what it is attached to and hosts.
	Networks  int `json:"networks"`
	Endpoints int `json:"endpoints"`
}

func nodeRows(view store.View) []nodeRow {
	networks, endpoints := map[string]int{}, map[string]int{}
	for a := range view.Snapshot.Attachments() {
		networks[a.Node]++
	}
	for id := range view.Snapshot.MemberNetworks() {
		for host, n := range view.Snapshot.MemberHosts(id) {
			endpoints[host] += n
		}
	}
	var rows []nodeRow
	for n := range view.Snapshot.Nodes() {
		alive, ok := view.Alive[n.Name]
		rows = append(rows, nodeRow{
			Name: n.Name, Alive: ok, Since: alive.Since, VTEPs: n.VTEPs, Region: n.Region, Datapath: n.Datapath,
			MTU: n.MTU, Version: n.Version, Networks: networks[n.Name], Endpoints: endpoints[n.Name],
		})
	}
	return rows
}

func nodeCommand() *cli.Command {
	flags := append(etcdFlags(), outputFlag())
	return &cli.Command{
		Name: "node", Usage: "the hosts of the cluster",
		Subcommands: []*cli.Command{
			{Name: "ls", Usage: "list hosts", Flags: flags, Action: withView(listNodes)},
			{Name: "inspect", Usage: "show one host", ArgsUsage: "NODE", Flags: flags, Action: withView(inspectNode, "NODE")},
			{Name: "rm", Usage: "forget a host that will not come back, with its endpoints and claims", ArgsUsage: "NODE", Flags: etcdFlags(), Action: withStore(removeNode)},
		},
	}
}

func listNodes(_ context.Context, c *cli.Context, view store.View) error {
	now := time.Now()
	return printList(c, nodeRows(view), []column[nodeRow]{
		{title: "name", cell: func(n nodeRow) string { return n.Name }},
		{title: "vtep", cell: func(n nodeRow) string { return addrs(n.VTEPs) }},
		{title: "alive", cell: func(n nodeRow) string { return aliveText(n, now) }},
		{title: "datapath", cell: func(n nodeRow) string { return n.Datapath }},
		{title: "mtu", cell: func(n nodeRow) string { return strconv.Itoa(n.MTU) }},
		{title: "networks", cell: func(n nodeRow) string { return strconv.Itoa(n.Networks) }},
		{title: "endpoints", cell: func(n nodeRow) string { return strconv.Itoa(n.Endpoints) }},
		{title: "version", cell: func(n nodeRow) string { return n.Version }},
	})
}

func inspectNode(_ context.Context, c *cli.Context, view store.View) error {
	name := c.Args().First()
	for _, n := range nodeRows(view) {
		if n.Name == name {
			return printObject(c, n, []field{
				{"name", n.Name}, {"alive", aliveText(n, time.Now())}, {"vteps", addrs(n.VTEPs)}, {"region", orDash(n.Region)},
				{"datapath", n.Datapath}, {"mtu", n.MTU}, {"version", n.Version}, {"networks", n.Networks}, {"endpoints", n.Endpoints},
			})
		}
	}
	return overlay.Refuse(overlay.Missing, fmt.Sprintf("node %q", name), "see ovsnet node ls", "no such node")
}

func removeNode(ctx context.Context, c *cli.Context, s *store.Store) error {
	if err := exactArgs(c, "NODE"); err != nil {
		return err
	}
	if err := s.RemoveNode(ctx, c.Args().First()); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.App.Writer, c.Args().First())
	return err
}

func aliveText(n nodeRow, now time.Time) string {
	if !n.Alive {
		return "no"
	}
	return "yes, " + ago(n.Since, now)
}

func addrs(list []netip.Addr) string {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = a.String()
	}
	return orDash(strings.Join(words, ", "))
}
