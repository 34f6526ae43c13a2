package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
)

const (
	// probeRate and probeBurst are how many probes an agent sends, for each second
	// and at once: whoever may ask for ever must not make a flood of it.
	probeRate  = 5
	probeBurst = 10
	// maxExpected is how many probes are listened for at once, and expecting how long
	// for one.
	maxExpected = 4
	expecting   = 10 * time.Second
	// answerPatience is how long an answer to a probe is waited for, arrivalPatience
	// how long, once it was sent, the probe itself.
	answerPatience  = time.Second
	arrivalPatience = 500 * time.Millisecond
)

// Ears hear packets on links.
type Ears interface {
	// Listen hears packets from that MAC address that have the token at that offset,
	// from now on.
	Listen(link string, from overlay.MAC, offset int, token []byte) (Ear, error)
}

// Ear hears packets on one link.
type Ear interface {
	// Hear waits for the next packet into the container, and tells when it came.
	Hear(ctx context.Context) (time.Time, error)
	Close() error
}

// Sender has the switch take a packet as if it had come in by a port.
type Sender interface {
	Send(ctx context.Context, port uint32, packet []byte) error
}

// Prober sends probes and hears them. What it sends follows from the records: one
// small packet of a fixed text from an endpoint here to another of its network, in
// its own name, through the flows that would take it from the container; seldom.
// Its methods may be called from any goroutine.
type Prober struct {
	ears   Ears
	sender Sender
	limit  *rate.Limiter

	mu       sync.Mutex
	expected map[string]*arrival
}

// arrival is that of one probe that is listened for; at is read once done is closed,
// and end ends the listening.
type arrival struct {
	done chan struct{}
	at   time.Time
	end  context.CancelFunc
}

// NewProber returns a Prober that has sent nothing yet.
func NewProber(ears Ears, sender Sender) *Prober {
	return &Prober{ears: ears, sender: sender, limit: rate.NewLimiter(probeRate, probeBurst), expected: map[string]*arrival{}}
}

// decider knows what decides about packets on this host: a Loop.
type decider interface {
	deciding() (journey.Bridge, <-chan struct{}, error)
}

// sendable makes the probe of this host's records.
func sendable(d decider, p journey.Probe) (journey.Sendable, journey.Bridge, error) {
	b, _, err := d.deciding()
	if err != nil {
		return journey.Sendable{}, b, err
	}
	s, err := p.Sendable(b.Snapshot)
	return s, b, err
}

// plugged returns the port that an endpoint has on this host.
func plugged(b journey.Bridge, e overlay.Endpoint) (uint32, error) {
	port, there := b.Host.Ports[e.ID]
	if !there || port.Network != e.Network || port.OFPort == 0 {
		return 0, overlay.Refuse(overlay.Missing, fmt.Sprintf("endpoint %s on %s", e.Label(), b.Host.Node), "see ovsnet status on that host", "it has no port on the bridge there")
	}
	return port.OFPort, nil
}

// listen hears what carries a probe's token into an endpoint's container from the
// other one: a probe that comes back to who sent it is no answer.
func (p *Prober) listen(at, from overlay.Endpoint, s journey.Sendable) (Ear, error) {
	return p.ears.Listen(at.PortName(), from.MAC, len(s.Frame)-len(s.Token), s.Token[:])
}

// Expect listens for a probe at its receiver on this host, for a while.
func (p *Prober) Expect(d decider, probe journey.Probe) error {
	s, b, err := sendable(d, probe)
	if err != nil {
		return err
	}
	if _, err := plugged(b, s.To); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.expected) >= maxExpected {
		return overlay.Refuse(overlay.Unavailable, "probes on "+b.Host.Node, "try again in some seconds", "%d are listened for already", maxExpected)
	}
	if p.expected[probe.Token] != nil {
		return overlay.Refuse(overlay.Conflict, "probe "+probe.Token, "use another token", "it is listened for already")
	}
	ear, err := p.listen(s.To, s.From, s)
	if err != nil {
		return err
	}
	ctx, end := context.WithTimeout(context.Background(), expecting)
	e := &arrival{done: make(chan struct{}), end: end}
	p.expected[probe.Token] = e
	go p.await(ctx, probe.Token, e, ear)
	return nil
}

// await hears one packet, and keeps the news of it until ctx ends.
func (p *Prober) await(ctx context.Context, token string, e *arrival, ear Ear) {
	defer e.end()
	if at, err := ear.Hear(ctx); err == nil {
		e.at = at
	}
	_ = ear.Close()
	close(e.done)
	<-ctx.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.expected, token)
}

// Arrival tells when a probe arrived that is expected, waiting a little for it. It
// tells once: then nobody listens for the probe any more.
func (p *Prober) Arrival(ctx context.Context, probe journey.Probe) (journey.Arrival, error) {
	p.mu.Lock()
	e := p.expected[probe.Token]
	p.mu.Unlock()
	if e == nil {
		return journey.Arrival{}, overlay.Refuse(overlay.Missing, "probe "+probe.Token, "try again", "nobody listens for it, or does no more")
	}
	defer e.end()
	select {
	case <-e.done:
		return journey.Arrival{At: e.at}, nil
	case <-time.After(arrivalPatience):
		return journey.Arrival{}, nil
	case <-ctx.Done():
		return journey.Arrival{}, ctx.Err()
	}
}

// Send sends a probe from its sender on this host, and waits a little for its answer
// where there is one.
func (p *Prober) Send(ctx context.Context, d decider, probe journey.Probe) (journey.Sending, error) {
	s, b, err := sendable(d, probe)
	if err != nil {
		return journey.Sending{}, err
	}
	port, err := plugged(b, s.From)
	if err != nil {
		return journey.Sending{}, err
	}
	if !p.limit.Allow() {
		return journey.Sending{}, overlay.Refuse(overlay.Unavailable, "probes from "+b.Host.Node, "try again in a second", "an agent sends %d a second and no more", probeRate)
	}
	var ear Ear
	if s.Answers {
		if ear, err = p.listen(s.From, s.To, s); err != nil {
			return journey.Sending{}, err
		}
		defer func() { _ = ear.Close() }()
	}
	sent := journey.Sending{Sent: time.Now()}
	if err := p.sender.Send(ctx, port, s.Frame); err != nil {
		return journey.Sending{}, fmt.Errorf("send a probe: %w", err)
	}
	if ear != nil {
		ctx, cancel := context.WithTimeout(ctx, answerPatience)
		defer cancel()
		if at, err := ear.Hear(ctx); err == nil {
			sent.Answered = at
		}
	}
	return sent, nil
}
