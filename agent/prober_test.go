package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
)

// wire is a switch that delivers to where somebody listens.
type wire struct {
	ears map[string]chan time.Time
	// from is whom somebody listened to last.
	from overlay.MAC
	sent []string
	err  error
}

func (w *wire) Listen(link string, from overlay.MAC, offset int, token []byte) (Ear, error) {
	w.from = from
	if w.ears[link] == nil {
		w.ears[link] = make(chan time.Time, 1)
	}
	return heard{w.ears[link]}, w.err
}

func (w *wire) Send(_ context.Context, port uint32, packet []byte) error {
	w.sent = append(w.sent, fmt.Sprintf("%d bytes from port %d", len(packet), port))
	for _, ear := range w.ears {
		ear <- time.Unix(7, 0)
	}
	return w.err
}

type heard struct{ packets chan time.Time }

func (h heard) Hear(ctx context.Context) (time.Time, error) {
	select {
	case at := <-h.packets:
		return at, nil
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

func (h heard) Close() error { return nil }

// decided decides by a bridge of a test's.
type decided struct{ journey.Bridge }

func (d decided) deciding() (journey.Bridge, <-chan struct{}, error) { return d.Bridge, nil, nil }

// someProbe leads from the one endpoint here to another host's, or back.
func someProbe(t *testing.T, back bool, token byte) (decided, journey.Probe) {
	t.Helper()
	b := someBridge()
	addr := netip.MustParseAddr("10.0.0.3")
	edit := b.Snapshot.Edit()
	edit.SetEndpoint(overlay.Endpoint{ID: "web-2", Network: "web", Node: "h2", MAC: overlay.MACFromAddr(addr), IPv4: addr})
	b.Snapshot = edit.Snapshot()
	from, _ := b.Snapshot.Endpoint("web", "web-1")
	to, _ := b.Snapshot.Endpoint("web", "web-2")
	if back {
		from, to = to, from
	}
	p, err := journey.NewProbe(from, to, journey.Wish{}, [journey.TokenSize]byte{token})
	if err != nil {
		t.Fatal(err)
	}
	return decided{b}, p
}

// A probe is sent from an endpoint here only, and only so often.
func TestProbesAreSent(t *testing.T) {
	w := &wire{ears: map[string]chan time.Time{}}
	p := NewProber(w, w)
	p.limit.SetLimit(0) // as if no time passed here
	d, probe := someProbe(t, false, 1)
	sending, err := p.Send(t.Context(), d, probe)
	if err != nil || sending.Answered != time.Unix(7, 0) || len(w.sent) != 1 || w.sent[0] != "76 bytes from port 2" {
		t.Fatalf("%+v, %v, %v", sending, err, w.sent)
	}
	if want := overlay.MACFromAddr(netip.MustParseAddr("10.0.0.3")); w.from != want {
		t.Errorf("an answer may come from %s, want %s", w.from, want)
	}
	if _, back := someProbe(t, true, 1); true {
		if _, err := p.Send(t.Context(), d, back); !overlay.IsKind(err, overlay.Missing) {
			t.Errorf("from an endpoint elsewhere: %v", err)
		}
	}
	for len(w.sent) < probeBurst && err == nil {
		_, err = p.Send(t.Context(), d, probe)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Send(t.Context(), d, probe); !overlay.IsKind(err, overlay.Unavailable) {
		t.Errorf("the probe after %d at once: %v", probeBurst, err)
	}
	if len(w.sent) != probeBurst {
		t.Errorf("%d probes were sent", len(w.sent))
	}
	w.err = errors.New("no such switch")
	if _, err := NewProber(w, w).Send(t.Context(), d, probe); !errors.Is(err, w.err) {
		t.Errorf("a switch that is away: %v", err)
	}
}

// A probe is listened for at an endpoint here only, and only so many at once.
func TestProbesAreExpected(t *testing.T) {
	w := &wire{ears: map[string]chan time.Time{}}
	p := NewProber(w, w)
	d, probe := someProbe(t, true, 0)
	if _, err := p.Arrival(t.Context(), probe); !overlay.IsKind(err, overlay.Missing) {
		t.Errorf("one that nobody expects: %v", err)
	}
	if err := p.Expect(d, probe); err != nil {
		t.Fatal(err)
	}
	if want := overlay.MACFromAddr(netip.MustParseAddr("10.0.0.3")); w.from != want {
		t.Errorf("the probe may come from %s, want %s", w.from, want)
	}
	if err := p.Expect(d, probe); !overlay.IsKind(err, overlay.Conflict) {
		t.Errorf("the same once more: %v", err)
	}
	if err := w.Send(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	if a, err := p.Arrival(t.Context(), probe); err != nil || a.At != time.Unix(7, 0) {
		t.Errorf("after it came: %+v, %v", a, err)
	}
	p = NewProber(w, w)
	if err := p.Expect(d, probe); err != nil {
		t.Fatal(err)
	}
	if a, err := p.Arrival(t.Context(), probe); err != nil || !a.At.IsZero() {
		t.Errorf("before it came: %+v, %v", a, err)
	}
	p = NewProber(w, w)
	for n := range byte(maxExpected) {
		if _, next := someProbe(t, true, n); p.Expect(d, next) != nil {
			t.Fatalf("probe %d is refused", n)
		}
	}
	if _, next := someProbe(t, true, 99); !overlay.IsKind(p.Expect(d, next), overlay.Unavailable) {
		t.Error("more are listened for than may be")
	}
	if _, there := someProbe(t, false, 98); !overlay.IsKind(NewProber(w, w).Expect(d, there), overlay.Missing) {
		t.Error("one is listened for at an endpoint that is elsewhere")
	}
}

func TestProbesTravelTheSame(t *testing.T) {
	d := &told{}
	p := journey.Probe{DPort: 80, Token: "0102"}
	for name, i := range map[string]Inspector{"socket": serveControl(t, d).Inspector, "request": NewInspector(direct{d})} {
		h := &Hosts{Here: "h1", Agent: i, Remote: func(string) Inspector { return i }, Patience: time.Minute}
		live, err := h.Live(t.Context(), "h1", "h2", p)
		if err != nil || live.Sending.Sent.Unix() != 80 || live.Arrival.At.Unix() != 4 || live.Probe != p {
			t.Errorf("%s: %+v, %v", name, live, err)
		}
	}
}

// patient notes how long somebody waits for what is told of probes.
type patient struct {
	*told
	sending, arrival time.Time
}

func (p *patient) Send(ctx context.Context, probe journey.Probe) (journey.Sending, error) {
	p.sending, _ = ctx.Deadline()
	return p.told.Send(ctx, probe)
}

func (p *patient) Arrival(ctx context.Context, probe journey.Probe) (journey.Arrival, error) {
	p.arrival, _ = ctx.Deadline()
	return p.told.Arrival(ctx, probe)
}

// A probe that does not come is no agent that does not answer, however short the patience with agents is.
func TestLostProbesAreWaitedFor(t *testing.T) {
	r := &patient{told: &told{}}
	i := NewInspector(direct{r})
	h := &Hosts{Here: "h1", Agent: i, Remote: func(string) Inspector { return i }, Patience: time.Hour}
	began := time.Now()
	if _, err := h.Live(t.Context(), "h1", "h2", journey.Probe{Token: "0102"}); err != nil {
		t.Fatal(err)
	}
	if got := r.sending.Sub(began); got < time.Hour+answerPatience {
		t.Errorf("whoever sends has %s", got)
	}
	if got := r.arrival.Sub(began); got < time.Hour+arrivalPatience {
		t.Errorf("whoever listens has %s", got)
	}
	h.Patience, began = time.Second, time.Now()
	if _, err := h.Live(t.Context(), "h1", "h2", journey.Probe{Token: "0102"}); err != nil {
		t.Fatal(err)
	}
	// The way through etcd takes a second of it (store.Ask).
	if got := r.sending.Sub(began); got < leastPatience+answerPatience {
		t.Errorf("whoever sends has %s, when others are to answer in a second", got)
	}
}
