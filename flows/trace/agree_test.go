package trace_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/trace"
)

const (
	worlds          = 60
	packetsPerWorld = 150
)

// Both engines agree on every packet through what the compiler makes of random
// clusters.
func TestEnginesAgreeOnCompiledFlows(t *testing.T) {
	s := newOpenVSwitch(t, neighbours()...)
	seen := tally{}
	for seed := range uint64(worlds) {
		w := newWorld(rand.New(rand.NewPCG(seed, 1)))
		set := w.flows()
		s.install(set)
		s.agree(w, set, seed, seen)
	}
	seen.report(t, "a send", "a tunnel", "a drop", "an own answer", "a withheld output")
	if n := seen["a rival"]; n > 0 {
		t.Errorf("%d times several compiled flows of one priority match a packet, and which one takes it is chance", n)
	}
}

// They agree, too, on flows that were changed at random and are no compiler's.
func TestEnginesAgreeOnMutatedFlows(t *testing.T) {
	s := newOpenVSwitch(t, neighbours()...)
	seen := tally{}
	for seed := range uint64(worlds) {
		w := newWorld(rand.New(rand.NewPCG(seed, 2)))
		s.agree(w, s.install(mutate(w.Rand, w.flows())), seed, seen)
	}
	seen.report(t, "a send", "a tunnel", "a drop", "a withheld output", "a miss", "a nested look-up", "a rival", "a changed header", "an abort", "the controller")
}

// agree sends random packets through both engines.
func (s *openVSwitch) agree(w *world, set []flows.Flow, seed uint64, seen tally) {
	s.t.Helper()
	ports, datapath := s.ports()
	engine, words := trace.NewBridge(ports, slices.Values(set)), wordsOf(set)
	for n := range packetsPerWorld {
		p := w.packet(words)
		own := engine.Run(p)
		ovs, text := s.trace(p)
		differ := trace.Compare(own, ovs, datapath)
		seen.note(own)
		if len(differ) == 0 {
			continue
		}
		if differ[0].About == trace.Ambiguous {
			seen["took another rival"]++
			continue
		}
		s.t.Fatalf("world %d, packet %d, %s:\n%s\nOpen vSwitch:\n%s\nflows:\n%s", seed, n, p, lines(differ), text, lines(met(own, set, ovs)))
	}
}

// met are the flows of the tables that the packet met.
func met(own trace.Result, set []flows.Flow, ovs trace.OFProto) []flows.Flow {
	tables := map[flows.TableID]bool{}
	for _, step := range own.Steps {
		tables[step.Table] = true
	}
	for _, step := range ovs.Steps {
		tables[step.Table] = true
	}
	return slices.DeleteFunc(slices.Clone(set), func(f flows.Flow) bool { return !tables[f.Table] })
}

func lines[T fmt.Stringer](list []T) string {
	var text strings.Builder
	for _, item := range list {
		fmt.Fprintln(&text, item)
	}
	return text.String()
}

// tally counts what the packets met, so that a test of nothing is noticed.
type tally map[string]int

func (c tally) note(r trace.Result) {
	c["a packet"]++
	for _, s := range r.Sends {
		c["a send"]++
		switch {
		case s.Tunnel != nil:
			c["a tunnel"]++
		case s.Port == flows.PortController:
			c["the controller"]++
		case flows.PortNo(r.Packet.Get(flows.InPort).Lo) == s.Port:
			c["an own answer"]++
		}
		if s.Packet.Frame() != r.Packet.Frame() {
			c["a changed header"]++
		}
		if s.Packet.Get(flows.VlanTCI) != r.Packet.Get(flows.VlanTCI) {
			c["a changed VLAN tag"]++
		}
	}
	for _, s := range r.Steps {
		switch {
		case s.Flow == nil:
			c["a miss"]++
		case len(s.Rivals) > 0:
			c["a rival"]++
		}
		if s.Depth > 0 {
			c["a nested look-up"]++
		}
	}
	if _, dropped := r.Drop(); dropped {
		c["a drop"]++
	}
	if r.Aborted != "" {
		c["an abort"]++
	}
	c["a withheld output"] += len(r.Withheld)
}

func (c tally) report(t *testing.T, wanted ...string) {
	t.Helper()
	t.Logf("%v", map[string]int(c))
	for _, what := range wanted {
		if c[what] == 0 {
			t.Errorf("no packet met %s", what)
		}
	}
}
