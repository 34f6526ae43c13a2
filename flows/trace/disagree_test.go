package trace_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows/trace"
)

// What differs between the desired flows and a real switch is named for what it
// is.
func TestDisagreementsAreNamed(t *testing.T) {
	const (
		in   = "cookie=0x6f01, priority=200,in_port=11 actions=goto_table:60\n"
		here = "cookie=0x6f02, table=60,priority=100,dl_dst=02:42:0a:00:00:02 actions=output:12"
		away = "cookie=0x6f03, table=60,priority=100,dl_dst=02:42:0a:00:00:02 actions=set_field:0x1000->tun_id,set_field:192.0.2.2->tun_dst,output:1"
	)
	many := strings.TrimSuffix(strings.Repeat("set_field:192.0.2.2->tun_dst,output:1,set_field:192.0.2.3->tun_dst,output:1,", 500), ",")
	tests := []struct {
		name, desired, installed string
		about                    []trace.Aspect
		// said is part of what is said of them.
		said string
	}{
		{"nothing", in + here, in + here, nil, ""},
		{"a deleted flow", in + here, in, []trace.Aspect{trace.WrongFlow, trace.WrongSend}, "flow at step 2: ovsnet says cookie=0x6f02, table=60,priority=100,dl_dst=02:42:0a:00:00:02, Open vSwitch says table=60: no flow"},
		{"a foreign drop", in + here, in + here + "\ntable=60,priority=999 actions=drop", []trace.Aspect{trace.WrongFlow, trace.WrongSend}, "Open vSwitch says cookie=0x0, table=60,priority=999"},
		{"a foreign flow of which ovsnet knows no field", in + here, in + here + "\ntable=60,priority=999,pkt_mark=0 actions=drop", []trace.Aspect{trace.WrongFlow, trace.WrongSend}, "Open vSwitch says table=60: pkt_mark=0, priority 999"},
		{"another host", in + away, in + strings.Replace(away, "192.0.2.2", "192.0.2.3", 1), []trace.Aspect{trace.WrongSend, trace.WrongSend}, "to 192.0.2.3 with VNI 0x1000"},
		{"another network", in + away, in + strings.Replace(away, "0x1000", "0x1001", 1), []trace.Aspect{trace.WrongSend, trace.WrongSend}, "to 192.0.2.2 with VNI 0x1001"},
		{"a host without a neighbour entry", in + strings.Replace(away, "192.0.2.2", "192.0.2.200", 1), in + strings.Replace(away, "192.0.2.2", "192.0.2.200", 1), []trace.Aspect{trace.WrongSend}, "neighbor cache miss for 192.0.2.200"},
		{"another author", in + here, in + strings.Replace(here, "0x6f02", "0x77", 1), []trace.Aspect{trace.WrongCookie}, "cookie=0x77"},
		{"a way round", in + here, in + here + "\ntable=0,priority=201 actions=goto_table:70", []trace.Aspect{trace.WrongFlow, trace.WrongSend}, "table=0,priority=201"},
		{"a longer way", in + here, in + strings.Replace(here, "output:12", "output:12,resubmit(,70)", 1), []trace.Aspect{trace.WrongTable}, "ovsnet says nothing, Open vSwitch says table=70: no flow"},
		{"a shorter way", in + strings.Replace(here, "output:12", "output:12,resubmit(,70)", 1), in + here, []trace.Aspect{trace.WrongTable}, "ovsnet says table=70: no flow, Open vSwitch says nothing"},
		{"a changed header", in + here, in + strings.Replace(here, "output", "set_field:02:42:0a:00:00:07->eth_src,output", 1), []trace.Aspect{trace.WrongSend, trace.WrongSend}, "dl_src=02:42:0a:00:00:07"},
		{"a loop", in + here, in + strings.Replace(here, "output:12", "output:12,resubmit(,60)", 1), []trace.Aspect{trace.WrongTable, trace.WrongVerdict, trace.WrongSend}, "Recursion too deep"},
		{"connection tracking", in + here, in + "table=60,priority=999,ip actions=ct(table=70)", []trace.Aspect{trace.WrongFlow, trace.Unread}, `"ct" is not known`},
		{"more than Open vSwitch copies", in + "cookie=0x6f04, table=60 actions=" + many, in + "cookie=0x6f04, table=60 actions=" + many, []trace.Aspect{trace.WrongSend}, "resubmits yielded over 64 kB of actions"},
	}
	s := newOpenVSwitch(t, append(neighbours(), "192.0.2.3")...)
	ports, datapath := s.ports()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			s.raw(tt.installed)
			ovs, text := s.trace(local())
			differ := trace.Compare(trace.Run(ports, parse(t, tt.desired), local()), ovs, datapath)
			var about []trace.Aspect
			for _, d := range differ {
				about = append(about, d.About)
			}
			// Copies that are missing are many.
			if about = slices.Compact(about); !slices.Equal(about, slices.Compact(tt.about)) || !strings.Contains(lines(differ), tt.said) {
				t.Errorf("the disagreements are about %v\n%s\nOpen vSwitch:\n%s", about, lines(differ), text[max(0, len(text)-2000):])
			}
		})
	}
}

