package ofctl_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// healed is a real switch with the agent's loop on it; the rest of the host stands still.
type healed struct {
	*realSwitch
	loop  *agent.Loop
	views chan agent.View
	shown *overlay.Snapshot
	host  flows.Host
}

// heals starts a loop that brings the world's flows to the switch, and waits until it has.
func heals(t testing.TB, snapshot *overlay.Snapshot, host flows.Host, removeForeign bool) *healed {
	t.Helper()
	h := &healed{realSwitch: newSwitch(t), views: make(chan agent.View, 1), host: host}
	still := standstill{views: h.views, links: map[string]agent.Link{}}
	for id, p := range host.Ports {
		e, _ := snapshot.Endpoint(p.Network, id)
		still.links[e.PortName()] = agent.Link{Name: e.PortName()}
		still.ports = append(still.ports, agent.Port{Name: e.PortName(), Endpoint: id, Network: p.Network, OFPort: p.OFPort})
	}
	h.loop = agent.NewLoop(agent.Config{
		Node: host.Node, Route: route, Grace: time.Hour, FullEvery: time.Hour, RoundTimeout: time.Minute, RemoveForeign: removeForeign,
		Logger: slog.New(slog.DiscardHandler),
	}, agent.Parts{Views: still, Switch: still, Flows: h.client, Links: still, Endpoints: still, Peers: still, Guard: still, Member: still})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); h.loop.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	h.show(snapshot)
	h.eventually("the flow monitor", func() bool { return h.loop.State().Drift.Watching })
	h.settled()
	return h
}

func (h *healed) show(s *overlay.Snapshot) {
	h.shown = s
	for {
		select {
		case h.views <- agent.View{Snapshot: s, Connected: true, Cluster: "here"}:
			return
		case <-h.views: // an older one that nobody took
		}
	}
}

// settled waits until the flows are those of what was shown last.
func (h *healed) settled() []flows.Installed {
	h.t.Helper()
	want := flows.Compile(h.shown, h.host, route)
	var change flows.Delta
	var foreign []flows.Installed
	h.eventually("the flows that are wanted", func() bool {
		change, foreign = flows.Diff(slices.Values(want), h.dump())
		return change.Empty()
	})
	return foreign
}

// ofctl changes flows as somebody else does.
func (h *healed) ofctl(verb string, flow string) {
	h.t.Helper()
	h.run("ovs-ofctl", "-O", "OpenFlow15", verb, bridge, flow)
}

// standstill is a host on which nothing happens but what comes from etcd and to flows.
type standstill struct {
	views chan agent.View
	links map[string]agent.Link
	ports []agent.Port
}

func (s standstill) Views() <-chan agent.View             { return s.views }
func (s standstill) Follow(context.Context, string) error { return nil }
func (s standstill) Unfollow(string)                      {}
func (s standstill) EnsureHost(context.Context, bool) (agent.HostIdentity, error) {
	return agent.HostIdentity{ID: "host", Cluster: "here"}, nil
}
func (s standstill) RememberCluster(context.Context, string) error { return nil }
func (s standstill) Ping(context.Context) error                    { return nil }
func (s standstill) Observe(context.Context) (agent.Observation, error) {
	return agent.Observation{Tunnel: 1, Answered: true, Ports: s.ports}, nil
}
func (s standstill) EnsurePorts(context.Context, []agent.Port) ([]agent.Problem, error) {
	return nil, nil
}
func (s standstill) RemovePorts(context.Context, []string) error { return nil }
func (s standstill) Changes() <-chan struct{}                    { return nil }
func (s standstill) List(context.Context) (map[string]agent.Link, error) {
	return s.links, nil
}
func (s standstill) Delete(context.Context, string) error                           { return nil }
func (s standstill) DeleteEndpoint(context.Context, string, string, string) error   { return nil }
func (s standstill) Ensure(context.Context, []string, []netip.Addr) (uint64, error) { return 0, nil }
func (s standstill) Resolve(context.Context, []netip.Addr) error                    { return nil }
func (s standstill) Standing() (agent.Standing, <-chan struct{}) {
	return agent.Standing{Joined: true}, nil
}

