package journey_test

import (
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
)

var update = flag.Bool("update", false, "write the golden files anew")

// cookieOf is what a flow's line needs for being one of ovsnet's.
func cookieOf(rule flows.Rule, network, endpoint, node string) string {
	return strings.TrimSuffix(strings.SplitN(flows.Flow{Cookie: flows.Why{Rule: rule, Network: network, Endpoint: endpoint, Node: node}.Cookie()}.String(), " ", 2)[0], ",")
}

// story is one trace: what is wrong, who sends to whom, and what it comes to.
type story struct {
	name, from, to string
	wish           journey.Wish
	fault          func(t *testing.T, w *world)
	outcome        journey.Outcome
	// agreed and checked are the verdict's; said is in one of its causes, or in its
	// text where there is none.
	agreed, checked bool
	said            string
}

const toWeb2 = "table=60,priority=100,metadata=0x1000,dl_dst=02:42:0a:0a:00:03"

func toWeb2With(actions string) string {
	return cookieOf(flows.ToRemote, "web", "web-2", "h2") + ", " + toWeb2 + " actions=" + actions
}

func stories() []story {
	return []story{
		{"across-hosts", "web-1", "web-2", journey.Wish{DPort: 443}, nil, journey.Delivered, true, true, "delivered to web-2 (10.10.0.3) in web, on h2"},
		{"within-a-host", "web-1", "web-4", journey.Wish{}, nil, journey.Delivered, true, true, "delivered to web-4"},
		{"arp", "web-1", "web-2", journey.Wish{Proto: "arp"}, nil, journey.Answered, true, true, "10.10.0.3 is at 02:42:0a:0a:00:03, which is web-2"},
		{"nd", "web-1", "web-2", journey.Wish{Proto: "nd"}, nil, journey.Dropped, true, true, "ovsnet's networks carry IPv4 and ARP, and no IPv6: nobody answers neighbour discovery"},
		{"different-networks", "web-1", "db-1", journey.Wish{}, nil, journey.Dropped, true, true, "web-1 is in network web and db-1 in db"},
		{"spoofed-source", "web-1", "web-2", journey.Wish{Proto: "udp", SrcAddr: netip.MustParseAddr("10.10.0.99")}, nil, journey.Dropped, true, true, "source address 10.10.0.99 is not the endpoint's (10.10.0.2)"},
		{"spoofed-mac", "web-1", "web-2", journey.Wish{SrcMAC: overlay.MAC{2, 0, 0, 0, 0, 9}}, nil, journey.Dropped, true, true, "speaks for 02:00:00:00:00:09"},
		{"deleted-unicast", "web-1", "web-2", journey.Wish{}, func(t *testing.T, w *world) { w.change(t, "h1", toWeb2) },
			journey.Dropped, false, true, `on h1 in Forward: flow missing: "through the tunnel to web-2`},
		{"deleted-arp-answer", "web-1", "web-2", journey.Wish{}, func(t *testing.T, w *world) {
			w.change(t, "h1", "table=40,priority=100,arp,metadata=0x1000,arp_tpa=10.10.0.3")
		}, journey.Dropped, false, true, `on h1 in ArpResponder: flow missing: "ARP answer for web-2`},
		{"wrong-tun-dst", "web-1", "web-2", journey.Wish{}, func(t *testing.T, w *world) {
			w.change(t, "h1", toWeb2, toWeb2With("set_field:0x1000->tun_id,set_field:192.0.2.3->tun_dst,output:1"))
		}, journey.Dropped, false, true, `set_field:192.0.2.3->tun_dst,output:1; it should do set_field:0x1000->tun_id,set_field:192.0.2.2->tun_dst`},
		{"no-such-tun-dst", "web-1", "web-2", journey.Wish{}, func(t *testing.T, w *world) {
			w.change(t, "h1", toWeb2, toWeb2With("set_field:0x1000->tun_id,set_field:192.0.2.77->tun_dst,output:1"))
		}, journey.Dropped, false, true, `flow altered: "through the tunnel to web-2`},
		{"wrong-vni", "web-1", "web-2", journey.Wish{}, func(t *testing.T, w *world) {
			w.change(t, "h1", toWeb2, toWeb2With("set_field:0x1234->tun_id,set_field:192.0.2.2->tun_dst,output:1"))
		}, journey.Dropped, false, true, `does set_field:0x1234->tun_id`},
		{"another-networks-vni", "web-1", "web-2", journey.Wish{}, func(t *testing.T, w *world) {
			w.change(t, "h1", toWeb2, toWeb2With("set_field:0x1001->tun_id,set_field:192.0.2.2->tun_dst,output:1"))
		}, journey.Dropped, false, true, `does set_field:0x1001->tun_id`},
		{"peer-missing", "web-1", "web-2", journey.Wish{}, func(t *testing.T, w *world) {
			w.change(t, "h2", "table=0,priority=100,tun_src=192.0.2.1")
		}, journey.Dropped, false, true, `on h2 in Classify: flow missing: "tunnel packets from h1"`},
		{"foreign-drop", "web-1", "web-2", journey.Wish{}, func(t *testing.T, w *world) {
			w.change(t, "h2", "", "table=60,priority=999,ip actions=drop")
		}, journey.Dropped, false, true, "on h2 in Forward: foreign flow: one that is not ovsnet's (priority 999, ip)"},
		{"left-over", "web-1", "web-2", journey.Wish{}, func(t *testing.T, w *world) {
			w.change(t, "h1", "", cookieOf(flows.ToLocal, "web", "gone", "h1")+", table=60,priority=110,metadata=0x1000/0xffffff,dl_dst=02:42:0a:0a:00:03 actions=output:9")
		}, journey.Dropped, false, true, "on h1 in Forward: flow left over"},
		{"rewritten", "web-1", "web-2", journey.Wish{}, func(t *testing.T, w *world) {
			w.change(t, "h1", toWeb2, toWeb2With("set_field:0x1000->tun_id,set_field:192.0.2.2->tun_dst,set_field:10.10.0.7->ip_src,output:1"))
		}, journey.Delivered, false, true, "flow altered"},
		{"wrong-arp-answer", "web-1", "web-2", journey.Wish{Proto: "arp"}, func(t *testing.T, w *world) {
			key := "table=40,priority=100,arp,metadata=0x1000,arp_tpa=10.10.0.3,arp_op=1"
			w.change(t, "h1", key, cookieOf(flows.ARPAnswer, "web", "web-2", "h2")+", "+key+
				" actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:2->arp_op,move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],set_field:02:00:00:00:00:07->arp_sha,set_field:10.10.0.3->arp_spa,IN_PORT")
		}, journey.Dropped, false, true, "flow altered"},
		{"tunnel-has-no-route", "web-1", "web-2", journey.Wish{}, func(_ *testing.T, w *world) {
			w.hosts["h1"].warnings = []string{"native tunnel routing failed"}
		}, journey.Dropped, false, true, "Open vSwitch does not send what the flows say: native tunnel routing failed"},
		{"no-tunnel-port", "web-1", "web-2", journey.Wish{}, func(_ *testing.T, w *world) {
			h := w.hosts["h1"]
			h.bridge.Host.Tunnel, h.bridge.TunnelError = 0, "could not add network device ovsnet-vxlan to ofproto (File exists)"
			h.installed = flows.Compile(w.snapshot, h.bridge.Host, h.bridge.Route)
		}, journey.Dropped, true, true, "on h1: the host has no tunnel port: could not add network device"},
		{"receiver-without-port", "web-1", "web-2", journey.Wish{}, func(_ *testing.T, w *world) {
			h := w.hosts["h2"]
			delete(h.bridge.Host.Ports, "web-2")
			h.installed = flows.Compile(w.snapshot, h.bridge.Host, h.bridge.Route)
		}, journey.Dropped, true, true, "web-2 (10.10.0.3) in web, on h2 has no port on the bridge there"},
		{"narrow-underlay", "web-1", "web-2", journey.Wish{}, func(t *testing.T, w *world) { w.narrow(t, "web", 1450, "h2", 1350) },
			journey.Delivered, true, true, "on h2: the underlay carries packets of up to 1350 bytes, and network web has MTU 1450"},
		{"narrow-elsewhere", "web-1", "web-4", journey.Wish{}, func(t *testing.T, w *world) { w.narrow(t, "web", 1450, "h2", 1350) },
			journey.Delivered, true, true, "delivered to web-4 (10.10.0.5) in web, on h1"},
		{"broadcast", "web-1", "web-2", journey.Wish{Proto: "udp", DstMAC: overlay.MAC{255, 255, 255, 255, 255, 255}}, nil, journey.Delivered, true, true, "delivered to web-2"},
		{"unknown-mac", "web-1", "web-2", journey.Wish{DstMAC: overlay.MAC{2, 0x42, 10, 10, 0, 99}}, nil, journey.Dropped, true, true, "nobody has 02:42:0a:0a:00:63"},
		{"receiver-silent", "web-1", "web-2", journey.Wish{}, func(_ *testing.T, w *world) { w.hosts["h2"].silent = errStopped },
			journey.Delivered, true, false, "as far as is known, delivered to web-2"},
		{"sender-silent", "web-2", "web-1", journey.Wish{}, func(_ *testing.T, w *world) { w.hosts["h2"].silent = errStopped },
			journey.Delivered, true, false, "as far as is known, delivered to web-1"},
		{"ovs-away", "web-1", "web-2", journey.Wish{}, func(_ *testing.T, w *world) {
			w.hosts["h1"].away = errors.New("ovs-vswitchd: bridge br-ovsnet does not answer; is it running, with that bridge?")
		}, journey.Delivered, true, false, "as far as is known, delivered to web-2"},
	}
}