// raw installs flows that need not be known.
func (s *openVSwitch) raw(text string) {
	s.t.Helper()
	s.run("ovs-ofctl", "-O", "OpenFlow15", "del-flows", bridge)
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		s.run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", bridge, line)
	}
}

func TestRivalsAreNamed(t *testing.T) {
	set := parse(t, "priority=5,in_port=11 actions=output:12\npriority=5,tcp actions=output:13\npriority=5,tcp,in_port=11 actions=output:14\npriority=4 actions=drop\npriority=5,udp actions=drop")
	own := trace.Run(trace.Ports{}, set, local())
	if len(own.Steps) != 1 || len(own.Steps[0].Rivals) != 2 {
		t.Fatalf("the step is %v", own.Steps)
	}
	ovs, err := trace.ParseOFProto(strings.ReplaceAll(with("6"), "0. priority 0", "0. "+own.Steps[0].Rivals[0].Match.String()+", priority 5"))
	if err != nil {
		t.Fatal(err)
	}
	differ := trace.Compare(own, ovs, trace.Datapath{6: own.Sends[0].Port})
	if len(differ) != 1 || differ[0].About != trace.Ambiguous || strings.Count(differ[0].String(), " or ") != 2 {
		t.Errorf("the disagreements are\n%s", lines(differ))
	}
}

// Of two flows with one key the switch keeps the last one.
func TestTheLastFlowOfAKeyHolds(t *testing.T) {
	set := parse(t, "in_port=11 actions=output:12\nin_port=11 actions=output:13")
	if got := told(trace.Run(trace.Ports{}, set, local())); got != "13" {
		t.Errorf("goes to %s", got)
	}
}

// What flows do not say is not guessed.
func TestUnknown(t *testing.T) {
	for _, actions := range []string{"NORMAL", "group:3", "FLOOD"} {
		own := trace.Run(trace.Ports{}, parse(t, "actions=output:12,"+actions+",output:13"), local())
		if _, dropped := own.Drop(); own.Unknown == "" || dropped || len(own.Sends) != 1 {
			t.Errorf("%s: %+v", actions, own)
		}
		if differ := trace.Compare(own, trace.OFProto{Steps: []trace.OFStep{{Key: own.Steps[0].Flow.Key}, {Table: 7}}}, nil); len(differ) > 0 {
			t.Errorf("%s: disagrees\n%s", actions, lines(differ))
		}
	}
}

// A packet that goes from host to host keeps its headers, and nothing else.
func TestArrive(t *testing.T) {
	set := parse(t, "ip actions=set_field:7->reg5,set_field:3->nw_ttl,set_field:0x1000->tun_id,set_field:192.0.2.2->tun_dst,output:1")
	own := trace.Run(bridgePorts(), set, local())
	if len(own.Sends) != 1 {
		t.Fatal(told(own))
	}
	got := own.Sends[0].Arrive(tunnel, netip.MustParseAddr("192.0.2.1"))
	want := "tcp,tun_id=0x1000,tun_src=192.0.2.1,tun_dst=192.0.2.2,in_port=1,dl_src=02:42:0a:00:00:01,dl_dst=02:42:0a:00:00:02,nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=3,tcp_src=1,tcp_dst=80"
	if fmt.Sprint(got) != want {
		t.Errorf("arrives as %s, want %s", got, want)
	}
	if step, dropped := trace.Run(bridgePorts(), nil, got).Drop(); !dropped || step.Flow != nil || step.Table != 0 {
		t.Errorf("a bridge without flows drops it: %v at %s", dropped, step)
	}
}
