package figures

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProfileTables(t *testing.T) {
	p := Profile{Datapath{Contenders: []string{"raw", Subject},
		Figures: []*Figure{{Name: "udp64", Summary: map[string]Summary{"raw": {Median: 20000}, Subject: {Median: 10000}}}},
		Profiles: map[string]string{
			"udp64 raw":    "    10.00%  [k] nft_do_chain    -  -\n    30.00%  [.] runtime.futex  -  -\n",
			"udp64 ovsnet": "    20.00%  [k] masked_flow_lookup  -\n     5.00%  [k] __ip_make_skb  -\n     5.00%  [k] finish_task_switch.isra.0\n",
		}}}
	tables := p.Tables()
	if len(tables) != 1 {
		t.Fatalf("%d tables", len(tables))
	}
	want := [][]string{
		{"programs", "15.00", "0.00"},
		{"Open vSwitch, tunnel, veth", "0.00", "20.00"},
		{"netfilter: nft, connection tracking", "5.00", "0.00"},
		{"IP, routes, the underlay's bridge", "0.00", "5.00"},
		{"TCP, UDP, sockets, buffers", "0.00", "0.00"},
		{"devices and their queues", "0.00", "0.00"},
		{"copying, clearing", "0.00", "0.00"},
		{"nothing to do", "0.00", "0.00"},
		{"other kernel functions", "0.00", "5.00"},
		{"below the first lines", "30.00", "70.00"},
		{"all", "50.00", "100.00"},
	}
	if diff := cmp.Diff(want, tables[0].Rows); diff != "" {
		t.Error(diff)
	}
}