// Whatever somebody does to a flow of ours, it is as it should be again, and told.
func TestHeals(t *testing.T) {
	snapshot, host := world()
	h := heals(t, snapshot, host, false)
	f := h.shownFlow(flows.ToRemote)
	for name, meddle := range map[string]func(){
		"deleted":                   func() { h.ofctl("del-flows", f.Where().String()) },
		"all deleted":               func() { h.run("ovs-ofctl", "-O", "OpenFlow15", "del-flows", bridge) },
		"other actions":             func() { h.ofctl("mod-flows", f.Where().String()+",actions=drop") },
		"all of a table altered":    func() { h.ofctl("mod-flows", "table=60,actions=drop") },
		"actions that nobody knows": func() { h.ofctl("mod-flows", f.Where().String()+",actions=learn(table=99)") },
		"another's over it":         func() { h.ofctl("add-flow", fmt.Sprintf("cookie=5,%s,actions=drop", f.Key)) },
		"a time-out": func() {
			h.ofctl("add-flow", fmt.Sprintf("cookie=%#x,%s,hard_timeout=600,actions=%s", f.Cookie, f.Key, f.Actions))
		},
		"our cookie elsewhere": func() {
			h.ofctl("add-flow", fmt.Sprintf("cookie=%#x,table=99,ct_state=+trk,ip,actions=drop", f.Cookie))
		},
	} {
		before := h.loop.State().Drift
		meddle()
		h.eventually(name+": the repair", func() bool { return h.loop.State().Drift.Repaired > before.Repaired || name == "our cookie elsewhere" })
		if foreign := h.settled(); len(foreign) > 0 {
			t.Errorf("%s: left %v", name, foreign)
		}
	}
	h.eventually("no foreign flows in the state", func() bool { return len(h.loop.State().Foreign) == 0 })
}

// shownFlow is a desired flow of that rule.
func (h *healed) shownFlow(rule flows.Rule) flows.Flow {
	h.t.Helper()
	list := flows.Compile(h.shown, h.host, route)
	i := slices.IndexFunc(list, func(f flows.Flow) bool { return f.Why.Rule == rule })
	if i < 0 {
		h.t.Fatalf("no flow of rule %s", rule)
	}
	return list[i]
}

// A foreign flow is told, and goes only where that was asked for.
func TestForeignFlowsAreToldAndRemoved(t *testing.T) {
	for _, remove := range []bool{false, true} {
		t.Run(fmt.Sprintf("remove=%v", remove), func(t *testing.T) {
			snapshot, host := world()
			h := heals(t, snapshot, host, remove)
			theirs := []string{"cookie=5,table=0,priority=65535,ip,actions=drop", "cookie=6,table=61,ct_state=+trk,ip,actions=ct(commit)", "table=60,priority=7,actions=learn(table=99)"}
			for _, flow := range theirs {
				h.ofctl("add-flow", flow)
			}
			if remove {
				h.eventually("the removal", func() bool {
					return h.loop.State().Drift.Evicted >= 3 && len(h.dump()) == len(flows.Compile(snapshot, host, route))
				})
			} else {
				h.eventually("the report", func() bool { return len(h.loop.State().Foreign) == 3 })
				h.ofctl("del-flows", "cookie=5/-1")
				h.eventually("one less", func() bool { return len(h.loop.State().Foreign) == 2 })
			}
			h.settled()
		})
	}
}

// A thousand changes of our own each second cause no repair, and beside them others' changes are put right.
func TestOwnChangesCauseNoRepair(t *testing.T) {
	snapshot, host := world()
	h := heals(t, snapshot, host, false)
	before := h.loop.State().Drift
	began := time.Now()
	h.churn(t, 4000)
	took := time.Since(began)
	h.settled()
	h.eventually("every event", func() bool { d := h.loop.State().Drift; return d.Own-before.Own >= 4000 || d.Missed > before.Missed })
	after := h.loop.State().Drift
	t.Logf("alone: %d own events in %v (%.0f a second), %d taken for others', %d looks, %d repairs, monitor fell behind %d times",
		after.Own-before.Own, took.Round(time.Millisecond), 4000/took.Seconds(), after.Foreign-before.Foreign, after.Looks-before.Looks, after.Repaired-before.Repaired, after.Missed-before.Missed)
	if after.Repaired != before.Repaired || after.Missed == before.Missed && after.Looks != before.Looks {
		t.Errorf("own changes alone: before %+v, after %+v", before, after)
	}
	var beside sync.WaitGroup
	stop := make(chan struct{})
	f := h.shownFlow(flows.ToRemote)
	meddled := 0
	beside.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				meddled++
				_, _ = h.try("ovs-ofctl", "-O", "OpenFlow15", "del-flows", bridge, f.Where().String())
				_, _ = h.try("ovs-ofctl", "-O", "OpenFlow15", "add-flow", bridge, fmt.Sprintf("cookie=5,table=61,priority=%d,actions=drop", meddled))
			}
		}
	})
	began = time.Now()
	h.churn(t, 4000)
	took = time.Since(began)
	close(stop)
	beside.Wait()
	foreign := h.settled()
	h.eventually("the report", func() bool { return len(h.loop.State().Foreign) == len(foreign) })
	last := h.loop.State().Drift
	t.Logf("beside %d deletes and %d foreign flows: %d own events in %v (%.0f a second), %d of others, %d looks, %d repairs",
		meddled, meddled, last.Own-after.Own, took.Round(time.Millisecond), 4000/took.Seconds(), last.Foreign-after.Foreign, last.Looks-after.Looks, last.Repaired-after.Repaired)
	if repairs := last.Repaired - after.Repaired; repairs == 0 || repairs > uint64(meddled) && last.Missed == after.Missed {
		t.Errorf("%d repairs of %d deletes", repairs, meddled)
	}
	if len(foreign) != meddled {
		t.Errorf("%d foreign flows, want %d", len(foreign), meddled)
	}
}

