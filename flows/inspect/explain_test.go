package inspect

import (
	"bytes"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

func explained(t *testing.T, list iter.Seq[Explanation]) string {
	t.Helper()
	return explainedIn(t, list, Style{})
}

func explainedIn(t *testing.T, list iter.Seq[Explanation], style Style) string {
	t.Helper()
	var out bytes.Buffer
	err := WriteExplanations(&out, func(yield func(Explanation, error) bool) {
		for e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}, style)
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// dump writes flows as ovs-ofctl does, but for those of ovsnet's that a question may not have.
func dump(list []flows.Installed) string {
	var out strings.Builder
	for _, f := range list {
		if f.Unread != nil && flows.Ours(f.Cookie) {
			continue
		}
		text := f.String()
		if f.Unread != nil {
			text = f.Unread.Text
		}
		out.WriteString(" " + text + "\n")
	}
	return out.String()
}

// Every flow of a host, and what is wrong on a broken one, in sentences.
func TestExplainDump(t *testing.T) {
	b := broken(t)
	list, err := b.Explain(Question{Dump: "NXST_FLOW reply (xid=0x4):\n" + dump(b.Installed)})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "explain.txt", explained(t, list))
	golden(t, "explain-wide.txt", explainedIn(t, b.ExplainDump(slices.Clone(b.Installed)), Style{Wide: true}))
	seen := map[string]bool{}
	for e := range list {
		if e.Does == "" || e.Why == "" || e.Without == "" {
			t.Errorf("%s is not explained: %+v", e.Flow, e)
		}
		seen[e.Rule] = true
	}
	for _, r := range flows.Rules() {
		// A part of a flood takes hundreds of members.
		if !seen[r.String()] && r != flows.FloodPart {
			t.Errorf("no flow of rule %s is in the example", r)
		}
		if c := b.causeOf(flows.Why{Rule: r}); strings.Contains(c.why, "knows no rule") {
			t.Errorf("rule %s has no cause", r)
		}
	}
}

// The flow of a wide explanation is one that can be explained again, to the same end.
func TestWideExplanationIsADump(t *testing.T) {
	b := broken(t)
	for e := range b.ExplainDump(slices.Clone(b.Installed)) {
		again, err := flows.ParseDump(strings.NewReader(e.dumped()))
		if err != nil || len(again) != 1 {
			t.Errorf("%s: %d flows, error %v", e.dumped(), len(again), err)
			continue
		}
		for other := range b.ExplainDump(again) {
			if e.State != Foreign && other.dumped() != e.dumped() || other.Packets != e.Packets || other.Age != e.Age || other.Idle != e.Idle || other.State != e.State {
				t.Errorf("%s, and again\n%s", e.dumped(), other.dumped())
			}
		}
	}
}

// What OpenFlow 1.0 prints, and a terminal with names for ports, is the same flow.
func TestExplainOtherWordings(t *testing.T) {
	b := bridgeOf(shop(), "h1")
	b.PortNames = map[string]uint32{"ovsnet-vxlan": 1, "ovsn0123456789a": b.Host.Ports["a1ffffffffffffffffffff"].OFPort}
	for _, line := range []string{
		"priority=100,metadata=0x1000,dl_dst=02:42:0a:00:00:03 actions=load:0x1000->NXM_NX_TUN_ID[],load:0xc0000202->NXM_NX_TUN_IPV4_DST[],output:1",
		`priority=100,metadata=0x1000,dl_dst=02:42:0a:00:00:03 actions=set_field:0x1000->tun_id,set_field:192.0.2.2->tun_dst,output:"ovsnet-vxlan"`,
		"priority=100,metadata=0x1000,dl_dst=02:42:0a:00:00:03 actions=set_tunnel:0x1000,load:0xc0000202->NXM_NX_TUN_IPV4_DST[],output:1",
	} {
		list, err := b.Explain(Question{Dump: "cookie=" + slices.Collect(must(b.Lines(Filter{Rule: "to-remote", Network: "prod"})))[0].Cookie + ", table=60, " + line})
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		for e := range list {
			if e.State != Installed || e.Rule != "to-remote" {
				t.Errorf("%s is %s, %s", line, e.State, e.Standing)
			}
		}
	}
	first := slices.Collect(must(b.Lines(Filter{Rule: "from-endpoint", Endpoint: "web-1", Network: "prod"})))[0]
	list := must(b.Explain(Question{Dump: "cookie=" + first.Cookie + ", table=0, priority=200,in_port=ovsn0123456789a actions=load:0x1000->OXM_OF_METADATA[],resubmit(,20)"}))
	for e := range list {
		if e.State != Installed {
			t.Errorf("%s: %s", e.Flow, e.Standing)
		}
	}
}

func TestExplainPath(t *testing.T) {
	s := shop()
	q, hosts, err := FindPath(s, "10.0.0.2", "web-2", "prod")
	if err != nil || !slices.Equal(hosts, []string{"h1", "h2"}) {
		t.Fatalf("hosts %v, error %v", hosts, err)
	}
	var text string
	for _, host := range hosts {
		text += explained(t, must(bridgeOf(s, host).Explain(q)))
	}
	golden(t, "path.txt", text)
	from, _ := s.Endpoint(q.From.Network, q.From.Endpoint)
	to, _ := s.Endpoint(q.To.Network, q.To.Endpoint)
	silent := bridgeOf(s, "h2")
	silent.Installed = nil // nobody looked
	list := must(silent.ExplainUnseen(from, to, `node "h2": its agent shows no sign of life`))
	golden(t, "path-unseen.txt", explained(t, list)+explainedIn(t, list, Style{Wide: true}))
	if _, hosts, err := FindPath(s, "10.0.0.2", "10.0.0.4", "prod"); err != nil || !slices.Equal(hosts, []string{"h1"}) {
		t.Errorf("on one host: %v, %v", hosts, err)
	}
	if _, err := bridgeOf(s, "h3").Explain(q); !overlay.IsKind(err, overlay.Missing) {
		t.Errorf("a host that has neither: %v", err)
	}
	_, _, err = FindPath(s, "web-2", "10.0.0.3", "prod")
	if !overlay.IsKind(err, overlay.Invalid) || !strings.Contains(err.Error(), "both are a2ffffffffff (10.0.0.3) in prod on h2, and what a container sends to itself") {
		t.Errorf("one endpoint twice: %v", err)
	}
	_, _, err = FindPath(s, "web-2", "db", "")
	if !overlay.IsKind(err, overlay.Invalid) || !strings.Contains(err.Error(), "web-2 is in network prod and db in dev") {
		t.Errorf("different networks: %v", err)
	}
}

func TestExplainCookie(t *testing.T) {
	b := bridgeOf(shop(), "h1")
	cookie := b.Installed[0].Cookie
	if list := slices.Collect(must(b.Explain(Question{Cookie: &cookie}))); len(list) != 1 || list[0].Rule != "from-endpoint" {
		t.Errorf("%+v", list)
	}
	for cookie, says := range map[uint64]string{
		flows.Why{Rule: flows.ToLocal, Endpoint: "gone"}.Cookie(): "to-local: it delivers to an endpoint here",
		77:                 "not ovsnet's",
		0x6f76000000000000: "but this build knows no rule 0, and no flow",
	} {
		if _, err := b.Explain(Question{Cookie: &cookie}); !overlay.IsKind(err, overlay.Missing) || !strings.Contains(err.Error(), says) {
			t.Errorf("%#x: %v", cookie, err)
		}
	}
}

// Garbage is refused with the line and the column, as the user wrote them.
func TestExplainGarbage(t *testing.T) {
	b := bridgeOf(shop(), "h1")
	b.PortNames = map[string]uint32{"ovsnet-vxlan": 1}
	for text, says := range map[string]string{
		"":                                "no flow is in it",
		"NXST_FLOW reply (xid=0x4):\n":    "no flow is in it",
		"table=0, actions=drop\nnonsense": "line 2, column 1:",
		"cookie=0x6f76010000000000, table=0, in_port=1,bogus=3 actions=drop":           "line 1, column 47:",
		`cookie=0x6f76010000000000, in_port="ovsnet-vxlan",bogus=3 actions=drop`:       "line 1, column 51:",
		`cookie=0x6f76010000000000, in_port="ovsnet-vxlan" actions=output:1,nonsense(`: "line 1, column 68:",
		"cookie=0x6f76010000000000, in_port=1 actions=load:0x1->NXM_NX_REG0[0..15]":    "load to unknown field",
	} {
		_, err := b.Explain(Question{Dump: text})
		if !overlay.IsKind(err, overlay.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want it to say %q", text, err, says)
		}
	}
	if _, err := b.Explain(Question{Dump: strings.Repeat("a", 1<<19)}); err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "line 1, column 1:") {
		t.Errorf("of half a megabyte of garbage it says %.1500s", err.Error())
	}
}

