package trace_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows/trace"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What Open vSwitch 3.1 printed is read as the file beside it says.
func TestParseOFProto(t *testing.T) {
	for _, path := range transcripts(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			read, err := trace.ParseOFProto(content(t, path))
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(path, ".trace") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(shown(read)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := shown(read), content(t, golden); got != want {
				t.Errorf("read as\n%s\nwant\n%s\nrenew with -update", got, want)
			}
		})
	}
}

func transcripts(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.trace")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	return paths
}

func content(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func shown(r trace.OFProto) string {
	var text strings.Builder
	fmt.Fprintf(&text, "bridge %s\n", r.Bridge)
	for _, s := range r.Steps {
		fmt.Fprintf(&text, "step %s\n", s)
	}
	for _, s := range r.Sends {
		fmt.Fprintf(&text, "send %s\n", showSend(s))
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(&text, "warning %s\n", w)
	}
	fmt.Fprintf(&text, "failure %q unread %q\n", r.Failure, r.Unread)
	return text.String()
}

func showSend(s trace.OFSend) string {
	text := fmt.Sprint(s.Port)
	if s.Controller {
		text = "controller"
	}
	for _, c := range s.Changes {
		text += fmt.Sprintf(" {%s}", c)
	}
	if s.Tunnel != nil {
		text += fmt.Sprintf(" to %s with VNI 0x%x", s.Tunnel.Dst, s.Tunnel.VNI)
	}
	return text
}

// with is a trace with these datapath actions.
func with(actions string) string {
	return "Flow: in_port=11\n\nbridge(\"br0\")\n-------------\n 0. priority 0\n    drop\n\nFinal flow: unchanged\nMegaflow: in_port=11\nDatapath actions: " + actions + "\n"
}

// The datapath's actions, with those of the kernel's, which no test here can
// run.
func TestDatapathActions(t *testing.T) {
	tests := []struct {
		actions string
		want    string
	}{
		{"drop", ""},
		{"5,6", "5|6"},
		{"set(tunnel(tun_id=0x1000,dst=192.0.2.2,ttl=64,tp_dst=4789,flags(df|key))),4", "4 to 192.0.2.2 with VNI 0x1000"},
		{"set(tunnel(tun_id=0x1000,ipv6_dst=2001:db8::6,ttl=64,tp_dst=4789,flags(df|key))),4", "4 to 2001:db8::6 with VNI 0x1000"},
		{"set(eth(dst=02:42:00:00:00:01/ff:ff:ff:00:00:00)),5", "5 {dl_dst=02:42:00:00:00:00/ff:ff:ff:00:00:00}"},
		{"clone(set(ipv4(dst=10.0.0.9)),5),6", "5 {nw_dst=10.0.0.9}|6"},
		{"set(ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0x21/0xff,ttl=3,frag=no)),5", "5 {nw_src=10.0.0.1} {nw_dst=10.0.0.2} {nw_proto=6} {nw_tos=0x20/0xfc} {nw_ecn=1} {nw_ttl=3}"},
		{"push_vlan(vid=100,pcp=3),5,pop_vlan,6", "5 {vlan_tci=0x7064}|6 {vlan_tci=0x7064} {vlan_tci=0x0000}"},
		{"userspace(pid=0,controller(reason=1,max_len=100)),userspace(pid=0,slow_path(action))", "controller"},
		{"trunc(100),5", "5"},
	}
	for _, tt := range tests {
		read, err := trace.ParseOFProto(with(tt.actions))
		if err != nil {
			t.Errorf("%s: %v", tt.actions, err)
		}
		var sends []string
		for _, s := range read.Sends {
			sends = append(sends, showSend(s))
		}
		if got := strings.Join(sends, "|"); got != tt.want || read.Unread != "" {
			t.Errorf("%s: read as %q (%s), want %q", tt.actions, got, read.Unread, tt.want)
		}
	}
}

func TestUnreadDatapathActions(t *testing.T) {
	for _, actions := range []string{
		"ct,recirc(0x5)", "5,hash(l4(0)),6", "set(tunnel(dst=nobody)),4", "set(tunnel(tun_id=wide)),4", "set(eth(dst=here)),5",
		"clone(5", "tnl_push(4)", "tnl_push(tnl_port(4),header(size=38,type=3,eth(),ipv4(src=1.1.1.1,dst=2.2.2.2),gre()),out_port(1))",
		"tnl_push(tnl_port(4),header(ipv4(src=1.1.1.1,dst=2.2.2),vxlan(flags=0x8000000,vni=0x1)),out_port(1))", "push_vlan(vid=x)", "5,",
	} {
		read, err := trace.ParseOFProto(with(actions))
		if err != nil || read.Unread == "" {
			t.Errorf("%q: read as %v, %v", actions, read.Sends, err)
		}
	}
}

func TestParseOFProtoRefuses(t *testing.T) {
	tests := []struct {
		text         string
		line, column int
	}{
		{"", 1, 1},
		{"Bad openflow flow syntax: in_port=zz", 1, 1},
		{"Flow: ip\n\nbridge(\"br0\")\n-------------\n 0. priority 0\n", 1, 1},
		{"bridge(\"br0\")\n300. priority 0\n" + with("drop"), 2, 1},
		{"bridge(\"br0\")\n  bridge(\"\")\n", 2, 3},
	}
	for _, tt := range tests {
		_, err := trace.ParseOFProto(tt.text)
		var syntax *trace.SyntaxError
		if !errors.As(err, &syntax) || syntax.Line != tt.line || syntax.Column != tt.column {
			t.Errorf("%q: %v, want an error at %d:%d", tt.text, err, tt.line, tt.column)
		}
	}
}

func TestParsePorts(t *testing.T) {
	text := content(t, "testdata/dpif-show.txt")
	ports, datapath, err := trace.ParsePorts(text, "br0")
	if got := fmt.Sprint(ports, datapath, err); got != "{1 [LOCAL 11 12 13 1]} map[1:1 2:LOCAL 5:11 6:12 7:13] <nil>" {
		t.Errorf("read as %s", got)
	}
	if _, _, err := trace.ParsePorts(text, "br1"); err == nil || !strings.Contains(err.Error(), "br-exists br1") {
		t.Errorf("a bridge that is not there: %v", err)
	}
}

func FuzzParseOFProto(f *testing.F) {
	for _, path := range transcripts(f) {
		f.Add(content(f, path))
	}
	f.Add(with("clone(set(ipv4(dst=10.0.0.9)),push_vlan(vid=1,pcp=2),5),set(tunnel(tun_id=0x1,dst=192.0.2.2)),4"))
	f.Fuzz(func(t *testing.T, text string) {
		read, err := trace.ParseOFProto(text)
		var syntax *trace.SyntaxError
		if err != nil && (!errors.As(err, &syntax) || syntax.Line < 1 || syntax.Line > 1+strings.Count(text, "\n") || syntax.Column < 1) {
			t.Fatalf("%v is no error with a place", err)
		}
		// Whatever was read can be compared and shown.
		for _, d := range trace.Compare(trace.Run(trace.Ports{}, nil, local()), read, trace.Datapath{5: 11}) {
			_ = d.String()
		}
	})
}

func FuzzParsePorts(f *testing.F) {
	f.Add(content(f, "testdata/dpif-show.txt"))
	f.Fuzz(func(t *testing.T, text string) {
		ports, datapath, err := trace.ParsePorts(text, "br0")
		if err == nil && (len(datapath) == 0 || len(ports.All) < len(datapath)) {
			t.Errorf("ports %v, datapath %v", ports, datapath)
		}
	})
}
