package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// Flows that somebody deletes, alters or adds by hand: traffic goes on, and status and metrics tell.
func TestDriftHeals(t *testing.T) {
	p := newPair(t, lab.Options{})
	h := p.lab.Host(1)
	p.reach(t)
	p.settled(t)
	drift := func() agent.DriftStatus { s, _ := statusOf(t, h); return s.Drift }
	ofctl := func(verb, flow string) { run(t, h, "ovs-ofctl", "-O", "OpenFlow15", verb, bridge, flow) }
	var remote flows.Installed
	for _, f := range installed(t, h) {
		if flows.Ours(f.Cookie) && flows.RuleOf(f.Cookie) == flows.ToRemote {
			remote = f
		}
	}
	for name, meddle := range map[string]func(){
		"deleted": func() { ofctl("del-flows", remote.Where().String()) },
		"altered": func() { ofctl("mod-flows", remote.Where().String()+",actions=drop") },
		"taken":   func() { ofctl("add-flow", fmt.Sprintf("cookie=5,%s,actions=drop", remote.Key)) },
		"emptied": func() { run(t, h, "ovs-ofctl", "del-flows", bridge) },
	} {
		var before uint64
		eventually(t, "the agent says how much it repaired", func() (string, bool) {
			s, said := statusOf(t, h)
			before = s.Drift.Repaired
			return said, s.Node != ""
		})
		meddle()
		eventually(t, "the flow that was "+name+" is back", func() (string, bool) {
			d := drift()
			return fmt.Sprintf("%+v", d), d.Repaired > before
		})
		p.settled(t)
		p.reach(t)
	}
	ofctl("add-flow", "cookie=5,table=0,priority=7,tcp,tp_dst=81,actions=drop")
	eventually(t, "status tells of the foreign flow", func() (string, bool) {
		out, err := try(t, h, "ovsnet", "status")
		return out, err == nil && strings.Contains(out, "tp_dst=81") && strings.Contains(out, "1 foreign flows here")
	})
	out := run(t, h, "ovsnet", "metrics")
	for _, line := range []string{"ovsnet_foreign_flows 1", "ovsnet_flow_monitor_up 1"} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("metrics do not say %q:\n%s", line, out)
		}
	}
	restartAgent(t, h, lab.AgentOptions{Env: []string{"OVSNET_FOREIGN_FLOWS=remove"}}, true)
	eventually(t, "the foreign flow is removed", func() (string, bool) {
		d := drift()
		return fmt.Sprintf("%+v", d), d.Removed == 1 && d.ForeignFlows == 0
	})
	p.settled(t)
}
