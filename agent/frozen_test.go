package agent

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// history is what a loop, whose rounds the test makes, has been through.
type history struct {
	*rapid.T
	host *fakeHost
	loop *Loop
	// offered is the newest view and accepted the snapshot of the newest one that came, or stayed, while nothing froze
	// the host; old is what the host had of its life before.
	offered  View
	standing Standing
	accepted *overlay.Snapshot
	old      flows.Installed
	// held are the ports that stay because containers hold their links.
	held map[string]bool
}

const oldPort = "ovsn00000000001"

func newHistory(t *rapid.T) *history {
	h := &history{T: t, held: map[string]bool{}, host: newFakeHost(), standing: Standing{Blocked: conflict()}, old: flows.Installed{Flow: flows.Compile(begin().Snapshot(), flows.Host{Node: "h1"}, config().Route)[0]}}
	h.old.Cookie++
	h.host.table[h.old.Key] = h.old
	h.host.ports[oldPort] = Port{Name: oldPort, Endpoint: "old", Network: "n1", OFPort: 7}
	for _, id := range []string{"a", "b", "c"} {
		name := endpoint(id).PortName()
		h.host.links[name] = Link{Name: name}
	}
	h.loop = NewLoop(config(), h.host.parts())
	h.turn()
	return h
}

// turn is one turn of the loop.
func (h *history) turn() {
	h.loop.offered = h.offered
	h.loop.accept(h.standing)
	h.loop.reconcile(h.Context())
}

// frozen is the rule, said once more in other words than the loop's.
func (h *history) frozen() bool {
	var refusal *overlay.Refusal
	refused := errors.As(h.standing.Blocked, &refusal) && refusal.Kind != overlay.Unavailable
	return !h.standing.Joined || refused || h.offered.Lost != nil || h.offered.Cluster != "here"
}

// stand changes how the host stands; what it joined once it has joined.
func (h *history) stand() {
	blocked := rapid.SampledFrom([]error{nil, conflict(),
		overlay.Refuse(overlay.Unavailable, "etcd", "", "away"), overlay.Refuse(overlay.Missing, "node", "", "gone")}).Draw(h.T, "blocked")
	h.standing = Standing{Joined: h.standing.Joined || blocked == nil, Blocked: blocked}
}

// show brings a view of any cluster with any endpoints, or none.
func (h *history) show() {
	edit := overlay.NewSnapshot().Edit()
	if rapid.Bool().Draw(h.T, "has a network") {
		edit = begin()
	}
	for i, id := range []string{"a", "b", "c"} {
		addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 2)})
		if node := rapid.SampledFrom([]string{"", "h1", "h2"}).Draw(h.T, "node of "+id); node != "" {
			edit.SetEndpoint(overlay.Endpoint{ID: id, Network: "n1", Node: node, MAC: overlay.MACFromAddr(addr), IPv4: addr, Revision: 1})
		}
	}
	h.offered = View{Snapshot: edit.Snapshot(), Connected: true, Cluster: rapid.SampledFrom([]string{"here", "here", "elsewhere", ""}).Draw(h.T, "cluster")}
	if rapid.IntRange(0, 3).Draw(h.T, "lost") == 0 {
		h.offered.Lost = errors.New("it is empty")
	}
}

// strip takes flows and ports off the switch, as a restart of it may.
func (h *history) strip() {
	if h.accepted != nil {
		clear(h.host.table)
		clear(h.host.ports)
		clear(h.held)
	}
	h.loop.todo = scope{ports: true, full: true}
}

// check compares the switch with what was accepted last.
func (h *history) check() {
	state := h.loop.State()
	if state.Err != nil {
		h.Fatal(state.Err)
	}
	if held := h.offered.Snapshot != nil && h.frozen(); (state.Held != nil) != held {
		h.Fatalf("the state says that it is held back by %v, want held back: %v", state.Held, held)
	}
	if h.accepted == nil {
		if len(h.host.table) != 1 || h.host.table[h.old.Key].Cookie != h.old.Cookie || len(h.host.ports) != 1 {
			h.Fatalf("nothing was accepted, and the host has flows %v and ports %v", h.host.table, h.host.ports)
		}
		return
	}
	for e := range h.accepted.Endpoints("n1") {
		if e.Node == "h1" {
			h.held[e.PortName()] = true
		}
	}
	want := slices.Sorted(maps.Keys(h.held))
	if have := slices.Sorted(maps.Keys(h.host.ports)); !slices.Equal(have, want) {
		h.Fatalf("ports %v, want %v", have, want)
	}
	lines := func(list []flows.Flow) (out []string) {
		for _, f := range list {
			out = append(out, fmt.Sprint(f.Key, f.Actions))
		}
		slices.Sort(out)
		return out
	}
	var have []flows.Flow
	for _, f := range h.host.table {
		have = append(have, f.Flow)
	}
	compiled := flows.Compile(h.accepted, flows.Host{Node: "h1", Tunnel: 1, Ports: state.Ports}, config().Route)
	if have, want := lines(have), lines(compiled); !slices.Equal(have, want) {
		h.Fatalf("flows\n%q\nwant those of what was accepted last\n%q", have, want)
	}
}

// Whatever order views, refusals and losses come in, the host has the flows of the last view that it could accept, its
// ports and those of containers that it had before, and goes on by itself when what held it back is over.
func TestHostHasWhatItAcceptedLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory(t)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			rapid.SampledFrom([]func(){h.stand, h.show, h.show, h.strip}).Draw(t, "step")()
			if h.offered.Snapshot != nil && !h.frozen() {
				h.accepted = h.offered.Snapshot
			}
			h.turn()
			h.check()
		}
	})
}
