package inspect

import (
	"fmt"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// Change is one part in which an installed flow is not the desired one. Its match
// never is: a flow of another match is another flow.
type Change struct {
	// What is actions, cookie or options.
	What string `json:"what"`
	// Installed and Desired are the part in the words of ovs-ofctl. Of actions they
	// are the steps that differ, in between those that both begin and end with.
	Installed string `json:"installed"`
	Desired   string `json:"desired"`
}

// nothing is what one side of a Change has not.
const nothing = "nothing"

// changes says in what an altered flow differs; nil for others.
func (p pair) changes() []Change {
	if p.has == nil || p.want == nil {
		return nil
	}
	var list []Change
	switch {
	case p.has.Unread != nil:
		_, actions, _ := strings.Cut(p.has.Unread.Text, "actions=")
		list = append(list, Change{What: "actions", Installed: actions, Desired: p.want.Actions.String()})
	case p.has.Actions != p.want.Actions:
		has, want := apart(steps(p.has.Actions), steps(p.want.Actions))
		list = append(list, Change{What: "actions", Installed: has, Desired: want})
	}
	if p.has.Cookie != p.want.Cookie {
		list = append(list, Change{What: "cookie", Installed: fmt.Sprintf("%#x", p.has.Cookie), Desired: fmt.Sprintf("%#x", p.want.Cookie)})
	}
	if p.has.Options != "" {
		list = append(list, Change{What: "options", Installed: strings.TrimSpace(p.has.Options), Desired: nothing})
	}
	return list
}

// steps are the actions one by one, as ovs-ofctl writes them.
func steps(a flows.Actions) []string {
	if a.Drop() {
		return []string{a.String()}
	}
	var list []string
	for step := range a.All() {
		list = append(list, step.String())
	}
	return list
}

// apart leaves out of two lists the steps that both begin and end with.
func apart(a, b []string) (string, string) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return orNothing(a), orNothing(b)
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return nothing
	}
	return strings.Join(list, ",")
}

// details are the lines that a wide diff adds to a difference. An agent of an older
// build tells no more than the rest.
func (d Difference) details(style Style) []string {
	if !style.Wide || d.Cookie == "" {
		return nil
	}
	var list []string
	add := func(what, text string) { list = append(list, fmt.Sprintf("%-8s %s", what, text)) }
	if d.State != Missing {
		add("counted", d.counted())
	}
	add("flow", d.about())
	if len(d.Changes) == 0 {
		return list
	}
	width := len("installed")
	for _, c := range d.Changes {
		width = max(width, len(c.Installed))
	}
	for _, c := range append([]Change{{"differs", "installed", "desired"}}, d.Changes...) {
		add(c.What, fmt.Sprintf("%-*s  %s", width, c.Installed, c.Desired))
	}
	return list
}

// counted says what an installed flow matched, and when.
func (l Line) counted() string {
	text := fmt.Sprintf("%d packets, %d bytes in %s", l.Packets, l.Bytes, ago(l.Age))
	if l.Packets > 0 {
		text += ", the last " + ago(l.Idle) + " ago"
	}
	return text
}

// about says what kind of flow it is, and what it follows from; names are for
// people, and the IDs are what etcd and Docker have.
func (l Line) about() string {
	list := []string{"cookie " + l.Cookie, "rule " + l.Rule}
	if l.Network != "" {
		list = append(list, fmt.Sprintf("network %s (%s)", l.NetworkName, overlay.ShortID(l.Network)))
	}
	if l.Endpoint != "" {
		list = append(list, "endpoint "+overlay.ShortID(l.Endpoint))
	}
	if l.Node != "" {
		list = append(list, "host "+l.Node)
	}
	return strings.Join(list, ", ")
}
