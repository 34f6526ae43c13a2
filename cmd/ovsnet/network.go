package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/store"
)

// networkRow is a network as `ovsnet network ls -o json` prints it.
type networkRow struct {
	// ID, Name and VNI are unique in the cluster.
	ID   string `json:"id"`
	Name string `json:"name"`
	VNI  uint32 `json:"vni"`
	// Space is the address space its subnets are claimed in.
	Space   string           `json:"space"`
	Subnets []overlay.Subnet `json:"subnets"`
	// MTU is what containers' links get.
	MTU int `json:"mtu"`
	// Internal networks have no way out; Durable ones stay without hosts.
	Internal bool      `json:"internal"`
	Durable  bool      `json:"durable"`
	Created  time.Time `json:"created"`
	// Endpoints counts all of them; Hosts are the hosts whose Docker has the network.
	Endpoints int          `json:"endpoints"`
	Hosts     []networkUse `json:"hosts"`
}

// networkUse is one host's use of a network.
type networkUse struct {
	Node string `json:"node"`
	// DockerNetwork is Docker's ID of the network on that host.
	DockerNetwork string `json:"docker_network"`
	Endpoints     int    `json:"endpoints"`
}

func networkRows(view store.View) []networkRow {
	uses := map[string][]networkUse{}
	for a := range view.Snapshot.Attachments() {
		uses[a.Network] = append(uses[a.Network], networkUse{Node: a.Node, DockerNetwork: a.DockerNetwork})
	}
	rows := []networkRow{}
	for n := range view.Snapshot.Networks() {
		row := networkRow{
			ID: n.ID, Name: n.Name, VNI: n.VNI, Space: n.Space, Subnets: n.Subnets, MTU: n.MTU, Internal: n.Internal,
			Durable: n.Durable, Created: n.Created, Endpoints: view.Snapshot.EndpointCount(n.ID), Hosts: append([]networkUse{}, uses[n.ID]...),
		}
		for host, count := range view.Snapshot.MemberHosts(n.ID) {
			for i := range row.Hosts {
				if row.Hosts[i].Node == host {
					row.Hosts[i].Endpoints = count
				}
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func networkCommand() *cli.Command {
	flags := append(etcdFlags(), outputFlag())
	return &cli.Command{
		Name: "network", Usage: "the networks of the cluster",
		Subcommands: []*cli.Command{
			{Name: "ls", Usage: "list networks", Flags: flags, Action: withView(listNetworks)},
			{Name: "inspect", Usage: "show one network and its hosts", ArgsUsage: "NETWORK", Flags: flags, Action: withView(inspectNetwork, "NETWORK")},
			{
				Name: "create", Usage: "make a network that stays until removed, before any Docker host uses it", ArgsUsage: "NAME",
				Flags: append(flags,
					&cli.StringFlag{Name: "subnet", Usage: "IPv4 `SUBNET`, which must be given"},
					&cli.StringFlag{Name: "gateway", Usage: "gateway `ADDRESS`; the first of the subnet if left out"},
					&cli.UintFlag{Name: "vni", Usage: "VXLAN network identifier `N`, 1 to 16777215; chosen if left out"},
					&cli.IntFlag{Name: "mtu", Usage: "MTU of the containers' links; if left out what every host's underlay carries, or 1450 without hosts"},
					&cli.BoolFlag{Name: "internal", Usage: "no way out of the overlay through the hosts"},
					&cli.BoolFlag{Name: "default-space", Usage: "claim the subnet in the default address space, so that Docker hosts join by naming the subnet alone"},
				),
				Action: withStore(createNetwork),
			},
			{Name: "rm", Usage: "remove a network without endpoints", ArgsUsage: "NETWORK", Flags: etcdFlags(), Action: withStore(removeNetwork)},
		},
	}
}

func listNetworks(_ context.Context, c *cli.Context, view store.View) error {
	return printList(c, networkRows(view), []column[networkRow]{
		{title: "name", cell: func(n networkRow) string { return n.Name }},
		{title: "vni", cell: func(n networkRow) string { return strconv.FormatUint(uint64(n.VNI), 10) }},
		{title: "subnet", cell: func(n networkRow) string { return subnets(n.Subnets) }},
		{title: "space", cell: func(n networkRow) string { return n.Space }},
		{title: "mtu", cell: func(n networkRow) string { return strconv.Itoa(n.MTU) }},
		{title: "hosts", cell: func(n networkRow) string { return strconv.Itoa(len(n.Hosts)) }},
		{title: "endpoints", cell: func(n networkRow) string { return strconv.Itoa(n.Endpoints) }},
		{title: "id", cell: func(n networkRow) string { return overlay.ShortID(n.ID) }},
	})
}

// findNetwork returns the network with that name, or whose ID begins so.
func findNetwork(view store.View, word string) (networkRow, error) {
	n, err := inspect.FindNetwork(view.Snapshot, word)
	if err != nil {
		return networkRow{}, err
	}
	rows := networkRows(view)
	return rows[slices.IndexFunc(rows, func(row networkRow) bool { return row.ID == n.ID })], nil
}

func inspectNetwork(_ context.Context, c *cli.Context, view store.View) error {
	n, err := findNetwork(view, c.Args().First())
	if err != nil {
		return err
	}
	fields := []field{
		{"name", n.Name}, {"id", n.ID}, {"vni", n.VNI}, {"subnet", subnets(n.Subnets)}, {"gateway", gateways(n.Subnets)},
		{"space", n.Space}, {"mtu", n.MTU}, {"internal", n.Internal}, {"durable", n.Durable},
		{"created", n.Created.Format(time.RFC3339)}, {"endpoints", n.Endpoints},
	}
	for _, h := range n.Hosts {
		fields = append(fields, field{"host " + h.Node, fmt.Sprintf("%d endpoints, Docker network %s", h.Endpoints, overlay.ShortID(h.DockerNetwork))})
	}
	return printObject(c, n, fields)
}

func createNetwork(ctx context.Context, c *cli.Context, s *store.Store) error {
	if err := exactArgs(c, "NAME"); err != nil {
		return err
	}
	n := overlay.Network{
		Name: c.Args().First(), VNI: uint32(min(c.Uint("vni"), overlay.MaxVNI+1)), Space: c.Args().First(), MTU: c.Int("mtu"),
		Internal: c.Bool("internal"), Durable: true, Created: time.Now().UTC().Truncate(time.Second),
	}
	if c.Bool("default-space") {
		n.Space = overlay.DefaultSpace
	}
	subnet, err := parseSubnet(c.String("subnet"), c.String("gateway"))
	if err != nil {
		return err
	}
	n.Subnets = []overlay.Subnet{subnet}
	view, err := s.List(ctx)
	if err != nil {
		return err
	}
	if !c.IsSet("mtu") {
		n.MTU = cmp.Or(overlay.SmallestMTU(view.Snapshot.Nodes()), 1450)
	}
	if err := n.CheckUnderlay(view.Snapshot.Nodes()); err != nil {
		return err
	}
	made, err := s.CreateNetwork(ctx, n)
	if err != nil {
		return err
	}
	if c.String("output") == "json" {
		return printJSON(c.App.Writer, made)
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s: VNI %d, subnet %s\n", made.Name, made.VNI, subnets(made.Subnets))
	return err
}

// parseSubnet reads a subnet and its gateway; without one it is the first address.
func parseSubnet(prefix, gateway string) (overlay.Subnet, error) {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return overlay.Subnet{}, overlay.Refuse(overlay.Invalid, "--subnet "+prefix, "write it as in 10.32.0.0/24", "not a subnet")
	}
	subnet := overlay.Subnet{Prefix: p, Gateway: overlay.First(p)}
	if gateway != "" {
		if subnet.Gateway, err = netip.ParseAddr(gateway); err != nil {
			return overlay.Subnet{}, overlay.Refuse(overlay.Invalid, "--gateway "+gateway, "write an address of the subnet", "not an address")
		}
	}
	return subnet, subnet.Validate()
}

func removeNetwork(ctx context.Context, c *cli.Context, s *store.Store) error {
	if err := exactArgs(c, "NETWORK"); err != nil {
		return err
	}
	if err := s.RemoveNetwork(ctx, c.Args().First()); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.App.Writer, c.Args().First())
	return err
}

func subnets(list []overlay.Subnet) string {
	var words []string
	for _, s := range list {
		words = append(words, s.Prefix.String())
	}
	return strings.Join(words, ", ")
}

func gateways(list []overlay.Subnet) string {
	var words []string
	for _, s := range list {
		if s.Gateway.IsValid() {
			words = append(words, s.Gateway.String())
		}
	}
	return orDash(strings.Join(words, ", "))
}
