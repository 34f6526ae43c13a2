package flows_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

func TestParseLine(t *testing.T) {
	got, err := flows.ParseLine("cookie=0x6f76030000000001, duration=12.5s, table=60, n_packets=3, n_bytes=294, idle_age=4, priority=100,metadata=0x1000,dl_dst=02:42:0a:00:00:02 actions=set_field:0x1000->tun_id,set_field:192.0.2.2->tun_dst,output:1")
	if err != nil {
		t.Fatal(err)
	}
	want := flows.Installed{
		Flow: flows.Flow{
			Key: flows.Key{Table: flows.Forward, Priority: 100, Match: flows.NewMatch(flows.Exact(flows.Metadata, flows.Number(0x1000)),
				flows.Exact(flows.EthDst, flows.MACValue(overlay.MAC{2, 0x42, 10, 0, 0, 2})))},
			Actions: flows.NewActions(flows.Set(flows.TunID, flows.Number(0x1000)),
				flows.Set(flows.TunDst, flows.AddrValue(netip.MustParseAddr("192.0.2.2"))), flows.Output(1)),
			Cookie: 0x6f76030000000001,
		},
		Packets: 3, Bytes: 294, Duration: 12500 * time.Millisecond, Idle: 4 * time.Second,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name, line, cause string
		column            int
	}{
		{"no actions", "cookie=0x1, table=0, priority=1", "no actions", 32},
		{"unknown field", "table=0, priority=1,nw_frag=later actions=drop", "unknown field", 21},
		{"unknown word", "table=0, priority=1,strange actions=drop", "unknown field", 21},
		{"unknown action", "table=0, priority=1 actions=drop,learn(table=1)", "unknown action", 29},
		{"unknown later action", "table=0 actions=output:1,learn(table=1,x=2)", "unknown action", 26},
		{"resubmit without table", "table=0 actions=resubmit:4", "resubmit without a table", 17},
		{"resubmit that does not end", "table=0 actions=resubmit(,4", "cannot be written", 17},
		{"drop with argument", "table=0 actions=drop:1", "unknown action", 17},
		{"table out of range", "table=256 actions=drop", "no number", 1},
		{"value out of range", "table=1,reg0=0x100000000 actions=drop", "does not fit", 9},
		{"negative time", "duration=-1s, table=0 actions=drop", "no time", 1},
		{"endless time", "duration=1e300s, table=0 actions=drop", "no time", 1},
		{"protocol twice", "table=0, ip,ip actions=drop", "twice", 13},
		{"two protocols", "table=0, ip,arp actions=drop", "twice", 13},
		{"field twice", "table=0, in_port=1,in_port=2 actions=drop", "twice", 20},
		{"protocol with value", "table=0, ip=4 actions=drop", "unknown field", 10},
		{"field without value", "table=0, in_port actions=drop", "unknown field", 10},
		{"field with empty value", "table=0, in_port= actions=drop", "no OpenFlow port", 10},
		{"IPv6 in an IPv4 field", "table=0, nw_src=::1 actions=drop", "no address", 10},
		{"prefix too long", "table=0, nw_src=10.0.0.0/33 actions=drop", "beyond", 10},
		{"bad MAC", "table=0, dl_src=02:42 actions=drop", "not an Ethernet address", 10},
		{"set of what cannot be set", "table=0 actions=set_field:1->in_port", "unknown field", 17},
		{"move of a part", "table=0 actions=move:NXM_OF_ETH_SRC[0..3]->NXM_OF_ETH_DST[]", "unknown field", 17},
		{"move to another width", "table=0 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_IP_DST[]", "width", 17},
		{"empty actions", "table=0 actions=", "unknown action", 17},
		{"trailing comma", "table=0 actions=output:1,", "unknown action", 26},
		{"error message", "ovs-ofctl: br0 is not a bridge or a socket", "unknown field", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := flows.ParseDump(strings.NewReader("\n" + tt.line + "\n"))
			var syntax *flows.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("error %v, want a *SyntaxError", err)
			}
			if !strings.Contains(syntax.Cause, tt.cause) || syntax.Line != 2 || syntax.Text != tt.line || syntax.Column != tt.column {
				t.Errorf("error %v, line %d, column %d", err, syntax.Line, syntax.Column)
			}
		})
	}
}

// Whatever a dump may contain means the same when it is written and read again.
func FuzzParseLine(f *testing.F) {
	f.Add("cookie=0x6f76030000000001, duration=12.5s, table=60, n_packets=3, n_bytes=294, idle_age=4, priority=100,metadata=0x1000/0xffffff,dl_dst=02:42:0a:00:00:02 actions=output:1")
	f.Add("table=70, priority=110,reg0=0x1,metadata=0x1000 actions=set_field:192.0.2.2->tun_dst,output:1,set_field:0x1->reg0,resubmit(,70)")
	f.Add("table=0, priority=0 actions=drop")
	f.Add("priority=1,arp,arp_tpa=10.0.0.2 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],IN_PORT")
	f.Add("idle_timeout=60, send_flow_rem udp,tp_dst=0x10/0xff,nw_src=10.0.0.0/255.0.255.0 actions=CONTROLLER:65535,NORMAL")
	f.Add("icmp6,ipv6_src=fd00::/16,ipv6_dst=::ffff:1.2.3.4,nd_target=fd00::5,vlan_tci=0x0000/0x1fff,in_port=LOCAL actions=write_metadata:0x5/0xff,goto_table:7")
	f.Fuzz(func(t *testing.T, line string) {
		first, err := flows.ParseLine(line)
		if err != nil {
			return
		}
		text := first.String()
		second, err := flows.ParseLine(text)
		if err != nil {
			t.Fatalf("%q parsed, %q does not: %v", line, text, err)
		}
		if second.Key != first.Key || second.Actions != first.Actions || second.Cookie != first.Cookie {
			t.Fatalf("%q became %q", text, second)
		}
	})
}

// A match says what it means, in whatever order its conditions came.
func TestMatchIsCanonical(t *testing.T) {
	a, err := flows.ParseLine("arp,arp_tpa=10.0.0.3,arp_op=0x1,metadata=64,dl_dst=01:00:00:00:00:01/01:00:00:00:00:00,nw_src=10.0.0.1/8 actions=drop")
	if err != nil {
		t.Fatal(err)
	}
	b, err := flows.ParseLine("dl_type=0x0806,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,nw_src=10.0.0.0/255.0.0.0,metadata=0x40,arp_op=1,reg0=0/0,arp_tpa=10.0.0.3 actions=drop")
	if err != nil {
		t.Fatal(err)
	}
	if a.Match != b.Match {
		t.Errorf("%s is not %s", a.Match, b.Match)
	}
	if want := "arp,metadata=0x40,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,nw_src=10.0.0.0/8,arp_tpa=10.0.0.3,arp_op=1"; a.Match.String() != want {
		t.Errorf("written as %s, want %s", a.Match, want)
	}
}
