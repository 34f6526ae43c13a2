package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// sure makes a list of one that may end in an error.
func sure[T any](lines iter.Seq[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for l := range lines {
			if !yield(l, nil) {
				return
			}
		}
	}
}

func text(t *testing.T, b Bridge, f Filter, style Style) string {
	t.Helper()
	lines, err := b.Lines(f)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := WriteLines(&out, sure(lines), style); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestLines(t *testing.T) {
	golden(t, "list.txt", text(t, broken(t), Filter{}, Style{}))
	golden(t, "list-wide.txt", text(t, broken(t), Filter{Network: "prod"}, Style{Wide: true}))
	golden(t, "list-color.txt", text(t, broken(t), Filter{Table: "Forward"}, Style{Color: true}))
	if got := text(t, bridgeOf(shop(), "h1"), Filter{Rule: "foreign"}, Style{}); got != "" {
		t.Errorf("an empty list prints %q", got)
	}
}

// An error that ends the lines comes after those before it.
func TestLinesThatBreakOff(t *testing.T) {
	broken := errors.New("broken")
	var out bytes.Buffer
	err := WriteLines(&out, func(yield func(Line, error) bool) {
		_ = yield(Line{TableName: "Classify", Reason: "packets from web-1"}, nil) && yield(Line{}, broken)
	}, Style{})
	if !errors.Is(err, broken) || !strings.Contains(out.String(), "packets from web-1") {
		t.Errorf("error %v, printed %q", err, out.String())
	}
}

// Every filter takes exactly the flows that the words of its help say.
func TestFilters(t *testing.T) {
	b := broken(t)
	all := slices.Collect(must(b.Lines(Filter{})))
	prod, dev := "prod00000000000000000000000000000", "dev00000000000000000000000000000"
	mentions := func(l Line, words ...string) bool {
		return l.State != Installed && l.State != Missing && l.State != Altered && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(l.Match, w) })
	}
	for _, tt := range []struct {
		name   string
		filter Filter
		takes  func(Line) bool
	}{
		{"network by name", Filter{Network: "prod"}, func(l Line) bool { return l.Network == prod || mentions(l, "metadata=0x1000") }},
		{"network by ID", Filter{Network: dev}, func(l Line) bool { return l.Network == dev }},
		{"network by the beginning of its ID", Filter{Network: "dev000000000"}, func(l Line) bool { return l.Network == dev }},
		{"table by name", Filter{Table: "forward"}, func(l Line) bool { return l.Table == flows.Forward }},
		{"table by number", Filter{Table: "40"}, func(l Line) bool { return l.Table == flows.ArpResponder }},
		{"rule", Filter{Rule: "to-remote"}, func(l Line) bool { return l.Rule == "to-remote" }},
		{"foreign", Filter{Rule: "foreign"}, func(l Line) bool { return l.State == Foreign }},
		{"active", Filter{Active: 5}, func(l Line) bool { return l.Packets > 0 && l.Idle <= 5 }},
		{"dropped", Filter{Dropped: true}, func(l Line) bool { return l.Drops && l.Packets > 0 }},
		{"endpoint by name", Filter{Endpoint: "web-2"}, func(l Line) bool { return strings.HasPrefix(l.Endpoint, "a2") || mentions(l, "02:42:0a:00:00:03") }},
		{"endpoint by ID", Filter{Endpoint: "a1fff"}, func(l Line) bool { return strings.HasPrefix(l.Endpoint, "a1") }},
		{"endpoint by IP", Filter{Endpoint: "10.0.0.4"}, func(l Line) bool { return strings.HasPrefix(l.Endpoint, "a3") }},
		{"endpoint by MAC", Filter{Endpoint: "02:42:0A:00:00:04"}, func(l Line) bool { return strings.HasPrefix(l.Endpoint, "a3") }},
		{"endpoint and network", Filter{Endpoint: "web-1", Network: "dev"}, func(l Line) bool { return strings.HasPrefix(l.Endpoint, "b3") }},
		{"two at once", Filter{Endpoint: "web-2", Table: "ArpResponder"}, func(l Line) bool { return strings.HasPrefix(l.Endpoint, "a2") && l.Table == flows.ArpResponder }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := slices.DeleteFunc(slices.Clone(all), func(l Line) bool { return !tt.takes(l) })
			got := slices.Collect(must(b.Lines(tt.filter)))
			if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 || len(got) == len(all) {
				t.Errorf("%d of %d flows (-want +got):\n%s", len(got), len(all), diff)
			}
		})
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestBadFilters(t *testing.T) {
	b := bridgeOf(shop(), "h1")
	for _, tt := range []struct {
		filter Filter
		kind   overlay.Kind
		says   string
	}{
		{Filter{Table: "Nowhere"}, overlay.Missing, "use one of Classify, TunnelIn"},
		{Filter{Rule: "none"}, overlay.Missing, "arp-answer"},
		{Filter{Network: "none"}, overlay.Missing, "no such network"},
		{Filter{Endpoint: "none"}, overlay.Missing, "no such endpoint"},
		{Filter{Endpoint: "web-2", Network: "dev"}, overlay.Missing, "network dev has no such endpoint; it could be a2ffffffffff (10.0.0.3) in prod on h2; name another --network"},
		{Filter{Endpoint: "web-1"}, overlay.Invalid, "b3ffffffffff (10.0.0.3) in dev on h3; a1ffffffffff (10.0.0.2) in prod on h1"},
		{Filter{Active: -1}, overlay.Invalid, "above 0"},
	} {
		_, err := b.Lines(tt.filter)
		if !overlay.IsKind(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%+v: %v, want it to say %q", tt.filter, err, tt.says)
		}
	}
}

