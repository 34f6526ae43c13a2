package ofctl_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/ofctl"
	"github.com/ovsnet/ovsnet/overlay"
)

// crowd is a network of that many endpoints, 1,200 of them here, over as many
// as 1,500 hosts: more than one flow can flood to.
func crowd(endpoints int) (*overlay.Snapshot, flows.Host) {
	edit := overlay.NewSnapshot().Edit()
	edit.SetNetwork(overlay.Network{ID: "net", Name: "net", VNI: 0x1000})
	host := flows.Host{Node: "h0", Tunnel: 1, Ports: map[string]flows.Port{}}
	for i := range endpoints {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(1 + i%250)})
		e := overlay.Endpoint{ID: fmt.Sprintf("e%d", i), Network: "net", Node: "h0", MAC: overlay.MACFromAddr(addr), IPv4: addr}
		if i < 1200 {
			host.Ports[e.ID] = flows.Port{Network: "net", OFPort: uint32(11 + i)}
		} else {
			e.Node = fmt.Sprintf("h%d", 1+i%1500)
			edit.SetNode(overlay.Node{Name: e.Node, VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{198, 18, byte(i % 1500 / 250), byte(1 + i%1500%250)})}})
		}
		edit.SetEndpoint(e)
	}
	return edit.Snapshot(), host
}

// OVS shows every kind of flow exactly as it was sent, so nothing is ever
// installed twice; a second look finds nothing to do.
func TestEveryRuleSurvivesOVS(t *testing.T) {
	s := newSwitch(t)
	seen := map[flows.Rule]bool{}
	for _, world := range []func() (*overlay.Snapshot, flows.Host){
		world,
		func() (*overlay.Snapshot, flows.Host) { return crowd(3000) },
		func() (*overlay.Snapshot, flows.Host) { return overlay.NewSnapshot(), flows.Host{Node: "h1"} },
	} {
		for _, f := range s.apply(world()) {
			seen[f.Why.Rule] = true
		}
	}
	for n := range 256 {
		if rule := flows.Rule(n); rule.String() != flows.Rule(0).String() && !seen[rule] {
			t.Errorf("no flow of rule %s was tried", rule)
		}
	}
}

// Broadcast reaches each host once also where one flow has no room for all.
func TestFloodInParts(t *testing.T) {
	s := newSwitch(t)
	s.addPorts(3)
	snapshot, host := crowd(1200 + 1400)
	for id, p := range host.Ports {
		if p.OFPort > 13 {
			delete(host.Ports, id)
		}
	}
	s.apply(snapshot, host)
	text := s.appctl("ofproto/trace", bridge, "in_port=11,dl_src=02:42:0a:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff,ip,nw_src=10.0.0.1")
	for i := 1200; i < 2600; i++ {
		dst := fmt.Sprintf("set_field:198.18.%d.%d->tun_dst\n", i%1500/250, 1+i%1500%250)
		if n := strings.Count(text, dst); n != 1 {
			t.Fatalf("%d copies with %s", n, dst)
		}
	}
	if strings.Contains(text, "recursion") || strings.Contains(text, "over ") && strings.Contains(text, "resubmit") {
		t.Errorf("OVS gave up:\n%s", text[len(text)-2000:])
	}
}

