package guard

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// example wants some of everything, twice or out of order where it does not matter.
func example() Rules {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	return Rules{Port: 4789, VTEPs: []netip.Addr{v6, v4, netip.MustParseAddr("::ffff:192.0.2.1")}, Links: []string{"ov2", "ov1", "ov2"}}
}

const (
	nearRule  = `add rule inet ovsnet prerouting udp dport 4789 fib saddr . iif oif missing counter drop comment "udp dport 4789 fib saddr . iif oif missing counter drop"`
	v4Rule    = `add rule inet ovsnet postrouting ip saddr 192.0.2.1 udp dport 4789 ct status snat,dnat counter drop comment "ip saddr 192.0.2.1 udp dport 4789 ct status snat,dnat counter drop"`
	v6Rule    = `add rule inet ovsnet postrouting ip6 saddr 2001:db8::1 udp dport 4789 ct status snat,dnat counter drop comment "ip6 saddr 2001:db8::1 udp dport 4789 ct status snat,dnat counter drop"`
	preChain  = "add chain inet ovsnet prerouting { type filter hook prerouting priority -300; policy accept; }"
	postChain = "add chain inet ovsnet postrouting { type filter hook postrouting priority 300; policy accept; }"
)

// linkLines make the chain of a link.
func linkLines(link string) []string {
	return []string{
		"add table netdev ovsnet",
		"add chain netdev ovsnet " + link + ` { type filter hook ingress device "` + link + `" priority 0; policy drop; }`,
		"add rule netdev ovsnet " + link + ` counter drop comment "counter drop"`,
	}
}

func TestPlan(t *testing.T) {
	all := desired(example())
	without := func(names ...string) []chain {
		return slices.DeleteFunc(slices.Clone(all), func(c chain) bool { return slices.Contains(names, c.name) })
	}
	changed := func(name string, change func(*chain)) []chain {
		list := slices.Clone(all)
		for i := range list {
			if list[i].name == name {
				change(&list[i])
			}
		}
		return list
	}
	foreign := chain{declaration: declaration{family: all[0].family, name: "mine", hook: noHook}}
	moved := example()
	moved.VTEPs = moved.VTEPs[1:2]
	for name, c := range map[string]struct {
		want Rules
		have []chain
		plan []string
	}{
		"from nothing": {example(), nil, slices.Concat([]string{
			"add table inet ovsnet", preChain, nearRule, "add table inet ovsnet", postChain, v4Rule, v6Rule,
		}, linkLines("ov1"), linkLines("ov2"))},
		"all there":                {want: example(), have: all},
		"a link came":              {want: example(), have: without("ov1"), plan: linkLines("ov1")},
		"a link went":              {Rules{Port: 4789, VTEPs: example().VTEPs, Links: []string{"ov1"}}, all, []string{"flush chain netdev ovsnet ov2", "delete chain netdev ovsnet ov2"}},
		"an address went":          {Rules{Port: 4789, VTEPs: moved.VTEPs, Links: moved.Links}, all, []string{"flush chain inet ovsnet postrouting", v4Rule}},
		"somebody emptied a chain": {example(), changed("prerouting", func(c *chain) { c.rules = nil }), []string{"flush chain inet ovsnet prerouting", nearRule}},
		"somebody added a rule":    {example(), changed("prerouting", func(c *chain) { c.rules = append([]rule{{}}, c.rules...) }), []string{"flush chain inet ovsnet prerouting", nearRule}},
		"somebody hung a chain elsewhere": {example(), changed("prerouting", func(c *chain) { c.priority = 0 }),
			[]string{"flush chain inet ovsnet prerouting", "delete chain inet ovsnet prerouting", "add table inet ovsnet", preChain, nearRule}},
		"somebody's chain": {example(), append(slices.Clone(all), foreign), []string{"flush chain inet ovsnet mine", "delete chain inet ovsnet mine"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.plan, lines(plan(desired(c.want), c.have))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func lines(operations []operation) []string {
	var all []string
	for _, o := range operations {
		all = append(all, o.String())
	}
	return all
}

func TestRemoval(t *testing.T) {
	want := "add table inet ovsnet\ndelete table inet ovsnet\nadd table netdev ovsnet\ndelete table netdev ovsnet"
	if got := strings.Join(lines(removal()), "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// Whatever was there, after the plan there is what is wanted, and the plan from there is empty.
func TestPlanReachesWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have := drawRules(t, "have")
		want := drawRules(t, "want")
		chains := desired(have)
		for i := range chains {
			switch rapid.IntRange(0, 3).Draw(t, "damage") {
			case 0:
				chains[i].rules = nil
			case 1:
				chains[i].priority++
			}
		}
		got := carriedOut(t, chains, plan(desired(want), chains))
		if left := plan(desired(want), got); len(left) != 0 {
			t.Fatalf("left to do: %q", lines(left))
		}
		if len(got) != len(desired(want)) {
			t.Fatalf("%d chains, want %d", len(got), len(desired(want)))
		}
	})
}

func drawRules(t *rapid.T, label string) Rules {
	addrs := rapid.SliceOfN(rapid.SampledFrom(example().VTEPs), 0, 3).Draw(t, label+" addresses")
	links := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 5).Draw(t, label+" links")
	return Rules{Port: rapid.SampledFrom([]uint16{4789, 8472}).Draw(t, label+" port"), VTEPs: addrs, Links: links}
}

// carriedOut is what the kernel would hold after the operations, and fails where it would refuse one.
func carriedOut(t *rapid.T, have []chain, operations []operation) []chain {
	held := byKey(have)
	for _, o := range operations {
		k := key{o.chain.family, o.chain.name}
		c, there := held[k]
		switch o.verb {
		case addChain:
			if there {
				t.Fatalf("%s: it is there", o)
			}
			held[k] = chain{declaration: o.chain}
		case deleteChain:
			if !there || len(c.rules) > 0 {
				t.Fatalf("%s: there %v with %d rules", o, there, len(c.rules))
			}
			delete(held, k)
		case flushChain:
			c.rules = nil
			held[k] = c
		case addRule:
			c.rules = append(slices.Clone(c.rules), o.rule)
			held[k] = c
		}
	}
	var left []chain
	for _, c := range held {
		left = append(left, c)
	}
	return left
}
