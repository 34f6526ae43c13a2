package guard

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// verb is what an operation does.
type verb int

const (
	addTable verb = iota
	deleteTable
	addSet
	addElements
	deleteElements
	addChain
	flushChain
	deleteChain
	addRule
)

// operation is one step of a transaction. A table's has its family in chain, a set's the addresses in question.
type operation struct {
	verb  verb
	chain declaration
	rule  rule
	set   set
}

// families are those of our tables, in the order in which they are made.
var families = []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyNetdev}

// key is a chain's identity.
type key struct {
	family nftables.TableFamily
	name   string
}

// plan are the operations that turn what is there into what is wanted: none where nothing differs.
func plan(want, have ruleset) []operation {
	var operations []operation
	for _, family := range families {
		if _, there := have.flags[family]; there && beyondRepair(family, want, have) {
			operations = append(operations, onTable(deleteTable, family))
			have = have.without(family)
		}
	}
	clear := clearing(want, have)
	operations = append(operations, clear...)
	for _, family := range families {
		_, wanted := want.flags[family]
		if _, there := have.flags[family]; wanted && !there {
			operations = append(operations, onTable(addTable, family))
		}
	}
	operations = append(operations, settingSets(want.sets, have.sets)...)
	return append(operations, adding(want, have)...)
}

// beyondRepair says whether the table must be made anew: it is switched off or somebody's, or it holds what does not
// belong there, which may hold on to what does.
func beyondRepair(family nftables.TableFamily, want, have ruleset) bool {
	if have.flags[family] != 0 {
		return true
	}
	if family != nftables.TableFamilyINet {
		return false
	}
	wanted := byKey(want.chains)
	foreign := func(c chain) bool {
		w, stays := wanted[key{c.family, c.name}]
		return c.family == family && (!stays || w.declaration != c.declaration)
	}
	return slices.ContainsFunc(have.chains, foreign) || slices.ContainsFunc(have.sets, func(s set) bool {
		return s.odd || !slices.ContainsFunc(want.sets, func(w set) bool { return w.name == s.name && w.kind == s.kind })
	})
}

// without is the ruleset without the table of the family.
func (r ruleset) without(family nftables.TableFamily) ruleset {
	left := ruleset{flags: map[nftables.TableFamily]uint32{}, sets: r.sets}
	for f, flags := range r.flags {
		if f != family {
			left.flags[f] = flags
		}
	}
	if family == nftables.TableFamilyINet {
		left.sets = nil
	}
	left.chains = slices.DeleteFunc(slices.Clone(r.chains), func(c chain) bool { return c.family == family })
	return left
}

// clearing empties the chains whose rules change, and takes away those that must go.
func clearing(want, have ruleset) []operation {
	wanted := byKey(want.chains)
	var cleared, removed []operation
	for _, h := range have.chains {
		w, stays := wanted[key{h.family, h.name}]
		stays = stays && w.declaration == h.declaration
		if stays && sameRules(w.rules, h.rules) {
			continue
		}
		cleared = append(cleared, operation{verb: flushChain, chain: h.declaration})
		if !stays {
			removed = append(removed, operation{verb: deleteChain, chain: h.declaration})
		}
	}
	return append(cleared, removed...)
}

// adding makes the chains that are missing, and then the rules: a rule may lead to any chain.
func adding(want, have ruleset) []operation {
	there := byKey(have.chains)
	var chains, rules []operation
	for _, w := range want.chains {
		h, stays := there[key{w.family, w.name}]
		stays = stays && h.declaration == w.declaration
		if stays && sameRules(w.rules, h.rules) {
			continue
		}
		if !stays {
			chains = append(chains, operation{verb: addChain, chain: w.declaration})
		}
		for _, r := range w.rules {
			rules = append(rules, operation{verb: addRule, chain: w.declaration, rule: r})
		}
	}
	return append(chains, rules...)
}

// elementsPerOperation bounds what one message carries.
const elementsPerOperation = 100