func TestChangedFlowKeepsItsCounters(t *testing.T) {
	s := newSwitch(t)
	s.addPorts(3)
	snapshot, host := world()
	s.apply(snapshot, host)
	s.run("ovs-ofctl", "-O", "OpenFlow15", "packet-out", bridge,
		"in_port=11,packet=ffffffffffff02420a00000108060001080006040001"+"02420a0000010a000001"+"0000000000000a000063,actions=resubmit(,0)")
	web1 := s.matchOf(flows.FromEndpoint, "web-1")
	before := s.find(web1)
	if before.Packets != 1 {
		t.Fatalf("the packet was not counted: %+v", before)
	}
	edit := snapshot.Edit()
	edit.SetNetwork(overlay.Network{ID: "web", Name: "web", VNI: 0x2000})
	s.apply(edit.Snapshot(), host)
	after := s.find(web1)
	if after.Actions == before.Actions || after.Packets != before.Packets || after.Bytes != before.Bytes {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// find returns the installed flow with that match.
func (s *realSwitch) find(m flows.Match) flows.Installed {
	s.t.Helper()
	installed := s.dump()
	i := slices.IndexFunc(installed, func(f flows.Installed) bool { return f.Match == m })
	if i < 0 {
		s.t.Fatalf("no flow matches %s", m)
	}
	return installed[i]
}

// A delete takes its own key and neither more specific flows nor those of other
// priorities, even where it matches everything.
func TestDeleteTakesOnlyItsKey(t *testing.T) {
	s := newSwitch(t)
	desired := s.apply(world())
	for _, gone := range []flows.Key{{Table: flows.Classify}, desired[0].Key, desired[len(desired)/2].Key} {
		if err := s.client.Apply(call(t), flows.Delta{Delete: []flows.Key{gone}}); err != nil {
			t.Fatal(err)
		}
		change, _ := flows.Diff(slices.Values(desired), s.dump())
		if len(change.Add) != 1 || change.Add[0].Key != gone || len(change.Delete) != 0 {
			t.Fatalf("after the delete of %s these are missing: %v", gone, change.Add)
		}
		s.reach(desired)
	}
}

// A bundle with one bad flow changes nothing, and the error names that flow.
func TestBundleIsAtomic(t *testing.T) {
	s := newSwitch(t)
	desired := s.apply(world())
	group, err := flows.ParseLine("table=60, priority=7,in_port=4711 actions=group:77")
	if err != nil {
		t.Fatal(err)
	}
	back := flows.Flow{Key: flows.Key{Table: 60, Priority: 8}, Actions: flows.NewActions(flows.Goto(0))}
	tests := []struct {
		name, words string
		bad         flows.Flow
	}{
		{"the switch refuses", "in_port=4711 actions=group:77", group.Flow},
		{"ovs-ofctl refuses", "priority=8 actions=goto_table:0", back},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good := flows.Flow{Key: flows.Key{Table: 3, Priority: 3}}
			err := s.client.Apply(call(t), flows.Delta{Add: []flows.Flow{good, tt.bad, good}, Delete: []flows.Key{desired[0].Key}})
			if err == nil || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("error %v does not name the flow with %q", err, tt.words)
			}
			if change, foreign := flows.Diff(slices.Values(desired), s.dump()); !change.Empty() || len(foreign) > 0 {
				t.Errorf("half of the bundle is there: %+v, %v", change, foreign)
			}
		})
	}
}

// A flow of ours that somebody gave a time-out would go by itself.
func TestTimeOutIsADifference(t *testing.T) {
	s := newSwitch(t)
	desired := s.apply(world())
	f := desired[0]
	s.run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", bridge, fmt.Sprintf("cookie=%#x,%s,hard_timeout=600,actions=%s", f.Cookie, f.Key, f.Actions))
	change, _ := flows.Diff(slices.Values(desired), s.dump())
	if len(change.Add) != 1 || change.Add[0] != f || len(change.Delete) != 0 {
		t.Fatalf("change %+v, want %s again", change, f)
	}
	s.reach(desired)
	if got := s.find(f.Match); got.Options != "" {
		t.Errorf("still %+v", got)
	}
}

// Flows of others come back as foreign, and none is touched.
func TestForeignFlows(t *testing.T) {
	s := newSwitch(t)
	desired := s.apply(world())
	s.run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", bridge, "table=60,priority=65000,udp,tp_dst=53,idle_timeout=600,actions=drop")
	change, foreign := flows.Diff(slices.Values(desired), s.dump())
	if !change.Empty() || len(foreign) != 1 || foreign[0].Match.String() != "udp,tp_dst=53" || foreign[0].Options != "idle_timeout=600 " {
		t.Fatalf("change %+v, foreign %+v", change, foreign)
	}
	const learns = "table=60,priority=65000,udp,tp_dst=53,actions=learn(table=61)"
	s.run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", bridge, learns)
	change, foreign = flows.Diff(slices.Values(desired), s.dump())
	if !change.Empty() || len(foreign) != 1 || foreign[0].Unread == nil || !strings.Contains(foreign[0].String(), "learn(table=61") {
		t.Errorf("change %+v, foreign %+v; want the line as it is", change, foreign)
	}
	s.run("ovs-ofctl", "-O", "OpenFlow15", "add-flow", bridge, fmt.Sprintf("cookie=%#x,%s", desired[0].Cookie, learns))
	if change, _ = flows.Diff(slices.Values(desired), s.dump()); len(change.Delete) != 1 || change.Delete[0].Priority != 65000 {
		t.Errorf("change %+v; want the delete of what has a cookie of ovsnet's and no use", change)
	}
}

// A flow of ours that somebody gave actions of which we know nothing is made what it should be.
func TestUnknownActionsAreMended(t *testing.T) {
	s := newSwitch(t)
	desired := s.apply(world())
	s.run("ovs-ofctl", "-O", "OpenFlow15", "mod-flows", bridge, "table=60,actions=learn(table=61)")
	s.reach(desired)
	if change, foreign := flows.Diff(slices.Values(desired), s.dump()); !change.Empty() || len(foreign) > 0 {
		t.Errorf("still to do %+v, foreign %v", change, foreign)
	}
}