func TestParseWords(t *testing.T) {
	for line, kind := range map[string]string{
		"": "elsewhere", "web-1 web-2": "path", "0x6f76": "cookie", "cookie=0x6f76": "cookie", "25": "cookie",
		"cookie=0x0, table=0, priority=0 actions=drop": "dump", "word": "", "three words here": "",
	} {
		w, err := ParseWords(strings.Fields(line))
		got := map[bool]string{true: "", false: "elsewhere"}[err != nil]
		switch {
		case w.Dump != "":
			got = "dump"
		case w.Cookie != nil:
			got = "cookie"
		case w.From != "":
			got = "path"
		}
		if got != kind || kind == "" && !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%q is %q (%v), want %q", line, got, err, kind)
		}
	}
}

// Whatever is given is explained, or refused with a place.
func FuzzExplain(f *testing.F) {
	b := bridgeOf(shop(), "h1")
	b.PortNames = map[string]uint32{"ovsnet-vxlan": 1}
	for _, i := range b.Installed[:12] {
		f.Add(i.String())
	}
	f.Add(`cookie=0x1, in_port="ovsnet-vxlan" actions=resubmit("ovsnet-vxlan",60),mod_dl_src:02:42:0a:00:00:03,load:0x1->NXM_NX_REG0[]`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := b.Explain(Question{Dump: text})
		if err != nil {
			return
		}
		for e := range list {
			if e.Does == "" || e.Why == "" || e.Without == "" || e.Standing == "" {
				t.Errorf("%q: %+v", text, e)
			}
		}
	})
}

// A flow of ovsnet's that somebody made into what is not understood is told as what it was for.
func TestExplainWhatCannotBeRead(t *testing.T) {
	b := broken(t)
	for cookie, want := range map[uint64]string{
		0x6f76161234567890: `Not understood at column 99: unknown field "ct_state".` + "no longer wanted",
		0x6f76051234567890: `Not understood at column 122: unknown action "conjunction(1,1/2)".` + "altered (actions, not understood: unknown action \"conjunction(1,1/2)\", cookie): it should be cookie=",
	} {
		list, err := b.ExplainCookie(cookie)
		if err != nil {
			t.Fatal(err)
		}
		for e := range list {
			if got := e.Does + e.Standing; !strings.HasPrefix(got, want) {
				t.Errorf("%#x is explained as\n%s, want\n%s", cookie, got, want)
			}
		}
	}
}
