package figures

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProfileTables(t *testing.T) {
	p := Profile{Datapath{Contenders: []string{"raw", Subject},
		Figures: []*Figure{{Name: "udp64", Summary: map[string]Summary{"raw": {Median: 20000}, Subject: {Median: 10000}}},
			{Name: "tcp1", Summary: map[string]Summary{"raw": {Median: 2}, Subject: {Median: 1}}},
			{Name: "rr50", Summary: map[string]Summary{"raw": {Median: 170}, Subject: {Median: 220}}}},
		Profiles: map[string]string{
			"udp64 raw":    "    10.00%  [k] nft_do_chain    -  -\n    30.00%  [.] runtime.futex  -  -\n",
			"udp64 ovsnet": "    20.00%  [k] masked_flow_lookup  -\n     5.00%  [k] __ip_make_skb  -\n     5.00%  [k] finish_task_switch.isra.0\n",
			"tcp1 raw":     "1.00%  [k] tcp_ack\n", "tcp1 ovsnet": "1.00%  [k] tcp_ack\n", "rr raw": "1.00%  [k] tcp_ack\n",
		}}}
	tables := p.Tables()
	if len(tables) != 2 {
		t.Fatalf("%d tables, with one measure that has no profile of ovsnet", len(tables))
	}
	if diff := cmp.Diff([]string{"all", "4.00", "8.00"}, tables[0].Rows[10]); diff != "" {
		t.Error(diff)
	}
	want := [][]string{
		{"programs", "15.00", "0.00"},
		{"Open vSwitch, tunnel, veth", "0.00", "20.00"},
		{"netfilter: nft, connection tracking", "5.00", "0.00"},
		{"IP, routes, the underlay's bridge", "0.00", "5.00"},
		{"devices and their queues", "0.00", "0.00"},
		{"TCP, UDP, sockets, buffers", "0.00", "0.00"},
		{"copying, clearing", "0.00", "0.00"},
		{"nothing to do", "0.00", "0.00"},
		{"other kernel functions", "0.00", "5.00"},
		{"below the first lines", "30.00", "70.00"},
		{"all", "50.00", "100.00"},
	}
	if diff := cmp.Diff(want, tables[1].Rows); diff != "" {
		t.Error(diff)
	}
}
