package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
)

// endpointRow is an endpoint as `ovsnet endpoint ls -o json` prints it.
type endpointRow struct {
	// ID is Docker's endpoint ID; Names are what users call the container.
	ID    string   `json:"id"`
	Names []string `json:"names"`
	// Network is the network's name and NetworkID its ID.
	Network   string `json:"network"`
	NetworkID string `json:"network_id"`
	// Node is the host it lives on, Port its link and OVS port there.
	Node    string      `json:"node"`
	Port    string      `json:"port"`
	MAC     overlay.MAC `json:"mac"`
	IPv4    netip.Addr  `json:"ipv4,omitzero"`
	IPv6    netip.Addr  `json:"ipv6,omitzero"`
	Created time.Time   `json:"created"`
	// Counters is its traffic, as its host's agent tells.
	Counters *agent.Counters `json:"counters,omitempty"`
}

func endpointRows(view store.View, network string) []endpointRow {
	rows := []endpointRow{}
	for id := range view.Snapshot.MemberNetworks() {
		name := overlay.ShortID(id)
		if n, ok := view.Snapshot.Network(id); ok {
			name = n.Name
		}
		if network != "" && network != name && network != id {
			continue
		}
		for e := range view.Snapshot.Endpoints(id) {
			rows = append(rows, endpointRow{
				ID: e.ID, Names: append([]string{}, e.Names...), Network: name, NetworkID: id, Node: e.Node, Port: e.PortName(),
				MAC: e.MAC, IPv4: e.IPv4, IPv6: e.IPv6, Created: e.Created,
			})
		}
	}
	slices.SortFunc(rows, func(a, b endpointRow) int {
		return cmp.Or(strings.Compare(a.Network, b.Network), a.IPv4.Compare(b.IPv4), strings.Compare(a.ID, b.ID))
	})
	return rows
}

func endpointCommand() *cli.Command {
	flags := append(etcdFlags(), outputFlag())
	network := &cli.StringFlag{Name: "network", Usage: "only this `NETWORK`"}
	return &cli.Command{
		Name: "endpoint", Usage: "the containers' places in networks",
		Subcommands: []*cli.Command{
			{Name: "ls", Usage: "list endpoints", Flags: append(flags, network), Action: withView(listEndpoints)},
			{
				Name: "inspect", Usage: "show one endpoint with its packets, bytes and drops", ArgsUsage: "ENDPOINT (ID, name, IP or MAC address)",
				Flags: append(flags, network, socketFlag()), Action: withStore(inspectEndpoint),
			},
		},
	}
}

func listEndpoints(_ context.Context, c *cli.Context, view store.View) error {
	now := time.Now()
	return printList(c, endpointRows(view, c.String("network")), []column[endpointRow]{
		{title: "id", cell: func(e endpointRow) string { return overlay.ShortID(e.ID) }},
		{title: "name", cell: func(e endpointRow) string { return orDash(strings.Join(e.Names, ", ")) }},
		{title: "network", cell: func(e endpointRow) string { return e.Network }},
		{title: "ipv4", cell: func(e endpointRow) string { return addrs([]netip.Addr{e.IPv4}) }},
		{title: "mac", cell: func(e endpointRow) string { return e.MAC.String() }},
		{title: "node", cell: func(e endpointRow) string { return e.Node }},
		{title: "age", cell: func(e endpointRow) string { return ago(e.Created, now) }},
	})
}

func inspectEndpoint(ctx context.Context, c *cli.Context, s *store.Store) error {
	if err := exactArgs(c, "ENDPOINT"); err != nil {
		return err
	}
	view, err := listCluster(ctx, c, s)
	if err != nil {
		return err
	}
	row, err := findEndpoint(view, c.Args().First(), c.String("network"))
	if err != nil {
		return err
	}
	fields := []field{
		{"id", row.ID}, {"name", orDash(strings.Join(row.Names, ", "))}, {"network", row.Network}, {"ipv4", row.IPv4},
		{"mac", row.MAC}, {"node", row.Node}, {"port", row.Port}, {"created", row.Created.Format(time.RFC3339)},
	}
	counted := traffic(ctx, c, s, &row)
	return printObject(c, row, append(fields, counted...))
}

// traffic adds what the agent of the endpoint's host counted. What an endpoint is
// shows without that.
func traffic(ctx context.Context, c *cli.Context, s *store.Store, row *endpointRow) []field {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	counters, err := inspectorOf(ctx, c, s, row.Node).Counters(ctx, overlay.Endpoint{ID: row.ID, Network: row.NetworkID})
	if err != nil {
		return []field{{"counters", "not known: " + err.Error()}}
	}
	row.Counters = &counters
	return []field{
		{"from container", fmt.Sprintf("%d packets, %d bytes", counters.FromPackets, counters.FromBytes)},
		{"to container", fmt.Sprintf("%d packets, %d bytes", counters.ToPackets, counters.ToBytes)},
		{"spoofed, dropped", fmt.Sprintf("%d packets", counters.Spoofed)},
		{"link drops", fmt.Sprintf("%d packets", counters.LinkDrops)},
	}
}

func findEndpoint(view store.View, word, network string) (endpointRow, error) {
	e, err := inspect.FindEndpoint(view.Snapshot, word, network)
	if err != nil {
		return endpointRow{}, err
	}
	rows := endpointRows(view, e.Network)
	i := slices.IndexFunc(rows, func(row endpointRow) bool { return row.ID == e.ID && row.NetworkID == e.Network })
	return rows[i], nil
}
