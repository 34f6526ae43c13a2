package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

// bridged answers about a bridge, and about nothing else.
type bridged struct {
	Controller
	look func() inspect.Bridge
}

func (b bridged) Differences(context.Context) (inspect.Comparison, error) {
	return b.look().Compare(), nil
}

func (b bridged) Flows(_ context.Context, f inspect.Filter) (iter.Seq[inspect.Line], error) {
	return b.look().Lines(f)
}

// crowded is a host with that many endpoints of one network, and as many flows as that takes.
func crowded(endpoints int) (*overlay.Snapshot, flows.Host, flows.Route, []flows.Installed) {
	edit := overlay.NewSnapshot().Edit()
	for i := range 2 {
		edit.SetNode(overlay.Node{Name: fmt.Sprintf("h%d", i+1), VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}, MTU: 1450})
	}
	edit.SetNetwork(overlay.Network{ID: "prod00000000000000000000000000000", Name: "prod", VNI: 4096, Space: "prod", MTU: 1450, Subnets: []overlay.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}})
	host := flows.Host{Node: "h1", Tunnel: 1, Ports: map[string]flows.Port{}}
	ip := netip.MustParseAddr("10.0.1.0")
	for i := range endpoints {
		ip = ip.Next()
		e := overlay.Endpoint{ID: fmt.Sprintf("c%063d", i), Network: "prod00000000000000000000000000000", Node: "h1", IPv4: ip, MAC: overlay.MACFromAddr(ip), Names: []string{fmt.Sprintf("web-%d", i)}}
		edit.SetEndpoint(e)
		host.Ports[e.ID] = flows.Port{Network: e.Network, OFPort: uint32(i + 2)}
	}
	route := func(peer overlay.Node) (netip.Addr, bool) { return peer.VTEP(), true }
	var installed []flows.Installed
	for i, f := range flows.Compile(edit.Snapshot(), host, route) {
		f.Why = flows.Why{}
		installed = append(installed, flows.Installed{Flow: f, Packets: uint64(i % 7), Bytes: uint64(i % 7 * 98), Duration: 90 * time.Minute, Idle: time.Duration(i) * time.Second})
	}
	// A switch dumps in no order.
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(installed), func(i, j int) { installed[i], installed[j] = installed[j], installed[i] })
	return edit.Snapshot(), host, route, installed
}

// A listing is the text of the lines, however it travels, with an older build and without an agent as well.
func TestListing(t *testing.T) {
	s, host, route, installed := crowded(3)
	installed[0].Cookie++
	look := func() inspect.Bridge { return inspect.NewBridge(s, host, route, installed) }
	socket := serveControl(t, bridged{look: look}).Inspector
	for name, i := range map[string]Inspector{
		"socket": socket, "request": NewInspector(direct{bridged{look: look}}), "older build": NewInspector(older{Carrier: direct{bridged{look: look}}}),
		"no agent": NewInspector(Onlooker{Look: func(context.Context) (inspect.Bridge, error) { return look(), nil }}),
	} {
		for _, style := range []inspect.Style{{}, {Wide: true}, {Color: true}} {
			filter := inspect.Filter{Table: "Forward"}
			var got, want strings.Builder
			if err := errors.Join(i.List(t.Context(), filter, style, &got), inspect.WriteLines(&want, socket.Flows(t.Context(), filter), style)); err != nil {
				t.Error(name, err)
			}
			if diff := cmp.Diff(want.String(), got.String()); diff != "" || got.Len() == 0 {
				t.Errorf("%s, %+v (-lines +listing):\n%s", name, style, diff)
			}
		}
		if err := i.List(t.Context(), inspect.Filter{Network: "none"}, inspect.Style{}, io.Discard); !overlay.IsKind(err, overlay.Missing) {
			t.Errorf("%s: of a network that is not there: %v", name, err)
		}
	}
}