// Every story is told as its golden files say: as people read it, and with all
// that either engine said.
func TestStories(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			w := newWorld(t)
			if s.fault != nil {
				s.fault(t, w)
			}
			told, err := w.walker().Trace(t.Context(), w.endpoint(s.from), w.endpoint(s.to), s.wish)
			if err != nil {
				t.Fatal(err)
			}
			v := told.Verdict
			if v.Outcome != s.outcome || v.Agreed != s.agreed || v.Checked != s.checked || !strings.Contains(v.Text+"\n"+strings.Join(v.Causes, "\n"), s.said) {
				t.Errorf("verdict %+v, want %s with agreed %v and checked %v and %q", v, s.outcome, s.agreed, s.checked, s.said)
			}
			var text strings.Builder
			for _, style := range []journey.Style{{}, {Wide: true}} {
				if err := told.WriteText(&text, style); err != nil {
					t.Fatal(err)
				}
				if !style.Wide {
					text.WriteString("\n==== wide ====\n\n")
				}
			}
			golden(t, s.name+".golden", text.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s is not as before (%v); renew with -update and look at the difference:\n%s", path, err, got)
	}
}

// What programs read of a trace has its documented fields, and lists are never
// null.
func TestJSON(t *testing.T) {
	w := newWorld(t)
	told, err := w.walker().Trace(t.Context(), w.endpoint("web-1"), w.endpoint("web-2"), journey.Wish{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(told, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "null") {
		t.Errorf("a null in\n%s", text)
	}
	golden(t, "across-hosts.json", string(text)+"\n")
}

func TestColorsOnlyWhereWished(t *testing.T) {
	w := newWorld(t)
	w.change(t, "h1", toWeb2)
	told, err := w.walker().Trace(t.Context(), w.endpoint("web-1"), w.endpoint("web-2"), journey.Wish{})
	if err != nil {
		t.Fatal(err)
	}
	for _, color := range []bool{true, false} {
		var text strings.Builder
		if err := told.WriteText(&text, journey.Style{Color: color}); err != nil || strings.Contains(text.String(), "\x1b[") != color {
			t.Errorf("colour %v: %v\n%s", color, err, text.String())
		}
	}
}