func unified(t *testing.T, b Bridge, style Style) string {
	t.Helper()
	var out bytes.Buffer
	if err := b.Compare().WriteUnified(&out, style); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestDiff(t *testing.T) {
	b := broken(t)
	for i, f := range b.Installed {
		if flows.RuleOf(f.Cookie) == flows.FloodFromHere {
			b.Installed[i].Actions, b.Installed[i].Cookie, b.Installed[i].Options = flows.NewActions(), 0x77, "idle_timeout=9 "
			break
		}
	}
	golden(t, "broken-wide.diff", unified(t, b, Style{Wide: true}))
	golden(t, "broken.diff", unified(t, broken(t), Style{}))
	if got := unified(t, bridgeOf(shop(), "h1"), Style{Wide: true}); got != "" {
		t.Errorf("flows that agree print %q", got)
	}
}

// An agent of an older build tells nothing that only a wide diff shows, and nothing is made up for it.
func TestWideDiffOfAnOlderAgent(t *testing.T) {
	older := Difference{Line: Line{State: Missing, Table: 60, TableName: "Forward", Reason: "missing: delivery to web-1"}, Desired: "table=60 actions=output:2"}
	if got := older.details(Style{Wide: true}); got != nil {
		t.Errorf("it is told %q", got)
	}
}

// A diff, applied as patch(1) does to a listing of what is installed, makes a
// listing of what is desired, whatever differs.
func TestDiffIsAPatch(t *testing.T) {
	s := shop()
	rapid.Check(t, func(rt *rapid.T) {
		b := bridgeOf(s, "h1")
		desired := slices.Clone(b.Installed)
		b.Installed = slices.DeleteFunc(b.Installed, func(flows.Installed) bool { return rapid.IntRange(0, 3).Draw(rt, "delete") == 0 })
		for i := range b.Installed {
			switch rapid.IntRange(0, 8).Draw(rt, "alter") {
			case 0:
				b.Installed[i].Actions = flows.NewActions(flows.Output(9))
			case 1:
				b.Installed[i].Cookie++
			case 2:
				b.Installed[i].Options = "idle_timeout=7 "
			}
		}
		for n := range rapid.IntRange(0, 5).Draw(rt, "more") {
			f := flows.Installed{Flow: flows.Flow{Key: flows.Key{Table: rapid.SampledFrom(append(flows.Tables(), 99)).Draw(rt, "table"), Priority: uint16(300 + n)}}}
			if rapid.Bool().Draw(rt, "ours") {
				f.Cookie = desired[0].Cookie
			}
			b.Installed = append(b.Installed, f)
		}
		var have, want []string
		for p := range b.pairs() {
			if p.has != nil {
				have = append(have, written(*p.has))
			}
		}
		for _, f := range desired {
			want = append(want, written(f))
		}
		if diff := cmp.Diff(want, patch(rt, have, unified(t, b, Style{Wide: rapid.Bool().Draw(rt, "wide")}))); diff != "" {
			rt.Errorf("(-desired +patched):\n%s", diff)
		}
	})
}

// patch applies a unified diff without context.
func patch(t *rapid.T, lines []string, diff string) []string {
	hunk := regexp.MustCompile(`^@@ -(\d+)(,0)? \+(\d+)(,0)? @@`)
	var out []string
	next := 0
	copyTo := func(n int) {
		out = append(out, lines[next:n]...)
		next = n
	}
	for line := range strings.Lines(diff) {
		line = strings.TrimSuffix(line, "\n")
		switch m := hunk.FindStringSubmatch(line); {
		case m != nil:
			at, _ := strconv.Atoi(m[1])
			if m[2] == "" {
				at--
			}
			copyTo(at)
			if to, _ := strconv.Atoi(m[3]); m[4] == "" && to != len(out)+1 || m[4] != "" && to != len(out) {
				t.Fatalf("%s is at line %d of the result", line, len(out))
			}
		case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "#"):
		case line[0] == '-':
			if lines[next] != line[1:] {
				t.Fatalf("line %d is %q, the diff takes away %q", next+1, lines[next], line[1:])
			}
			next++
		case line[0] == '+':
			out = append(out, line[1:])
		default:
			t.Fatalf("no line of a diff: %q", line)
		}
	}
	copyTo(len(lines))
	return out
}

