package guard

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func addrs(words ...string) []netip.Addr {
	all := []netip.Addr{}
	for _, w := range words {
		all = append(all, netip.MustParseAddr(w))
	}
	return all
}

// example wants some of everything, twice or out of order where it does not matter.
func example() Rules {
	return Rules{
		Port: 4789, VTEPs: addrs("2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1"), Peers: addrs("192.0.2.2", "192.0.2.1"),
		Links: []string{"ov2", "ov1", "ov2"},
	}
}

// tables are the lines that make both tables, sets those of the sets, inet those of the chains of table inet.
var (
	tables = []string{"add table inet ovsnet", "add table netdev ovsnet"}
	sets   = []string{
		"add set inet ovsnet vteps4 { type ipv4_addr; }", "add element inet ovsnet vteps4 { 192.0.2.1, 192.0.2.2 }",
		"add set inet ovsnet vteps6 { type ipv6_addr; }", "add element inet ovsnet vteps6 { 2001:db8::1 }",
	}
	inet = []string{
		"add chain inet ovsnet prerouting { type filter hook prerouting priority -300; policy accept; }",
		"add chain inet ovsnet tunnel", "add chain inet ovsnet arriving", "add chain inet ovsnet claimed",
		"add chain inet ovsnet output { type filter hook output priority -300; policy accept; }",
		"add chain inet ovsnet postrouting { type filter hook postrouting priority 300; policy accept; }",
		"add chain inet ovsnet translated",
	}
)

const linkRule = `counter drop comment "what a container sends here is Open vSwitch's alone"`

func linkChain(link string) string {
	return "add chain netdev ovsnet " + link + ` { type filter hook ingress device "` + link + `" priority 0; policy drop; }`
}

// rulesOf are the lines that make the rules of the chain of table inet, when all of the example is made.
func rulesOf(chain string) []string {
	return slices.DeleteFunc(lines(plan(desired(example(), ruleset{}), ruleset{})), func(line string) bool {
		return !strings.HasPrefix(line, "add rule inet ovsnet "+chain+" ")
	})
}

func TestPlan(t *testing.T) {
	all := desired(example(), ruleset{})
	fewer, unknown, gone := example(), example(), example()
	fewer.VTEPs, fewer.Links, unknown.Peers, gone.Peers = fewer.VTEPs[1:], []string{"ov1"}, nil, addrs("192.0.2.3")
	fresh := slices.Concat(tables, sets, inet, []string{linkChain("ov1"), linkChain("ov2")})
	for _, c := range all.chains {
		for _, r := range c.rules {
			fresh = append(fresh, plain(operation{verb: addRule, chain: c.declaration, rule: r}.String()))
		}
	}
	anew := slices.DeleteFunc(append([]string{"delete table inet ovsnet"}, fresh...), func(line string) bool { return strings.Contains(line, " netdev ") })
	for name, c := range map[string]struct {
		want Rules
		have ruleset
		plan []string
	}{
		"from nothing":                    {example(), ruleset{}, fresh},
		"all there":                       {want: example(), have: all},
		"peers are not known yet":         {want: unknown, have: all},
		"a link came":                     {example(), all.but("ov1"), []string{linkChain("ov1"), "add rule netdev ovsnet ov1 " + linkRule}},
		"a peer came, another went":       {gone, all, []string{"delete element inet ovsnet vteps4 { 192.0.2.2 }", "add element inet ovsnet vteps4 { 192.0.2.3 }"}},
		"somebody emptied a chain":        {example(), all.with("claimed", func(c *chain) { c.rules = nil }), append([]string{"flush chain inet ovsnet claimed"}, rulesOf("claimed")...)},
		"somebody added a rule":           {example(), all.with("claimed", func(c *chain) { c.rules = append([]rule{{}}, c.rules...) }), append([]string{"flush chain inet ovsnet claimed"}, rulesOf("claimed")...)},
		"a rule of another build":         {example(), all.with("tunnel", func(c *chain) { c.rules[0].comment += "x" }), append([]string{"flush chain inet ovsnet tunnel"}, rulesOf("tunnel")...)},
		"somebody switched a table off":   {example(), all.flagged(nftables.TableFamilyINet, 1), anew},
		"somebody hung a chain elsewhere": {example(), all.with("prerouting", func(c *chain) { c.priority = 0 }), anew},
		"somebody's chain":                {example(), all.and(chain{declaration: declaration{family: nftables.TableFamilyINet, name: "mine", hook: noHook}}), anew},
		"somebody's set":                  {example(), ruleset{flags: all.flags, chains: all.chains, sets: append(slices.Clone(all.sets), set{name: "mine", odd: true})}, anew},
		"somebody's chain at a link": {example(), all.with("ov2", func(c *chain) { c.priority = 5 }),
			[]string{"flush chain netdev ovsnet ov2", "delete chain netdev ovsnet ov2", linkChain("ov2"), "add rule netdev ovsnet ov2 " + linkRule}},
		"an address and a link went": {fewer, all, slices.Concat(
			[]string{"flush chain inet ovsnet tunnel", "flush chain inet ovsnet output", "flush chain inet ovsnet translated", "flush chain netdev ovsnet ov2",
				"delete chain netdev ovsnet ov2", "delete element inet ovsnet vteps6 { 2001:db8::1 }"},
			only("192.0.2.1", rulesOf("tunnel")), rulesOf("tunnel")[2:], only("192.0.2.1", rulesOf("output")), only("192.0.2.1", rulesOf("translated")))},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.plan, lines(plan(desired(c.want, c.have), c.have))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func only(word string, lines []string) []string {
	return slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, word) })
}

