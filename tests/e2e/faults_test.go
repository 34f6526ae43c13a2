package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// fault is something that goes wrong: how, and what the trace of a packet and the diff of a host's flows say then.
type fault struct {
	// name is also that of its part of docs/faults.md, unless that leaves it untold.
	name   string
	untold bool
	// inject does it, and gives what undoes it.
	inject func(t *testing.T) (undo func())
	// args are the packet's, from one to two where they name no endpoints.
	args    []string
	outcome journey.Outcome
	status  int
	// trace are words of the verdict and its causes; diff are words of the diff, which is empty without them.
	trace, diff []string
	// before is what one had to do without ovsnet's commands, and now what is to be done with them beside trace and diff.
	before, now []string
}

// testFaults goes through the faults, at hosts whose agents are away wherever they would mend it at once.
func (w traced) testFaults(t *testing.T, l *lab.Lab) {
	p := newPage("faults.md")
	w.without(t, w.h2, func() { w.try(t, p, w.h2, w.senderFaults()) })
	w.without(t, w.h3, func() {
		w.try(t, p, w.h3, w.receiverFaults())
		w.try(t, p, w.h2, []fault{w.stoppedAgent()})
		w.try(t, p, w.h3, []fault{w.anotherPort()})
		narrow(t, l, w.h3, "1400")
	})
	w.try(t, p, w.h2, []fault{w.narrowUnderlay(), w.goneInDocker()})
	narrow(t, l, w.h3, "1500")
	// What the kernel's datapath is made of has other words here and there.
	if l.Plan.Datapath == lab.Netdev {
		p.hold(t)
	}
}

// without does something while the host's agent is away.
func (w traced) without(t *testing.T, h *lab.Host, do func()) {
	t.Helper()
	stopAgent(t, h)
	do()
	startProcess(t, h, lab.Agent, true)
	w.waitDelivered(t)
}

func (w traced) try(t *testing.T, p page, h *lab.Host, faults []fault) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			defer f.inject(t)()
			args := f.args
			if len(args) == 0 || strings.HasPrefix(args[0], "--") {
				args = append([]string{"one", "two"}, args...)
			}
			w.expect(t, h, f.outcome, f.status, f.trace, args...)
			text, err := try(t, h, "ovsnet", "flows", "diff")
			status := 0
			if f.diff != nil {
				status = 5
			}
			for _, word := range f.diff {
				if !strings.Contains(text, word) {
					t.Errorf("the diff does not say %q:\n%s", word, text)
				}
			}
			if got := exitOf(t, err); got != status || (text == "") != (status == 0) {
				t.Errorf("the diff ends with %d, want %d, and says\n%s", got, status, text)
			}
			if f.untold {
				return
			}
			var parts []string
			for _, line := range f.before {
				parts = append(parts, typed(t, h, line))
			}
			parts = append(parts, typed(t, h, "ovsnet flows trace "+strings.Join(args, " ")+" | sed -n '/^verdict/,$p'"))
			if f.diff != nil {
				f.now = append([]string{"ovsnet flows diff 2>/dev/null | grep '^#'"}, f.now...)
			}
			for _, line := range f.now {
				parts = append(parts, typed(t, h, line))
			}
			p.parts[f.name] = block(parts...)
		})
	}
}

// narrow gives the host's link to the underlay, and the device that has its VTEP address, another MTU.
func narrow(t *testing.T, l *lab.Lab, h *lab.Host, mtu string) {
	t.Helper()
	run(t, h, "ip", "link", "set", "eth0", "mtu", mtu)
	setUnderlayMTU(t, l, h, mtu)
}

// spoils changes flows of a host, and gives what changes them back.
func spoils(h *lab.Host, how func(t *testing.T, has []flows.Installed) flows.Delta) func(t *testing.T) func() {
	return func(t *testing.T) func() {
		has := installed(t, h)
		spoilt := how(t, has)
		change(t, h, spoilt)
		return func() { change(t, h, undo(has, spoilt)) }
	}
}

// loses deletes the one flow of the rule that says the word.
func loses(h *lab.Host, rule flows.Rule, word string) func(t *testing.T) func() {
	return spoils(h, func(t *testing.T, has []flows.Installed) flows.Delta {
		return flows.Delta{Delete: []flows.Key{flowOf(t, has, rule, word).Key}}
	})
}

