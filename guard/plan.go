package guard

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// table is the name of both of our tables.
const table = "ovsnet"

// declaration is all of a chain but its rules.
type declaration struct {
	family nftables.TableFamily
	name   string
	// hook is the kernel's number of it in this family, or noHook.
	hook     int
	priority int32
	policy   nftables.ChainPolicy
	// device is the link of a netdev chain.
	device string
}

// noHook is in the declaration of a chain that packets only reach by a jump: none of ours.
const noHook = -1

// chain is a chain of one of our tables.
type chain struct {
	declaration
	rules []rule
}

// verb is what an operation does.
type verb int

const (
	addTable verb = iota
	deleteTable
	addChain
	flushChain
	deleteChain
	addRule
)

// operation is one step of a transaction. A table's is that of its family, a chain's has its declaration.
type operation struct {
	verb  verb
	chain declaration
	rule  rule
}

// desired are the chains that the rules want, in a settled order.
func desired(want Rules) []chain {
	base := declaration{family: nftables.TableFamilyINet, policy: nftables.ChainPolicyAccept}
	pre, post := chain{declaration: base}, chain{declaration: base}
	pre.name, pre.hook, pre.priority = "prerouting", int(*nftables.ChainHookPrerouting), int32(*nftables.ChainPriorityRaw)
	pre.rules = []rule{strayed(want.Port)}
	post.name, post.hook, post.priority = "postrouting", int(*nftables.ChainHookPostrouting), int32(*nftables.ChainPriorityConntrackHelper)
	var vteps []netip.Addr
	for _, vtep := range want.VTEPs {
		vteps = append(vteps, vtep.Unmap())
	}
	for _, vtep := range unique(vteps, netip.Addr.Compare) {
		post.rules = append(post.rules, translated(want.Port, vtep))
	}
	chains := []chain{pre, post}
	for _, link := range unique(want.Links, cmp.Compare[string]) {
		chains = append(chains, chain{rules: []rule{everything()}, declaration: declaration{
			family: nftables.TableFamilyNetdev, name: link, device: link,
			hook: int(*nftables.ChainHookIngress), policy: nftables.ChainPolicyDrop,
		}})
	}
	return chains
}

func unique[T comparable](list []T, order func(a, b T) int) []T {
	return slices.Compact(slices.SortedFunc(slices.Values(list), order))
}

// key is a chain's identity.
type key struct {
	family nftables.TableFamily
	name   string
}

// plan are the operations that turn the chains that are there into the wanted ones: none where nothing differs.
func plan(want, have []chain) []operation {
	wanted, there := byKey(want), byKey(have)
	var cleared, removed, added []operation
	for _, h := range have {
		w, stays := wanted[key{h.family, h.name}]
		if !stays || w.declaration != h.declaration {
			// All are emptied before one goes, as a rule may hold another chain.
			cleared = append(cleared, operation{verb: flushChain, chain: h.declaration})
			removed = append(removed, operation{verb: deleteChain, chain: h.declaration})
		} else if !sameRules(w.rules, h.rules) {
			cleared = append(cleared, operation{verb: flushChain, chain: h.declaration})
		}
	}
	for _, w := range want {
		h, present := there[key{w.family, w.name}]
		stays := present && h.declaration == w.declaration
		if !stays {
			added = append(added, operation{verb: addTable, chain: declaration{family: w.family}}, operation{verb: addChain, chain: w.declaration})
		}
		if !stays || !sameRules(w.rules, h.rules) {
			added = append(added, ruleAdditions(w)...)
		}
	}
	return slices.Concat(cleared, removed, added)
}

func ruleAdditions(c chain) []operation {
	var operations []operation
	for _, r := range c.rules {
		operations = append(operations, operation{verb: addRule, chain: c.declaration, rule: r})
	}
	return operations
}

// removal takes both tables away whether they are there or not: what is deleted must be there.
func removal() []operation {
	var operations []operation
	for _, family := range []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyNetdev} {
		for _, v := range []verb{addTable, deleteTable} {
			operations = append(operations, operation{verb: v, chain: declaration{family: family}})
		}
	}
	return operations
}

func byKey(chains []chain) map[key]chain {
	all := make(map[key]chain, len(chains))
	for _, c := range chains {
		all[key{c.family, c.name}] = c
	}
	return all
}

func sameRules(a, b []rule) bool {
	return slices.EqualFunc(a, b, func(a, b rule) bool { return a.words == b.words })
}

// String is the operation as `nft -f` takes it.
func (o operation) String() string {
	where := map[nftables.TableFamily]string{nftables.TableFamilyINet: "inet", nftables.TableFamilyNetdev: "netdev"}[o.chain.family] + " " + table
	switch o.verb {
	case addTable:
		return "add table " + where
	case deleteTable:
		return "delete table " + where
	case addChain:
		return fmt.Sprintf("add chain %s %s { %s }", where, o.chain.name, o.chain.attachment())
	case flushChain:
		return "flush chain " + where + " " + o.chain.name
	case deleteChain:
		return "delete chain " + where + " " + o.chain.name
	default:
		return fmt.Sprintf("add rule %s %s %s comment %q", where, o.chain.name, o.rule.words, o.rule.words)
	}
}

// attachment is where the chain hangs, in nft's words.
func (d declaration) attachment() string {
	words := []string{"type filter hook", d.hookName()}
	if d.device != "" {
		words = append(words, "device", fmt.Sprintf("%q", d.device))
	}
	policy := map[nftables.ChainPolicy]string{nftables.ChainPolicyAccept: "accept", nftables.ChainPolicyDrop: "drop"}[d.policy]
	return strings.Join(append(words, fmt.Sprintf("priority %d; policy %s;", d.priority, policy)), " ")
}

func (d declaration) hookName() string {
	switch {
	case d.family == nftables.TableFamilyNetdev:
		return "ingress"
	case d.hook == int(*nftables.ChainHookPrerouting):
		return "prerouting"
	default:
		return "postrouting"
	}
}