// settingSets makes the sets that are missing and what differs in them.
func settingSets(want, have []set) []operation {
	var operations []operation
	for _, w := range want {
		var there []netip.Addr
		i := slices.IndexFunc(have, func(h set) bool { return h.name == w.name })
		if i >= 0 {
			there = have[i].addrs
		} else {
			operations = append(operations, operation{verb: addSet, set: set{name: w.name, kind: w.kind}})
		}
		operations = append(operations, elements(deleteElements, w, missingFrom(w.addrs, there))...)
		operations = append(operations, elements(addElements, w, missingFrom(there, w.addrs))...)
	}
	return operations
}

// missingFrom are those of the addresses that the sorted list has not.
func missingFrom(sorted, addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(addr netip.Addr) bool {
		_, found := slices.BinarySearchFunc(sorted, addr, netip.Addr.Compare)
		return found
	})
}

func elements(v verb, of set, addrs []netip.Addr) []operation {
	var operations []operation
	for some := range slices.Chunk(addrs, elementsPerOperation) {
		operations = append(operations, operation{verb: v, set: set{name: of.name, kind: of.kind, addrs: some}})
	}
	return operations
}

// removal takes the tables away that are there.
func removal(have ruleset) []operation {
	var operations []operation
	for _, family := range families {
		if _, there := have.flags[family]; there {
			operations = append(operations, onTable(deleteTable, family))
		}
	}
	return operations
}

func onTable(v verb, family nftables.TableFamily) operation {
	return operation{verb: v, chain: declaration{family: family}}
}

func byKey(chains []chain) map[key]chain {
	all := make(map[key]chain, len(chains))
	for _, c := range chains {
		all[key{c.family, c.name}] = c
	}
	return all
}

func sameRules(a, b []rule) bool {
	return slices.EqualFunc(a, b, func(a, b rule) bool { return a.comment == b.comment })
}

// String is the operation as `nft -f` takes it.
func (o operation) String() string {
	where := map[nftables.TableFamily]string{nftables.TableFamilyINet: "inet", nftables.TableFamilyNetdev: "netdev"}[o.chain.family] + " " + table
	switch o.verb {
	case addTable:
		return "add table " + where
	case deleteTable:
		return "delete table " + where
	case addSet:
		return fmt.Sprintf("add set inet %s %s { type %s; }", table, o.set.name, o.set.kind.Name)
	case addElements:
		return fmt.Sprintf("add element inet %s %s { %s }", table, o.set.name, o.set.list())
	case deleteElements:
		return fmt.Sprintf("delete element inet %s %s { %s }", table, o.set.name, o.set.list())
	case addChain:
		return strings.TrimSuffix(fmt.Sprintf("add chain %s %s %s", where, o.chain.name, o.chain.attachment()), " ")
	case flushChain:
		return "flush chain " + where + " " + o.chain.name
	case deleteChain:
		return "delete chain " + where + " " + o.chain.name
	default:
		return fmt.Sprintf("add rule %s %s %s comment %q", where, o.chain.name, o.rule.words, o.rule.comment)
	}
}

func (s set) list() string {
	var words []string
	for _, addr := range s.addrs {
		words = append(words, addr.String())
	}
	return strings.Join(words, ", ")
}

// attachment is where the chain hangs, in nft's words.
func (d declaration) attachment() string {
	if d.hook == noHook {
		return ""
	}
	words := []string{"{ type filter hook", d.hookName()}
	if d.device != "" {
		words = append(words, "device", fmt.Sprintf("%q", d.device))
	}
	policy := map[nftables.ChainPolicy]string{nftables.ChainPolicyAccept: "accept", nftables.ChainPolicyDrop: "drop"}[d.policy]
	return strings.Join(append(words, fmt.Sprintf("priority %d; policy %s; }", d.priority, policy)), " ")
}

func (d declaration) hookName() string {
	if d.family == nftables.TableFamilyNetdev {
		return "ingress"
	}
	return map[int]string{
		int(*nftables.ChainHookPrerouting): "prerouting", int(*nftables.ChainHookOutput): "output", int(*nftables.ChainHookPostrouting): "postrouting",
	}[d.hook]
}