// Of an agent of an older build no more is asked than a list for people shows: what goes through etcd is bounded.
func TestListingOfAnOlderBuildIsBrief(t *testing.T) {
	s, host, route, installed := crowded(3)
	var asked []string
	carrier := older{Carrier: direct{bridged{look: func() inspect.Bridge { return inspect.NewBridge(s, host, route, installed) }}}, asked: &asked}
	for _, style := range []inspect.Style{{}, {Wide: true}} {
		if err := NewInspector(carrier).List(t.Context(), inspect.Filter{Table: "Forward"}, style, io.Discard); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{`{"table":"Forward","brief":true}`, `{"table":"Forward"}`}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// older is an agent that knows no listings; asked is for what else it was asked, unless nil.
type older struct {
	Carrier
	asked *[]string
}

func (o older) Carry(ctx context.Context, kind string, arguments []byte) (io.ReadCloser, error) {
	if kind != AboutListing && o.asked != nil {
		*o.asked = append(*o.asked, string(arguments))
	}
	if kind == AboutListing {
		kind = "nonsense"
	}
	answer, err := o.Carrier.Carry(ctx, kind, arguments)
	var refusal *overlay.Refusal
	if errors.As(err, &refusal) {
		refusal.Object = strings.ReplaceAll(refusal.Object, "nonsense", AboutListing)
	}
	return answer, err
}

// A listing that breaks off is never taken for a whole one, and who reads no more is not blamed on the agent.
func TestListingThatBreaksOff(t *testing.T) {
	torn := iotest.ErrReader(io.ErrUnexpectedEOF)
	i := NewInspector(half{io.MultiReader(strings.NewReader("60 Forward"), torn)})
	var got strings.Builder
	if err := i.List(t.Context(), inspect.Filter{}, inspect.Style{}, &got); err == nil || !strings.Contains(err.Error(), "not whole") || got.String() != "60 Forward" {
		t.Errorf("wrote %q, error %v", got.String(), err)
	}
	closed, out := io.Pipe()
	_ = closed.Close()
	i = NewInspector(half{strings.NewReader("60 Forward")})
	if err := i.List(t.Context(), inspect.Filter{}, inspect.Style{}, out); !errors.Is(err, io.ErrClosedPipe) || strings.Contains(err.Error(), "agent") {
		t.Errorf("error %v", err)
	}
}

// half is a Carrier that brings what there is.
type half struct{ io.Reader }

func (h half) Carry(context.Context, string, []byte) (io.ReadCloser, error) {
	return io.NopCloser(h.Reader), nil
}

// What an agent tells of the flows of a host with 10,000 endpoints on it, on its way from the switch's dump to who reads
// it: all of it, and when the first of it is there.
func BenchmarkFlowsOverTheSocket(b *testing.B) {
	s, host, route, installed := crowded(10000)
	client := serveControl(b, bridged{look: func() inspect.Bridge { return inspect.NewBridge(s, host, route, installed) }})
	for name, do := range map[string]func(ctx context.Context, to io.Writer) error{
		"list": func(ctx context.Context, to io.Writer) error {
			return client.List(ctx, inspect.Filter{}, inspect.Style{}, to)
		},
		"lines": func(ctx context.Context, to io.Writer) error {
			return inspect.WriteLines(to, client.Flows(ctx, inspect.Filter{}), inspect.Style{})
		},
		"diff": func(ctx context.Context, to io.Writer) error {
			c, err := client.Differences(ctx)
			if err != nil {
				return err
			}
			return c.WriteUnified(to, inspect.Style{})
		},
	} {
		b.Run(name, func(b *testing.B) {
			var first time.Duration
			for b.Loop() {
				to := &stopwatch{began: time.Now()}
				if err := do(b.Context(), to); err != nil {
					b.Fatal(err)
				}
				first += to.first
			}
			b.ReportMetric(float64(first.Milliseconds())/float64(b.N), "ms-to-first/op")
		})
	}
}

// stopwatch notes when the first of what is written to it came.
type stopwatch struct {
	began time.Time
	first time.Duration
}

// Write throws away.
func (w *stopwatch) Write(p []byte) (int, error) {
	if w.first == 0 {
		w.first = time.Since(w.began)
	}
	return len(p), nil
}