// sendsTo alters the sender's flow for what goes to two's host.
func (w traced) sendsTo(instead string) func(t *testing.T) func() {
	return spoils(w.h2, func(t *testing.T, has []flows.Installed) flows.Delta {
		return altered(t, flowOf(t, has, flows.ToRemote, "192.0.2.3"), instead)
	})
}

// pinged is the packet in the words that ofproto/trace wants, as it comes in from one.
func (w traced) pinged() string {
	return fmt.Sprintf("icmp,in_port=2,dl_src=02:42:0a:50:00:02,dl_dst=02:42:0a:50:00:04,nw_src=%s,nw_dst=%s", w.one.addr, w.two.addr)
}

// dump is how flows are listed without ovsnet.
const dump = "ovs-ofctl --no-stats dump-flows br-ovsnet "

func (w traced) senderFaults() []fault {
	tunnel := dump + "table=60 | grep 02:42:0a:50:00:04"
	return []fault{
		{
			name: "deleted unicast flow", inject: loses(w.h2, flows.ToRemote, "192.0.2.3"), outcome: journey.Dropped, status: 1,
			trace:  []string{"on h2 in Forward: flow missing", "through the tunnel to two (" + w.two.addr + ")", "dropped on h2 in Forward"},
			diff:   []string{"# missing: through the tunnel to two (" + w.two.addr + ") in web, on h3"},
			before: []string{"ovs-appctl ofproto/trace br-ovsnet " + w.pinged() + " | sed -n '/^60/,/drop/p'", tunnel},
		},
		{
			name: "deleted ARP answer", inject: loses(w.h2, flows.ARPAnswer, "arp_tpa="+w.two.addr), outcome: journey.Dropped, status: 1,
			trace:  []string{"on h2 in ArpResponder: flow missing", "ARP answer for two (" + w.two.addr + ")", "gets no answer"},
			diff:   []string{"# missing: ARP answer for two (" + w.two.addr + ") in web, on h3"},
			before: []string{dump + "table=40 | grep arp_tpa=" + w.two.addr},
		},
		{
			name: "wrong tun_dst", inject: w.sendsTo("set_field:192.0.2.1->tun_dst"), outcome: journey.Dropped, status: 1,
			trace:  []string{"on h2 in Forward: flow altered", "192.0.2.1->tun_dst", "it should do", "192.0.2.3->tun_dst", "dropped on h1 in Forward"},
			diff:   []string{"# altered (actions): through the tunnel to two (" + w.two.addr + ") in web, on h3", "192.0.2.1->tun_dst", "192.0.2.3->tun_dst"},
			before: []string{tunnel},
		},
		{
			name: "tun_dst of nobody", untold: true, inject: w.sendsTo("set_field:192.0.2.99->tun_dst"), outcome: journey.Dropped, status: 1,
			trace: []string{"on h2 in Forward: flow altered", "192.0.2.99->tun_dst"}, diff: []string{"192.0.2.99->tun_dst"},
		},
		{
			name: "wrong VNI", inject: w.sendsTo("set_field:0x1777->tun_id"), outcome: journey.Dropped, status: 1,
			trace:  []string{"on h2 in Forward: flow altered", "0x1777->tun_id", "dropped on h3 in TunnelIn", "VNI 6007 is no network"},
			diff:   []string{"# altered (actions): through the tunnel to two (" + w.two.addr + ") in web, on h3", "0x1777->tun_id", "0x1000->tun_id"},
			before: []string{tunnel},
		},
		{
			name: "foreign high-priority drop", inject: spoils(w.h2, foreignDrop("table=60,priority=999,ip")), outcome: journey.Dropped, status: 1,
			trace:  []string{"on h2 in Forward: foreign flow", "priority 999"},
			diff:   []string{"# not ovsnet's; it takes packets from: delivery to ", "priority=999,ip actions=drop"},
			before: []string{dump + "| grep -v cookie=0x6f76"},
		},
		{
			name: "spoofed source", inject: func(*testing.T) func() { return func() {} }, args: []string{"--from-ip", "10.80.0.99"}, outcome: journey.Dropped, status: 1,
			trace:  []string{"SpoofGuard", "source address 10.80.0.99 is not the endpoint's (" + w.one.addr + ")"},
			before: []string{"ovs-appctl ofproto/trace br-ovsnet " + strings.Replace(w.pinged(), "nw_src="+w.one.addr, "nw_src=10.80.0.99", 1) + " | sed -n '/^20/,/drop/p'", "ovs-ofctl --no-stats --sort=priority dump-flows br-ovsnet table=20,in_port=2"},
		},
		{
			name: "tunnel port down", outcome: journey.Dropped, status: 1,
			inject: func(t *testing.T) func() {
				run(t, w.h2, "ovs-vsctl", "del-port", bridge, "ovsnet-vxlan")
				return func() { w.expect(t, w.h2, journey.Delivered, 0, nil, w.one.addr, w.near.addr) }
			},
			trace:  []string{"on h2: the host has no tunnel port"},
			diff:   []string{"# h2 has no tunnel port", "# no longer wanted: through the tunnel to two (" + w.two.addr + ") in web, on h3"},
			before: []string{tunnel, "ovs-ofctl show br-ovsnet | grep -o '^ [0-9]*([^)]*)'"},
		},
	}
}