// but, with, and, flagged give the ruleset with a change.
func (r ruleset) but(name string) ruleset {
	r.chains = slices.DeleteFunc(slices.Clone(r.chains), func(c chain) bool { return c.name == name })
	return r
}

func (r ruleset) with(name string, change func(*chain)) ruleset {
	r.chains = slices.Clone(r.chains)
	for i := range r.chains {
		if r.chains[i].name == name {
			r.chains[i].rules = slices.Clone(r.chains[i].rules)
			change(&r.chains[i])
		}
	}
	return r
}

func (r ruleset) and(c chain) ruleset {
	r.chains = append(slices.Clone(r.chains), c)
	return r
}

func (r ruleset) flagged(family nftables.TableFamily, flags uint32) ruleset {
	r.flags = maps.Clone(r.flags)
	r.flags[family] = flags
	return r
}

// lines are the operations without the digests in their comments.
func lines(operations []operation) []string {
	var all []string
	for _, o := range operations {
		all = append(all, plain(o.String()))
	}
	return all
}

// Where no peer is known, whoever sends from elsewhere than its link leads to is suspected.
func TestUnknownPeersSuspectAll(t *testing.T) {
	want := example()
	want.Peers = nil
	made := desired(want, ruleset{})
	if len(made.sets) > 0 {
		t.Errorf("sets %v", made.sets)
	}
	if words := byKey(made.chains)[key{nftables.TableFamilyINet, "claimed"}].rules; len(words) != 1 || words[0].words != "fib saddr . iif oif missing counter drop" {
		t.Errorf("rules %v", words)
	}
	left := plan(desired(example(), made), made)
	if text := strings.Join(lines(left), "\n"); !strings.Contains(text, "flush chain inet ovsnet claimed") || strings.Contains(text, "delete table") {
		t.Errorf("when they are known:\n%s", text)
	}
}

func TestDigestFollowsTheMeaning(t *testing.T) {
	match := func(mask byte) rule {
		return newRule("why", part{"the same words", []expr.Any{&expr.Cmp{Register: register, Data: []byte{mask}}}})
	}
	if a, b := match(1), match(2); a.words != b.words || a.comment == b.comment || a.comment != match(1).comment {
		t.Errorf("comments %q and %q", a.comment, b.comment)
	}
}

func TestManyPeersAreManyOperations(t *testing.T) {
	want := Rules{Port: 4789, VTEPs: addrs("192.0.2.1")}
	for i := range 250 {
		want.Peers = append(want.Peers, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}))
	}
	count := 0
	for _, o := range plan(desired(want, ruleset{}), ruleset{}) {
		if o.verb == addElements && len(o.set.addrs) > elementsPerOperation {
			t.Errorf("%d elements in one operation", len(o.set.addrs))
		}
		if o.verb == addElements {
			count += len(o.set.addrs)
		}
	}
	if count != 251 {
		t.Errorf("%d elements, want 251", count)
	}
}

