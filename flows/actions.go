package flows

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/ovsnet/ovsnet/overlay"
)

// Actions is what a flow does, as `ovs-ofctl -O OpenFlow15 --no-names
// dump-flows` writes it. Equal actions are equal strings.
type Actions string

// Action is one action. It is an ovs.Action.
type Action struct {
	// Verb is the action's name, and Arg what follows the colon, or is in the
	// parentheses.
	Verb, Arg string
}

var _ ovs.Action = Action{}

// MarshalText writes the action as OVS reads it.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// GoString satisfies ovs.Action.
func (a Action) GoString() string { return fmt.Sprintf("flows.Action(%q)", a.String()) }

// String writes the action as OVS prints it.
func (a Action) String() string {
	switch {
	case a.Arg == "":
		return a.Verb
	case a.Verb == "resubmit":
		return a.Verb + "(" + a.Arg + ")"
	default:
		return a.Verb + ":" + a.Arg
	}
}

// verbs lists the actions that ovsnet uses, and whether they take an argument.
// Another one cannot be parsed.
func verbs() map[string]bool {
	return map[string]bool{
		"drop": false, "IN_PORT": false, "output": true, "goto_table": true,
		"set_field": true, "move": true, "resubmit": true,
	}
}

// newActions puts actions into canonical form.
func newActions(list ...Action) Actions {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = a.String()
	}
	return Actions(strings.Join(words, ","))
}

// List takes actions apart.
func (a Actions) List() []Action {
	var list []Action
	for _, word := range splitActions(string(a)) {
		list = append(list, splitAction(word))
	}
	return list
}

// splitActions parts at the commas that are not within parentheses.
func splitActions(text string) []string {
	var words []string
	depth, start := 0, 0
	for i, r := range text {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			words = append(words, text[start:i])
			start = i + 1
		}
	}
	return append(words, text[start:])
}

func splitAction(word string) Action {
	if verb, arg, ok := strings.Cut(word, "("); ok && strings.HasSuffix(arg, ")") {
		return Action{Verb: verb, Arg: strings.TrimSuffix(arg, ")")}
	}
	verb, arg, _ := strings.Cut(word, ":")
	return Action{Verb: verb, Arg: arg}
}

func drop() Action               { return Action{Verb: "drop"} }
func backOut() Action            { return Action{Verb: "IN_PORT"} }
func output(port uint32) Action  { return Action{Verb: "output", Arg: fmt.Sprint(port)} }
func gotoTable(t TableID) Action { return Action{Verb: "goto_table", Arg: fmt.Sprint(uint8(t))} }
func again(t TableID) Action     { return Action{Verb: "resubmit", Arg: fmt.Sprintf(",%d", uint8(t))} }
func set(value any, field string) Action {
	return Action{Verb: "set_field", Arg: fmt.Sprintf("%v->%s", value, field)}
}
func move(from, to string) Action       { return Action{Verb: "move", Arg: from + "[]->" + to + "[]"} }
func setTunID(vni uint32) Action        { return set(fmt.Sprintf("%#x", vni), "tun_id") }
func setTunDst(addr netip.Addr) Action  { return set(addr, "tun_dst") }
func setNetwork(metadata uint32) Action { return set(fmt.Sprintf("%#x", metadata), "metadata") }
func nextChunk(n int) Action            { return set(fmt.Sprintf("%#x", n), "reg1") }

// answerARP turns a request into the answer that mac has addr (RFC 826), and
// sends it back.
func answerARP(mac overlay.MAC, addr netip.Addr) []Action {
	return []Action{
		move("NXM_OF_ETH_SRC", "NXM_OF_ETH_DST"), set(mac, "eth_src"), set(2, "arp_op"),
		move("NXM_NX_ARP_SHA", "NXM_NX_ARP_THA"), move("NXM_OF_ARP_SPA", "NXM_OF_ARP_TPA"),
		set(mac, "arp_sha"), set(addr, "arp_spa"), backOut(),
	}
}