func (w traced) receiverFaults() []fault {
	return []fault{
		{
			name: "peer missing in Classify", inject: loses(w.h3, flows.FromPeer, "tun_src=192.0.2.2"), outcome: journey.Dropped, status: 1,
			trace:  []string{"on h3 in Classify: flow missing", "tunnel packets from h2", "dropped on h3 in Classify"},
			diff:   []string{"# missing: tunnel packets from h2"},
			before: []string{"ovs-ofctl --no-stats --sort=priority dump-flows br-ovsnet table=0,in_port=1"},
		},
		{
			name: "foreign drop of everything", untold: true, inject: spoils(w.h3, foreignDrop("table=0,priority=65000")), args: []string{"--proto", "udp"}, outcome: journey.Dropped, status: 1,
			trace: []string{"on h3 in Classify: foreign flow", "priority 65000", "dropped on h3 in Classify"}, diff: []string{"# not ovsnet's; it takes packets from"},
		},
		{
			name: "foreign flow for other packets", untold: true, inject: spoils(w.h3, foreignDrop("table=60,priority=500,dl_vlan=0xfff")), outcome: journey.Delivered,
			diff: []string{"# not ovsnet's; it takes packets from: delivery to two"},
		},
	}
}

// anotherPort: a link is made anew and has another number, and nobody tells the flows.
func (w traced) anotherPort() fault {
	return fault{
		name: "wrong port number after a link was recreated", outcome: journey.Dropped, status: 1,
		inject: func(t *testing.T) func() {
			port := query[struct{ Port string }](t, w.h3, "endpoint", "inspect", w.two.addr).Port
			ids := run(t, w.h3, "ovs-vsctl", "get", "port", port, "external_ids")
			run(t, w.h3, "ovs-vsctl", "del-port", bridge, port)
			run(t, w.h3, "ovs-vsctl", "add-port", bridge, port, "--", "set", "port", port, "external_ids="+ids)
			return func() {}
		},
		trace:  []string{"on h3 in Forward: flow altered", "delivery to two (" + w.two.addr + ")", "does output:2; it should do output:3"},
		diff:   []string{"# altered (actions): delivery to two (" + w.two.addr + ") in web, on h3", "# missing: packets from two (" + w.two.addr + ") in web, on h3"},
		before: []string{dump + "table=60 | grep 02:42:0a:50:00:04", "ovs-vsctl --format=csv --no-headings --columns=name,ofport list interface | grep ovsn | sort -t, -nk2"},
	}
}

func (w traced) stoppedAgent() fault {
	return fault{
		name: "stopped remote agent", inject: func(*testing.T) func() { return func() {} }, outcome: journey.Delivered, status: 4,
		trace: []string{"as far as is known, delivered to two (" + w.two.addr + ")"},
		now:   []string{"ovsnet flows trace one two | grep 'records alone'", "ovsnet flows diff --all"},
	}
}