func TestRemoval(t *testing.T) {
	all := desired(example(), ruleset{})
	if diff := cmp.Diff([]string{"delete table inet ovsnet", "delete table netdev ovsnet"}, lines(removal(all))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if left := removal(ruleset{}); len(left) > 0 {
		t.Errorf("of nothing: %q", lines(left))
	}
}

// The kernel says of a link that went and of a module that it lacks the same, so what it says of the same twice counts.
func TestSettle(t *testing.T) {
	attempts := func(errs ...error) (func() ([]operation, error), *int) {
		count := 0
		return func() ([]operation, error) {
			err := errs[min(count, len(errs)-1)]
			count++
			return []operation{{verb: addChain, chain: declaration{name: fmt.Sprint("ov", count)}}}, err
		}, &count
	}
	churn, count := attempts(unix.ENOENT, unix.ENOENT, unix.EBUSY, unix.ENOENT, nil)
	if err := settle(churn); err != nil || *count != 5 {
		t.Errorf("links that come and go: %v after %d attempts", err, *count)
	}
	endless, _ := attempts(unix.ENOENT)
	if err := explain(t.Context(), settle(endless), "ensure"); err == nil || strings.Contains(err.Error(), "lacks") {
		t.Errorf("links that come and go all the time: %v", err)
	}
	tries := 0
	err := explain(t.Context(), settle(func() ([]operation, error) { tries++; return []operation{{verb: addTable}}, unix.ENOENT }), "ensure")
	if err == nil || !strings.Contains(err.Error(), "lacks a part of nftables") || tries != 2 {
		t.Errorf("a kernel that refuses the same twice: %v after %d attempts", err, tries)
	}
}

// Whatever was there, after the plan there is what is wanted, and the plan from there is empty.
func TestPlanReachesWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := desired(drawRules(t, "have"), ruleset{})
		want := drawRules(t, "want")
		for i := range before.chains {
			switch rapid.IntRange(0, 5).Draw(t, "damage") {
			case 0:
				before.chains[i].rules = nil
			case 1:
				before.chains[i].priority++
			}
		}
		if rapid.IntRange(0, 4).Draw(t, "dormant") == 0 {
			before.flags[nftables.TableFamilyINet] = 1
		}
		goal := desired(want, before)
		got := carriedOut(t, before, plan(goal, before))
		if left := plan(desired(want, got), got); len(left) != 0 {
			t.Fatalf("left to do: %q", lines(left))
		}
		if len(got.chains) != len(goal.chains) || len(got.sets) != len(goal.sets) {
			t.Fatalf("%d chains and %d sets, want %d and %d", len(got.chains), len(got.sets), len(goal.chains), len(goal.sets))
		}
	})
}

func drawRules(t *rapid.T, label string) Rules {
	some := rapid.SliceOfN(rapid.SampledFrom(example().VTEPs), 0, 3)
	links := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 5).Draw(t, label+" links")
	want := Rules{Port: rapid.SampledFrom([]uint16{4789, 8472}).Draw(t, label+" port"), VTEPs: some.Draw(t, label+" addresses"), Links: links}
	if rapid.Bool().Draw(t, label+" knows peers") {
		want.Peers = append(addrs("192.0.2.9"), some.Draw(t, label+" peers")...)
	}
	return want
}

// carriedOut is what the kernel would hold after the operations, and fails where it would refuse one.
func carriedOut(t *rapid.T, have ruleset, operations []operation) ruleset {
	left := have.flagged(nftables.TableFamilyINet, have.flags[nftables.TableFamilyINet])
	if len(have.chains) == 0 {
		left.flags = map[nftables.TableFamily]uint32{}
	}
	for _, o := range operations {
		family := o.chain.family
		if o.verb == addSet || o.verb == addElements || o.verb == deleteElements {
			family = nftables.TableFamilyINet
		}
		if _, there := left.flags[family]; !there && o.verb != addTable {
			t.Fatalf("%s: no table", o)
		}
		left = left.after(t, o)
	}
	return left
}

func (r ruleset) after(t *rapid.T, o operation) ruleset {
	i := slices.IndexFunc(r.chains, func(c chain) bool { return c.family == o.chain.family && c.name == o.chain.name })
	j := slices.IndexFunc(r.sets, func(s set) bool { return s.name == o.set.name })
	refuse := func(when bool) {
		if when {
			t.Fatalf("%s is refused", o)
		}
	}
	switch o.verb {
	case addTable:
		return r.flagged(o.chain.family, 0)
	case deleteTable:
		return r.without(o.chain.family)
	case addSet:
		refuse(j >= 0)
		r.sets = append(slices.Clone(r.sets), o.set)
	case addElements, deleteElements:
		refuse(j < 0)
		r.sets = slices.Clone(r.sets)
		kept := missingFrom(o.set.addrs, r.sets[j].addrs)
		if o.verb == addElements {
			kept = unmapped(append(kept, o.set.addrs...))
		}
		r.sets[j].addrs = kept
	case addChain:
		refuse(i >= 0)
		return r.and(chain{declaration: o.chain})
	case deleteChain:
		refuse(i < 0 || len(r.chains[i].rules) > 0)
		return r.but(o.chain.name)
	case flushChain:
		refuse(i < 0)
		return r.with(o.chain.name, func(c *chain) { c.rules = nil })
	case addRule:
		refuse(i < 0)
		return r.with(o.chain.name, func(c *chain) { c.rules = append(c.rules, o.rule) })
	}
	return r
}
