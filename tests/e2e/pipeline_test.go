package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// testPipelinePage: docs/pipeline.md shows a real host's flows, each with what it does and what for, and real traces of
// what becomes of packets.
func testPipelinePage(t *testing.T, h *lab.Host, one, near, two container) {
	// The agents of both hosts tell of them, and learn names from etcd.
	for _, node := range []string{"h1", "h2"} {
		eventually(t, node+" knows all containers by their names", func() (string, bool) {
			text := run(t, h, "ovsnet", "flows", "ls", "--node", node)
			return text, !slices.ContainsFunc([]container{one, near, two}, func(c container) bool { return !strings.Contains(text, " "+c.name+" ("+c.addr+")") })
		})
	}
	p := newPage("pipeline.md")
	told := explanations(t, h)
	tunnel := query[agent.Status](t, h, "status").OVS.TunnelPort
	p.parts["the map"] = "\n```mermaid\n" + pipelineMap(told, tunnel) + "```\n\n"
	for _, table := range flows.Tables() {
		p.parts["table "+table.String()] = tableText(told, table)
	}
	for name, args := range map[string]string{
		"ARP":                     "one two --proto arp",
		"unicast on one host":     "one near",
		"unicast to another host": "one two --dport 80",
		"broadcast":               "one two --proto udp --dport 5353 --to-mac ff:ff:ff:ff:ff:ff",
		"forged source":           "one two --from-ip 10.80.0.99",
		"unknown destination":     "one two --to-mac 02:42:0a:50:00:63",
	} {
		p.parts[name] = block(typed(t, h, "ovsnet flows trace "+args))
	}
	p.hold(t)
}

// explanations are the host's flows in the order in which people read them.
func explanations(t *testing.T, h *lab.Host) []inspect.Explanation {
	t.Helper()
	told := decoded[[]inspect.Explanation](t, h, "sh", "-c", "ovs-ofctl -O OpenFlow15 dump-flows br-ovsnet | ovsnet flows explain -o json")
	place := map[string]int{}
	for i, f := range query[[]inspect.Line](t, h, "flows", "ls") {
		place[fmt.Sprint(f.Table, f.Priority, f.Match)] = i
	}
	slices.SortFunc(told, func(a, b inspect.Explanation) int {
		return place[fmt.Sprint(a.Table, a.Priority, a.Match)] - place[fmt.Sprint(b.Table, b.Priority, b.Match)]
	})
	return told
}

// tableText tells a table's flows one by one.
func tableText(told []inspect.Explanation, table flows.TableID) string {
	text := "\n"
	for _, e := range told {
		if e.Table != table {
			continue
		}
		match, actions := e.Match, e.Actions
		if match == "" {
			match = "every packet"
		}
		if actions == "" {
			actions = "drop"
		}
		text += fmt.Sprintf("**%s**\n\n    priority %d: %s\n    actions: %s\n\n- %s\n- *Why:* %s\n- *Without it* %s\n\n", e.Reason, e.Priority, match, actions, e.Does, e.Why, e.Without)
	}
	return text
}

// pipelineMap draws, for Mermaid, which tables lead to which by flows of what rules.
func pipelineMap(told []inspect.Explanation, tunnel uint32) string {
	type edge struct{ from, to string }
	var edges []edge
	rules := map[edge][]string{}
	lead := func(from, to, rule string) {
		e := edge{from, to}
		if rules[e] == nil {
			edges = append(edges, e)
		}
		if !slices.Contains(rules[e], rule) {
			rules[e] = append(rules[e], rule)
		}
	}
	text := "flowchart TD\n    port([a container's port])\n    tunnel([the tunnel])\n    receiver([a container's port])\n    away([the tunnel])\n"
	for _, t := range flows.Tables() {
		text += fmt.Sprintf("    %s[\"%d %s: %s\"]\n", t, t, t, t.Meaning())
	}
	for _, e := range told {
		at := e.TableName
		if e.Drops {
			lead(at, "drop"+at, e.Rule)
		}
		for step := range strings.SplitSeq(e.Actions, ",") {
			switch verb, target, _ := strings.Cut(step, ":"); {
			case verb == "goto_table":
				to, _ := flows.ParseTable(target)
				lead(at, to.String(), e.Rule)
			case step == "IN_PORT":
				lead(at, "port", e.Rule)
			case step == fmt.Sprintf("output:%d", tunnel):
				lead(at, "away", e.Rule)
			case verb == "output":
				lead(at, "receiver", e.Rule)
			}
		}
	}
	text += "    port --> Classify\n    tunnel --> Classify\n"
	for _, e := range edges {
		target, arrow := e.to, "-->"
		if strings.HasPrefix(target, "drop") {
			target, arrow = target+"((drop))", "-.->"
		}
		text += fmt.Sprintf("    %s %s|%s| %s\n", e.from, arrow, strings.Join(rules[e], ", "), target)
	}
	return text
}
