package agent

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// Counters is the traffic of one endpoint since its link was made.
type Counters struct {
	// FromPackets and FromBytes came from the container, ToPackets and ToBytes
	// went to it, as its link counts them.
	FromPackets uint64 `json:"from_packets"`
	FromBytes   uint64 `json:"from_bytes"`
	ToPackets   uint64 `json:"to_packets"`
	ToBytes     uint64 `json:"to_bytes"`
	// LinkDrops are packets that the link itself dropped.
	LinkDrops uint64 `json:"link_drops"`
	// Spoofed are packets from the container that SpoofGuard dropped, because
	// source addresses were not its own.
	Spoofed uint64 `json:"spoofed"`
}

// FlowFilter narrows a list of flows. Empty fields do not narrow.
type FlowFilter struct {
	// Network is a network's name or ID.
	Network string `json:"network,omitempty"`
	// Table is a table's name or number.
	Table string `json:"table,omitempty"`
}

// FlowLine is one flow as `ovsnet flows ls -o json` prints it.
type FlowLine struct {
	// Table and TableName say where it is.
	Table     flows.TableID `json:"table"`
	TableName string        `json:"table_name"`
	Priority  uint16        `json:"priority"`
	Match     string        `json:"match"`
	Actions   string        `json:"actions"`
	// Cookie is in hex.
	Cookie string `json:"cookie"`
	// Packets and Bytes matched since the flow was added, Age seconds ago.
	Packets uint64  `json:"packets"`
	Bytes   uint64  `json:"bytes"`
	Age     float64 `json:"age_seconds"`
	// Rule is the kind of flow; "foreign" for one that is not ovsnet's.
	Rule string `json:"rule"`
	// Network, Endpoint and Node are the IDs and names it follows from.
	Network  string `json:"network"`
	Endpoint string `json:"endpoint"`
	Node     string `json:"node"`
	// Reason says in a line what the flow is for.
	Reason string `json:"reason"`
	// State is "installed", "missing" for a desired flow that OVS does not have,
	// "altered" where its actions or cookie differ, "vanishing" for one of ours
	// that is no longer desired, or "foreign".
	State string `json:"state"`
}

// FlowLines joins what is installed with what is desired.
func FlowLines(node string, route flows.Route, s State, installed []flows.Installed, filter FlowFilter) ([]FlowLine, error) {
	snapshot := s.Applied
	if snapshot == nil {
		snapshot = overlay.NewSnapshot()
	}
	network, err := filter.check(snapshot)
	if err != nil {
		return nil, err
	}
	table, _ := flows.ParseTable(filter.Table)
	missing := map[flows.Key]flows.Flow{}
	for _, f := range flows.Compile(snapshot, flows.Host{Node: node, Tunnel: s.Observed.Tunnel, Ports: s.Ports}, route) {
		missing[f.Key] = f
	}
	lines := []FlowLine{}
	for _, f := range installed {
		want, desired := missing[f.Key]
		if desired = desired && f.Unread == nil; desired {
			delete(missing, f.Key)
		}
		lines = append(lines, newLine(f, want, desired, snapshot))
	}
	for _, f := range missing {
		line := newLine(flows.Installed{Flow: f}, f, true, snapshot)
		line.State = "missing"
		lines = append(lines, line)
	}
	lines = slices.DeleteFunc(lines, func(l FlowLine) bool {
		return network != "" && l.Network != network || filter.Table != "" && l.Table != table
	})
	slices.SortFunc(lines, func(a, b FlowLine) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(b.Priority, a.Priority), strings.Compare(a.Match, b.Match))
	})
	return lines, nil
}

// check refuses a filter that names nothing, and returns the network's ID.
func (f FlowFilter) check(s *overlay.Snapshot) (string, error) {
	if _, ok := flows.ParseTable(f.Table); f.Table != "" && !ok {
		var names []string
		for _, t := range flows.Tables() {
			names = append(names, t.String())
		}
		return "", overlay.Refuse(overlay.Missing, fmt.Sprintf("table %q", f.Table), "use one of "+strings.Join(names, ", "), "no such table")
	}
	if f.Network == "" {
		return "", nil
	}
	if n, ok := s.NetworkNamed(f.Network); ok {
		return n.ID, nil
	}
	if n, ok := s.Network(f.Network); ok {
		return n.ID, nil
	}
	return "", overlay.Refuse(overlay.Missing, fmt.Sprintf("network %q", f.Network), "see ovsnet network ls", "no such network")
}

// newLine describes an installed flow; want is the desired one of its key.
func newLine(f flows.Installed, want flows.Flow, desired bool, s *overlay.Snapshot) FlowLine {
	line := FlowLine{
		Table: f.Table, TableName: f.Table.String(), Priority: f.Priority, Match: fmt.Sprint(f.Match), Actions: fmt.Sprint(f.Actions),
		Cookie: fmt.Sprintf("%#x", f.Cookie), Packets: f.Packets, Bytes: f.Bytes, Age: f.Duration.Seconds(),
		Rule: want.Why.Rule.String(), Network: want.Why.Network, Endpoint: want.Why.Endpoint, Node: want.Why.Node, State: "installed",
	}
	switch {
	case desired:
		line.Reason = flows.Reason(want, s)
		if f.Actions != want.Actions || f.Cookie != want.Cookie {
			line.State = "altered"
			line.Reason += " — altered, should be " + fmt.Sprint(want.Actions)
		}
	case flows.Ours(f.Cookie):
		line.Rule, line.State = flows.RuleOf(f.Cookie).String(), "vanishing"
		line.Reason = "no longer wanted: " + flows.Reason(flows.Flow{Why: flows.Why{Rule: flows.RuleOf(f.Cookie)}}, s)
	default:
		line.Rule, line.State, line.Reason = "foreign", "foreign", "not ovsnet's"
	}
	if f.Unread != nil {
		line.Match, line.Actions = "?", f.String()
		line.Reason = fmt.Sprintf("not ovsnet's, and not understood: %s", f.Unread.Cause)
	}
	return line
}

// Spoofed counts the packets from an endpoint that SpoofGuard dropped.
func Spoofed(node string, route flows.Route, s State, installed []flows.Installed, e overlay.Endpoint) uint64 {
	if s.Applied == nil {
		return 0
	}
	drops := map[flows.Key]bool{}
	for _, f := range flows.OfNetwork(s.Applied, flows.Host{Node: node, Tunnel: s.Observed.Tunnel, Ports: s.Ports}, route, e.Network, e.ID) {
		if f.Why.Rule == flows.Spoofed {
			drops[f.Key] = true
		}
	}
	var sum uint64
	for _, f := range installed {
		if drops[f.Key] {
			sum += f.Packets
		}
	}
	return sum
}