// churn makes changes of our own, a thousand each second as far as the machine does it: endpoints elsewhere come and go.
func (h *healed) churn(t *testing.T, changes int) {
	const step = 40 // flows that each snapshot changes
	edit := h.shown.Edit()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := range changes / step {
		<-tick.C
		for i := range step / 2 {
			id, addr := fmt.Sprintf("churn-%d", i), netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})
			if n%2 == 1 {
				edit.DeleteEndpoint("web", id)
			} else {
				edit.SetEndpoint(overlay.Endpoint{ID: id, Network: "web", Node: "h2", MAC: overlay.MACFromAddr(addr), IPv4: addr})
			}
		}
		s := edit.Snapshot()
		h.show(s)
		edit = s.Edit()
		h.eventually("the snapshot's turn", func() bool { return h.loop.State().Applied == s })
	}
}

// Somebody who puts his own back each time is not fought at full speed, and status tells of him.
func TestContest(t *testing.T) {
	snapshot, host := world()
	h := heals(t, snapshot, host, false)
	f := h.shownFlow(flows.ToRemote)
	other := fmt.Sprintf("cookie=5,%s,actions=drop", f.Key)
	h.eventually("the contest", func() bool {
		h.ofctl("add-flow", other)
		return len(h.loop.State().Drift.Contests) > 0
	})
	st := agent.NewStatus(agent.Facts{Bridge: bridge}, h.loop.State())
	if len(st.Drift.Contested) != 1 || st.Drift.Contested[0].Cookie != "0x5" || !strings.Contains(st.Drift.Contested[0].Reason, "through the tunnel") {
		t.Errorf("status tells %+v", st.Drift.Contested)
	}
	h.settled()
}

// How long a flow is away that somebody deleted: from the delete's event to that of its return. Alone, each delete
// comes after a quiet time; in a row, the next one comes when the flow is back.
func BenchmarkHeal(b *testing.B) {
	for _, n := range []int{0, 10000} {
		snapshot, host := world()
		if n > 0 {
			snapshot, host = crowd(n)
		}
		b.Run(fmt.Sprintf("endpoints=%d", n), func(b *testing.B) {
			h := heals(b, snapshot, host, false)
			b.Run("alone", func(b *testing.B) { h.measure(b, 300*time.Millisecond) })
			b.Run("in-a-row", func(b *testing.B) { h.measure(b, 0) })
		})
	}
}

// told waits for an event, which a monitor that fell behind leaves out.
func told(b *testing.B, events <-chan time.Time, what string) time.Time {
	b.Helper()
	select {
	case at := <-events:
		return at
	case <-time.After(time.Minute):
		b.Fatalf("the monitor did not tell in a minute that the flow is %s", what)
		return time.Time{}
	}
}

func (h *healed) measure(b *testing.B, quiet time.Duration) {
	gone, back, began := make(chan time.Time, 16), make(chan time.Time, 16), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_ = h.client.Watch(ctx, func(e flows.Event) {
			switch e.Kind {
			case flows.Began:
				close(began)
			case flows.Removed:
				gone <- time.Now()
			case flows.Added:
				back <- time.Now()
			}
		})
	}()
	<-began
	wanted := flows.Compile(h.shown, h.host, route)
	var times []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		<-time.After(quiet)
		b.StartTimer()
		f := wanted[(i*7919)%len(wanted)]
		h.do(flows.Delta{Delete: []flows.Key{f.Key}})
		at := told(b, gone, "gone")
		times = append(times, told(b, back, "back").Sub(at))
	}
	slices.SortFunc(times, cmp.Compare)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(times[len(times)/2]), "median-ms")
	b.ReportMetric(ms(times[len(times)*99/100]), "p99-ms")
	b.ReportMetric(float64(len(wanted)), "flows")
}
