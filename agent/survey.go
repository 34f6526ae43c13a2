package agent

import (
	"context"
	"net/netip"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
	"github.com/ovsnet/ovsnet/tunnel"
)

const (
	// surveyPeers is how many peers one survey measures at most.
	surveyPeers = 128
	// surveyFresh is how long a survey is told again instead of a new one: whoever
	// may ask must not make the host send ever more.
	surveyFresh = 5 * time.Second
	// surveyTimeout bounds one survey.
	surveyTimeout = 4 * time.Second
)

// Measure measures the ways from this host's address to its peers', as
// tunnel.Echo does.
type Measure func(ctx context.Context, from netip.Addr, peers []netip.Addr) ([]tunnel.Echoes, error)

// Survey measures the underlay's ways to the hosts that this one has tunnels to,
// when it is asked for them and not more often than every five seconds.
type Survey struct {
	measure Measure
	// turn is held by who measures, and guards the rest.
	turn chan struct{}
	last surveyed
	at   time.Time
}

// surveyed is what a survey found out.
type surveyed struct {
	paths  []topology.Path
	others int
	err    error
}

// NewSurvey returns a Survey that has measured nothing.
func NewSurvey(m Measure) *Survey { return &Survey{measure: m, turn: make(chan struct{}, 1)} }

// Paths returns the ways from the host to its peers in the snapshot, and to how
// many more it has tunnels.
func (s *Survey) Paths(ctx context.Context, self overlay.Node, snapshot *overlay.Snapshot) ([]topology.Path, int, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	if !s.at.IsZero() && time.Since(s.at) < surveyFresh {
		return s.last.paths, s.last.others, s.last.err
	}
	paths, others := topology.Peers(snapshot, self.Name, tunnel.RouteFor(self), surveyPeers)
	if len(paths) == 0 {
		return paths, others, nil
	}
	// Who asks and goes away does not make it begin anew for the next.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), surveyTimeout)
	defer cancel()
	s.last = s.survey(ctx, self.VTEP().Unmap(), paths)
	s.last.others, s.at = others, time.Now()
	return s.last.paths, s.last.others, s.last.err
}

func (s *Survey) survey(ctx context.Context, from netip.Addr, paths []topology.Path) surveyed {
	addresses := make([]netip.Addr, len(paths))
	for i, p := range paths {
		addresses[i] = p.Address
	}
	echoes, err := s.measure(ctx, from, addresses)
	if err != nil {
		return surveyed{err: err}
	}
	for i, e := range echoes {
		fill(&paths[i], e)
	}
	return surveyed{paths: paths}
}

// fill notes on a path what came back.
func fill(p *topology.Path, e tunnel.Echoes) {
	p.Sent, p.Received = e.Sent, len(e.RTTs)
	if e.Err != nil {
		p.Problem = e.Err.Error()
	}
	var sum time.Duration
	for i, rtt := range e.RTTs {
		ms := milliseconds(rtt)
		if sum += rtt; i == 0 || ms < p.Min {
			p.Min = ms
		}
		p.Max = max(p.Max, ms)
	}
	if p.Received > 0 {
		p.Mean = milliseconds(sum / time.Duration(p.Received))
	}
}

// milliseconds are those of a duration, to a thousandth.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
