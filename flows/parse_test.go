package flows_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
)

func TestParseLine(t *testing.T) {
	got, err := flows.ParseLine("cookie=0x6f76030000000001, duration=12.5s, table=60, n_packets=3, n_bytes=294, idle_age=4, priority=100,metadata=0x1000,dl_dst=02:42:0a:00:00:02 actions=set_field:0x1000->tun_id,set_field:192.0.2.2->tun_dst,output:1")
	if err != nil {
		t.Fatal(err)
	}
	want := flows.Installed{
		Flow: flows.Flow{
			Key:     flows.Key{Table: flows.Forward, Priority: 100, Match: "metadata=0x1000,dl_dst=02:42:0a:00:00:02"},
			Actions: "set_field:0x1000->tun_id,set_field:192.0.2.2->tun_dst,output:1", Cookie: 0x6f76030000000001,
		},
		Packets: 3, Bytes: 294, Duration: 12500 * time.Millisecond, Idle: 4 * time.Second,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, line, cause string }{
		{"no actions", "cookie=0x1, table=0, priority=1", "no actions"},
		{"unknown field", "table=0, priority=1,nw_frag=later actions=drop", "unknown field"},
		{"unknown action", "table=0, priority=1 actions=learn(table=1)", "unknown action"},
		{"resubmit without argument", "table=0 actions=resubmit", "cannot be written"},
		{"drop with argument", "table=0 actions=drop:1", "cannot be written"},
		{"number out of range", "table=256 actions=drop", "not a number"},
		{"negative time", "duration=-1s, table=0 actions=drop", "not a number"},
		{"field twice", "table=0, ip,ip actions=drop", "twice"},
		{"keyword with value", "table=0, ip=4 actions=drop", "cannot be written"},
		{"field without value", "table=0, in_port actions=drop", "cannot be written"},
		{"empty actions", "table=0 actions=", "unknown action"},
		{"error message", "ovs-ofctl: br0 is not a bridge or a socket", "no actions"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := flows.ParseDump(strings.NewReader("\n" + tt.line + "\n"))
			var syntax *flows.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("error %v, want a *SyntaxError", err)
			}
			if !strings.Contains(syntax.Cause, tt.cause) || syntax.Line != 2 || syntax.Text != tt.line || syntax.Column < 1 || syntax.Column > len(tt.line)+1 {
				t.Errorf("error %v, line %d, column %d", err, syntax.Line, syntax.Column)
			}
		})
	}
}

// Whatever is parsed says the same when it is written and parsed again.
func FuzzParseLine(f *testing.F) {
	f.Add("cookie=0x6f76030000000001, duration=12.5s, table=60, n_packets=3, n_bytes=294, idle_age=4, priority=100,metadata=0x1000/0xffffff,dl_dst=02:42:0a:00:00:02 actions=output:1")
	f.Add("table=70, priority=110,reg1=0x1,metadata=0x1000 actions=set_field:192.0.2.2->tun_dst,output:1,set_field:0x1->reg1,resubmit(,70)")
	f.Add("table=0, priority=0 actions=drop")
	f.Add("priority=1,arp,arp_tpa=10.0.0.2 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],IN_PORT")
	f.Fuzz(func(t *testing.T, line string) {
		first, err := flows.ParseLine(line)
		if err != nil {
			return
		}
		text := string(first.Match) + " actions=" + string(first.Actions)
		second, err := flows.ParseLine(text)
		if err != nil {
			t.Fatalf("%q parsed, %q does not: %v", line, text, err)
		}
		if second.Match != first.Match || second.Actions != first.Actions {
			t.Fatalf("%q became %q %q", text, second.Match, second.Actions)
		}
	})
}
