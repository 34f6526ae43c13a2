package guard

import (
	"cmp"
	"net/netip"
	"slices"

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

// noHook is in the declaration of a chain that packets reach only from another.
const noHook = -1

// chain is a chain of one of our tables.
type chain struct {
	declaration
	rules []rule
}

// set is a named set of addresses in table inet.
type set struct {
	name string
	kind nftables.SetDatatype
	// odd says that it is no plain set of that kind; none of ours is.
	odd   bool
	addrs []netip.Addr
}

// ruleset is what our tables hold. flags are those of the tables that are there, by family.
type ruleset struct {
	flags  map[nftables.TableFamily]uint32
	sets   []set
	chains []chain
}

// setNames are the names of the sets of VTEPs.
var setNames = map[nftables.SetDatatype]string{nftables.TypeIPAddr: "vteps4", nftables.TypeIP6Addr: "vteps6"}

// arriving is the chain of tunnel packets for this host. Its drops tell of peers whose packets come by an odd link.
const arriving = "arriving"

// desired is what the rules want, in a settled order. What is there tells the peers where they are not known.
func desired(want Rules, have ruleset) ruleset {
	vteps := unmapped(want.VTEPs)
	sets := knownVTEPs(want, have)
	chains := slices.Concat(beforeRouting(want.Port, vteps, sets), afterRouting(want.Port, vteps))
	everything := []rule{newRule("what a container sends here is Open vSwitch's alone", drop())}
	for _, link := range unique(want.Links, cmp.Compare[string]) {
		chains = append(chains, chain{rules: everything, declaration: declaration{
			family: nftables.TableFamilyNetdev, name: link, device: link,
			hook: int(*nftables.ChainHookIngress), policy: nftables.ChainPolicyDrop,
		}})
	}
	flags := map[nftables.TableFamily]uint32{}
	for _, c := range chains {
		flags[c.family] = 0
	}
	return ruleset{flags: flags, sets: sets, chains: chains}
}

// beforeRouting are the chains that look at what comes in. Only two rules meet what is no tunnel packet.
func beforeRouting(port uint16, vteps []netip.Addr, sets []set) []chain {
	entry := hooked("prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw,
		newRule("a tunnel packet", ported(destination, port), onTo("tunnel")),
		newRule("its answer would be a tunnel packet", ported(source, port), onTo("claimed")))
	tunnel := reached("tunnel")
	for _, vtep := range vteps {
		tunnel.rules = append(tunnel.rules, newRule("to this host", addressed(destination, vtep), onTo(arriving)))
	}
	tunnel.rules = append(tunnel.rules, newRule("to another", onTo("claimed")))
	// A container's connection to a peer must not take the peer's tunnel packets for its answers.
	here := reached(arriving,
		newRule("this link does not lead to its source", strayed(), drop()),
		newRule("no connection of a container", notrack()))
	const lie = "a VTEP as source, and this link does not lead to it"
	claimed := reached("claimed")
	for _, s := range sets {
		claimed.rules = append(claimed.rules, newRule(lie, from(s), strayed(), drop()))
	}
	if len(sets) == 0 {
		claimed.rules = append(claimed.rules, newRule("no VTEP is known, and this link does not lead to its source", strayed(), drop()))
	}
	return []chain{entry, tunnel, here, claimed}
}

// afterRouting are the chains that look at what leaves.
func afterRouting(port uint16, vteps []netip.Addr) []chain {
	output := hooked("output", nftables.ChainHookOutput, nftables.ChainPriorityRaw)
	leaving := hooked("postrouting", nftables.ChainHookPostrouting, nftables.ChainPriorityConntrackHelper,
		newRule("a tunnel packet", ported(destination, port), onTo("translated")),
		newRule("its answer would be a tunnel packet", ported(source, port), onTo("translated")))
	after := reached("translated")
	for _, vtep := range vteps {
		output.rules = append(output.rules, newRule("nothing translates the host's own tunnel packets",
			ported(destination, port), addressed(source, vtep), notrack()))
		after.rules = append(after.rules, newRule("another's, in this host's name", addressed(source, vtep), translated(), drop()))
	}
	return []chain{output, leaving, after}
}

// hooked is a chain of table inet where packets enter, reached one where they only come from another.
func hooked(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority, rules ...rule) chain {
	return chain{rules: rules, declaration: declaration{
		family: nftables.TableFamilyINet, name: name, hook: int(*hook), priority: int32(*priority), policy: nftables.ChainPolicyAccept,
	}}
}

func reached(name string, rules ...rule) chain {
	return chain{rules: rules, declaration: declaration{family: nftables.TableFamilyINet, name: name, hook: noHook}}
}

// knownVTEPs are the sets of all VTEPs, or none where the peers' are not known.
func knownVTEPs(want Rules, have ruleset) []set {
	peers := want.Peers
	if peers == nil {
		for _, s := range have.sets {
			if name := setNames[s.kind]; name == s.name && !s.odd {
				peers = append(peers, s.addrs...)
			}
		}
	}
	if peers == nil {
		return nil
	}
	sets := []set{{name: setNames[nftables.TypeIPAddr], kind: nftables.TypeIPAddr}, {name: setNames[nftables.TypeIP6Addr], kind: nftables.TypeIP6Addr}}
	for _, addr := range unmapped(slices.Concat(want.VTEPs, peers)) {
		for i := range sets {
			if sets[i].kind == kindOf(addr) {
				sets[i].addrs = append(sets[i].addrs, addr)
			}
		}
	}
	return sets
}

// unmapped are the addresses in order, each once, and IPv4 as such.
func unmapped(addrs []netip.Addr) []netip.Addr {
	var all []netip.Addr
	for _, addr := range addrs {
		all = append(all, addr.Unmap().WithZone(""))
	}
	return unique(all, netip.Addr.Compare)
}

func unique[T comparable](list []T, order func(a, b T) int) []T {
	return slices.Compact(slices.SortedFunc(slices.Values(list), order))
}