// No flow of the pipeline needs a run of ovs-ofctl.
func TestPipelineNeedsNoProcess(t *testing.T) {
	s := newSwitch(t)
	desired := flows.Compile(func() (*overlay.Snapshot, flows.Host, flows.Route) {
		snapshot, host := world()
		return snapshot, host, route
	}())
	large, host := crowd(3000)
	path := os.Getenv("PATH")
	for _, all := range [][]flows.Flow{desired, flows.Compile(large, host, route)} {
		t.Setenv("PATH", "")
		if err := s.client.Apply(call(t), flows.Delta{Add: all}); err != nil {
			t.Fatal(err)
		}
		if change, foreign := flows.Diff(slices.Values(all), s.dump()); !change.Empty() || len(foreign) > 0 {
			t.Fatalf("OVS shows other flows than were installed: %+v, %v", change, foreign)
		}
		t.Setenv("PATH", path)
		keys := flows.Delta{Delete: make([]flows.Key, len(all))}
		for i, f := range all {
			keys.Delete[i] = f.Key
		}
		t.Setenv("PATH", "")
		if err := s.client.Apply(call(t), keys); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", path)
		if left := s.dump(); len(left) > 0 {
			t.Fatalf("deletes left %v", left)
		}
	}
}

// What is away is said to be away, at once.
func TestAway(t *testing.T) {
	s := newSwitch(t)
	tests := map[string]*ofctl.Client{
		"no bridge":   ofctl.New(ofctl.Config{Bridge: "br9", RunDir: s.dir}),
		"no vswitchd": ofctl.New(ofctl.Config{Bridge: bridge, RunDir: t.TempDir()}),
	}
	for name, client := range tests {
		_, dump := client.Dump(call(t))
		apply := client.Apply(call(t), flows.Delta{Delete: []flows.Key{{}}})
		watch := client.Watch(call(t), func(flows.Event) {})
		for _, err := range []error{dump, apply, watch} {
			if !overlay.IsKind(err, overlay.Unavailable) {
				t.Errorf("%s: error %v, want a refusal that says it is unavailable", name, err)
			}
		}
	}
}

// Bundles share a connection for as long as it is good.
func TestBundlesOutliveTheirConnection(t *testing.T) {
	s := newSwitch(t)
	desired := s.apply(world())
	again := flows.Delta{Add: desired[:1]}
	t.Run("a call that did not end", func(t *testing.T) {
		s.freeze()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := s.client.Apply(ctx, again); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		s.thaw()
		s.do(again)
	})
	t.Run("several at once", func(t *testing.T) {
		var group errgroup.Group
		for range 20 {
			group.Go(func() error { return s.client.Apply(call(t), again) })
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		s.do(again)
	})
	t.Run("another ovs-vswitchd", func(t *testing.T) {
		s.vswitchd.end()
		s.startVswitchd()
		s.eventually("the bridge", func() bool { _, err := s.client.Dump(call(t)); return err == nil })
		s.apply(world())
	})
}

// The connection that bundles share ends by itself, and the next bundle makes
// another.
func TestIdleConnectionEnds(t *testing.T) {
	s := newSwitch(t)
	const none = 0xff
	dir, ends := s.relay(none)
	client := ofctl.New(ofctl.Config{Bridge: bridge, RunDir: dir, Kept: time.Millisecond})
	for range 2 {
		if err := client.Apply(call(t), flows.Delta{Delete: []flows.Key{{}}}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ends:
		case <-call(t).Done():
			t.Fatal("the connection did not end")
		}
	}
}

// A call ends with its context also while ovs-vswitchd does not answer.
func TestCallsEndInTime(t *testing.T) {
	s := newSwitch(t)
	s.freeze()
	for name, do := range map[string]func(context.Context) error{
		"dump":  func(ctx context.Context) error { _, err := s.client.Dump(ctx); return err },
		"apply": func(ctx context.Context) error { return s.client.Apply(ctx, flows.Delta{Delete: []flows.Key{{}}}) },
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		began := time.Now()
		err := do(ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
			t.Errorf("%s: error %v after %v", name, err, time.Since(began))
		}
	}
}

// An ovs-vswitchd that hangs is said to be away, and not waited for as if it had many flows.
func TestSilence(t *testing.T) {
	s := newSwitch(t)
	s.freeze()
	began := time.Now()
	_, err := ofctl.New(ofctl.Config{Bridge: bridge, RunDir: s.dir, Silence: 100 * time.Millisecond}).Dump(call(t))
	if took := time.Since(began); !overlay.IsKind(err, overlay.Unavailable) || took > 5*time.Second {
		t.Errorf("error %v after %s", err, took)
	}
}
