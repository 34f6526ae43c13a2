package trace_test

import (
	"math/rand/v2"
	"testing"

	"github.com/ovsnet/ovsnet/flows/trace"
)

// The headers of a packet are read as they were written.
func TestFramesAreReadAsWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		w := newWorld(r)
		p := w.packet(wordsOf(w.flows())).Frame()
		got, err := trace.ParseFrame(p.Match().String())
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != p.String() {
			t.Fatalf("%s is read as %s", p, got)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add(local().Frame().Match().String())
	for _, text := range []string{"", "arp,arp_op=1", "ip,metadata=0x1", "vlan_tci=0x1064,ip", "icmp6,icmp_type=135,nd_target=2001:db8::1", "ip actions=output:1", "table=3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := trace.ParseFrame(text)
		if err != nil {
			return
		}
		if p.Match().String() != text || p.Frame() != p {
			t.Errorf("%q is read as %s", text, p)
		}
	})
}