// Every rule has a name by which a list can be narrowed, and every flow's rule is
// one of them.
func TestEveryRuleIsListed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range flows.Rules() {
		if r.String() == foreignRule || seen[r.String()] {
			t.Errorf("rule %d is called %q", r, r)
		}
		seen[r.String()] = true
	}
	for line := range must(bridgeOf(shop(), "h1").Lines(Filter{})) {
		if !seen[line.Rule] {
			t.Errorf("a flow of rule %q", line.Rule)
		}
	}
}

// A brief list looks the same to people, and leaves out the rest of what is as it should be.
func TestBriefLines(t *testing.T) {
	b := broken(t)
	var text [2]strings.Builder
	for i, f := range []Filter{{}, {Brief: true}} {
		lines, err := b.Lines(f)
		if err == nil {
			err = WriteLines(&text[i], sure(lines), Style{})
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range lines {
			if f.Brief && (line.State == Installed) != (line.Cookie == "") {
				t.Errorf("line %+v", line)
			}
		}
	}
	if diff := cmp.Diff(text[0].String(), text[1].String()); diff != "" {
		t.Errorf("brief lines look another way (-all +brief):\n%s", diff)
	}
}

func BenchmarkLines(b *testing.B) {
	benchmark(b, func(x Bridge) error {
		lines, err := x.Lines(Filter{})
		if err != nil {
			return err
		}
		return WriteLines(discard{}, sure(lines), Style{})
	})
}

func BenchmarkDiff(b *testing.B) {
	benchmark(b, func(x Bridge) error { return x.Compare().WriteUnified(discard{}, Style{}) })
}

func BenchmarkExplainDump(b *testing.B) {
	benchmark(b, func(x Bridge) error {
		return WriteExplanations(discard{}, sure(x.ExplainDump(slices.Clone(x.Installed))), Style{})
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// benchmark measures on a host with 10,000 endpoints around it, and with as many
// on it.
func benchmark(b *testing.B, do func(Bridge) error) {
	for name, local := range map[string]int{"around": 50, "here": 10000} {
		edit := shop().Edit()
		network := "prod00000000000000000000000000000"
		n, _ := edit.Snapshot().Network(network)
		n.Subnets = []overlay.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}
		edit.SetNetwork(n)
		ip := addr("10.0.1.0")
		for i := range 10000 {
			ip = ip.Next()
			node := "h2"
			if i < local {
				node = "h1"
			}
			edit.SetEndpoint(overlay.Endpoint{ID: fmt.Sprintf("c%06d", i), Network: network, Node: node, IPv4: ip, MAC: overlay.MACFromAddr(ip)})
		}
		bridge := bridgeOf(edit.Snapshot(), "h1")
		b.Run(fmt.Sprintf("%s/flows=%d", name, len(bridge.Installed)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				// What is desired is compiled anew, as for every inquiry.
				if err := do(NewBridge(bridge.Snapshot, bridge.Host, bridge.Route, bridge.Installed)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What one word could mean is listed, and not without end.
func TestManyOfOneBeginning(t *testing.T) {
	edit := shop().Edit()
	for i := range 30 {
		edit.SetEndpoint(overlay.Endpoint{ID: fmt.Sprintf("cafe%02d", i), Network: "prod00000000000000000000000000000", Node: "h1"})
	}
	_, err := FindEndpoint(edit.Snapshot(), "cafe", "")
	if !overlay.IsKind(err, overlay.Invalid) || strings.Count(err.Error(), " on h1") != mostListed || !strings.Contains(err.Error(), "and 20 more") {
		t.Error(err)
	}
}

// A network goes by its name, and by so much of its ID that it is the only one.
func TestFindNetwork(t *testing.T) {
	edit := overlay.NewSnapshot().Edit()
	for id, name := range map[string]string{"cafe01": "web", "cafe02": "cafe01", "beef": "cafe"} {
		edit.SetNetwork(overlay.Network{ID: id, Name: name})
	}
	for word, want := range map[string]string{"web": "cafe01", "cafe01": "cafe02", "cafe": "beef", "cafe02": "cafe02", "beef": "beef"} {
		if n, err := FindNetwork(edit.Snapshot(), word); err != nil || n.ID != want {
			t.Errorf("%q is %s (%v), want %s", word, n.ID, err, want)
		}
	}
	for word, kind := range map[string]overlay.Kind{"cafe0": overlay.Invalid, "bee": overlay.Missing, "": overlay.Missing} {
		if _, err := FindNetwork(edit.Snapshot(), word); !overlay.IsKind(err, kind) {
			t.Errorf("%q: %v", word, err)
		}
	}
}

// Thousands of foreign flows are not each held against all others.
func TestManyForeignFlows(t *testing.T) {
	b := bridgeOf(shop(), "h1")
	for i := range 2 * mostShadows {
		f, err := flows.ParseLine(fmt.Sprintf("cookie=0x5, table=60, priority=%d,ip actions=drop", 1000+i))
		if err != nil {
			t.Fatal(err)
		}
		b.Installed = append(b.Installed, f)
	}
	said := map[string]int{}
	for d := range b.Compare().Differences {
		said[d.Reason]++
	}
	told, untold := "not ovsnet's; it takes packets from: delivery to web-1 (10.0.0.2) in prod, on h1, and from 8 more", "not ovsnet's; whose packets it takes is told of the first 50 such flows"
	if said[told] != mostShadows || said[untold] != mostShadows {
		t.Errorf("the differences are %v", said)
	}
	for e := range b.ExplainDump(b.Installed) {
		said[e.Reason]++
	}
	if said[told] != 2*mostShadows || said[untold] != 2*mostShadows {
		t.Errorf("with explanations it is told %d times and not told %d times", said[told], said[untold])
	}
}

// A foreign flow about an endpoint's IPv6 address is one of that endpoint's.
func TestForeignFlowOfAnIPv6Address(t *testing.T) {
	edit := shop().Edit()
	e, _ := edit.Snapshot().Endpoint("prod00000000000000000000000000000", "a1ffffffffffffffffffff")
	e.IPv6 = addr("fd00::2")
	edit.SetEndpoint(e)
	for _, match := range []string{"ipv6,ipv6_src=fd00::2", "ipv6,ipv6_dst=fd00::2", "icmp6,icmp_type=135,nd_target=fd00::2"} {
		b := bridgeOf(edit.Snapshot(), "h1")
		f, err := flows.ParseLine("cookie=0x5, table=60, priority=7," + match + " actions=drop")
		if err != nil {
			t.Fatal(err)
		}
		b.Installed = append(b.Installed, f)
		if list := slices.Collect(must(b.Lines(Filter{Endpoint: "fd00::2", Rule: foreignRule}))); len(list) != 1 {
			t.Errorf("%s: %d flows", match, len(list))
		}
	}
}