// narrowUnderlay: the underlay of two's host carries less than the network was made for.
func (w traced) narrowUnderlay() fault {
	return fault{
		name: "MTU too small", outcome: journey.Delivered,
		inject: func(t *testing.T) func() {
			eventually(t, "h3's record tells what its underlay carries", func() (string, bool) {
				text := run(t, w.h2, "ovsnet", "node", "inspect", "h3")
				return text, strings.Contains(text, "1350")
			})
			return func() {}
		},
		trace:  []string{"delivered to two", "but no packet of more than 1350 bytes", "on h3: the underlay carries packets of up to 1350 bytes, and network web has MTU 1450"},
		before: []string{"docker exec one ping -q -c 1 -W 1 -s 1422 -M do " + w.two.addr + " | grep -o '[0-9]* received'", "docker exec one ping -q -c 1 -W 1 -s 1300 -M do " + w.two.addr + " | grep -o '[0-9]* received'"},
		now:    []string{"ovsnet status --node h3 | grep warning"},
	}
}

// goneInDocker: a container's link is gone, and etcd has its endpoint still.
func (w traced) goneInDocker() fault {
	return fault{
		name: "endpoint gone in Docker and not in etcd", args: []string{"one", "gone"}, outcome: journey.Dropped, status: 1,
		inject: func(t *testing.T) func() {
			gone := runContainer(t, w.h3, "web", "gone")
			w.one.waitReaches(t, gone.addr)
			run(t, w.h3, "ip", "link", "delete", query[struct{ Port string }](t, w.h3, "endpoint", "inspect", gone.addr).Port)
			eventually(t, "its port is gone", func() (string, bool) {
				text, err := try(t, w.h2, "ovsnet", "flows", "trace", "one", gone.addr)
				return text, err != nil && strings.Contains(text, "has no port") && strings.Contains(text, " gone ")
			})
			return func() { gone.remove(t) }
		},
		trace:  []string{"gone (10.80.0.6) in web, on h3 has no port on the bridge there: its container is gone, or lost its link"},
		before: []string{dump + "table=60 | grep 02:42:0a:50:00:06"},
		now:    []string{"ovsnet endpoint inspect gone | grep -E '^(name|ipv4|node) '"},
	}
}

// flowOf is the one flow of a rule that says the word.
func flowOf(t *testing.T, has []flows.Installed, rule flows.Rule, word string) flows.Flow {
	t.Helper()
	i := slices.IndexFunc(has, func(f flows.Installed) bool {
		return flows.RuleOf(f.Cookie) == rule && strings.Contains(f.String()+",", word)
	})
	if i < 0 {
		t.Fatalf("no flow of rule %s says %s", rule, word)
	}
	return has[i].Flow
}

// altered gives a flow's action of the same field another value.
func altered(t *testing.T, f flows.Flow, action string) flows.Delta {
	t.Helper()
	_, field, _ := strings.Cut(action, "->")
	steps := strings.Split(f.Actions.String(), ",")
	for i, s := range steps {
		if strings.HasSuffix(s, "->"+field) {
			steps[i] = action
		}
	}
	read, err := flows.ParseLine("cookie=0x0, table=0 actions=" + strings.Join(steps, ","))
	if err != nil || read.Actions == f.Actions {
		t.Fatalf("%s is not altered to %s: %v", f, action, err)
	}
	f.Actions = read.Actions
	return flows.Delta{Add: []flows.Flow{f}}
}

func foreignDrop(key string) func(*testing.T, []flows.Installed) flows.Delta {
	return func(t *testing.T, _ []flows.Installed) flows.Delta {
		f, err := flows.ParseLine("cookie=0x0, " + key + " actions=drop")
		if err != nil {
			t.Fatal(err)
		}
		return flows.Delta{Add: []flows.Flow{f.Flow}}
	}
}

// undo leads back to what there was.
func undo(has []flows.Installed, done flows.Delta) flows.Delta {
	var back flows.Delta
	had := map[flows.Key]flows.Flow{}
	for _, f := range has {
		had[f.Key] = f.Flow
	}
	for _, f := range done.Add {
		if before, there := had[f.Key]; there {
			back.Add = append(back.Add, before)
		} else {
			back.Delete = append(back.Delete, f.Key)
		}
	}
	for _, k := range done.Delete {
		back.Add = append(back.Add, had[k])
	}
	return back
}
