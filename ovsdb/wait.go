package ovsdb

import (
	"context"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/ovsnet/ovsnet/overlay"
)

// Outcome is what became of a port.
type Outcome struct {
	// Ofport is the OpenFlow port number, or 0 with an error.
	Ofport uint32
	// Err is why it has none: a Refusal of kind Conflict in ovs-vswitchd's own
	// words (Interface, error), Missing without such a port, or Unavailable
	// while ovs-vswitchd or OVSDB is away.
	Err error
}

// WaitPorts returns the outcome of every named port, as soon as ovs-vswitchd
// has decided on all of them or the context ends.
func (c *Client) WaitPorts(ctx context.Context, names []string) map[string]Outcome {
	for {
		_, v, changed, err := c.look(ctx)
		if err != nil {
			return sameOutcome(names, err)
		}
		outcomes, decided := portOutcomes(v, names)
		if decided || await(ctx, changed) != nil {
			return outcomes
		}
	}
}

// Ping returns when ovs-vswitchd has answered a question put to it now, or a
// Refusal of kind Unavailable that says what does not answer.
func (c *Client) Ping(ctx context.Context) error {
	ask := func(v view) ([]ovsdb.Operation, error) {
		if v.root == nil {
			return nil, switchAway("Open vSwitch")
		}
		return []ovsdb.Operation{mutateRow(tableRoot, v.root.UUID, *ovsdb.NewMutation("next_cfg", ovsdb.MutateOperationAdd, 1))}, nil
	}
	if err := c.ensure(ctx, "next_cfg", ask); err != nil {
		return err
	}
	for {
		_, v, changed, err := c.look(ctx)
		if err != nil || v.answered() {
			return err
		}
		if await(ctx, changed) != nil {
			return switchAway("Open vSwitch")
		}
	}
}

func switchAway(object string) error {
	return overlay.Refuse(overlay.Unavailable, object, "start ovs-vswitchd", "ovs-vswitchd does not answer")
}

func sameOutcome(names []string, err error) map[string]Outcome {
	all := make(map[string]Outcome, len(names))
	for _, name := range names {
		all[name] = Outcome{Err: err}
	}
	return all
}

// portOutcomes returns what is known of the ports, and whether that is final.
func portOutcomes(v view, names []string) (map[string]Outcome, bool) {
	places := v.places()
	all := make(map[string]Outcome, len(names))
	decided := true
	for _, name := range names {
		outcome, final := portOutcome(v, places, name)
		all[name] = outcome
		decided = decided && final
	}
	return all, decided
}

func portOutcome(v view, places map[string]place, name string) (Outcome, bool) {
	object := "port \"" + name + "\""
	at, exists := places[name]
	if !exists {
		return Outcome{Err: overlay.Refuse(overlay.Missing, object, "", "OVS has no such port")}, true
	}
	// Before the answer a number or an error may still be that of an earlier time.
	if !v.answered() {
		return Outcome{Err: switchAway(object)}, false
	}
	if ofport := valueOf(at.link.Ofport); ofport > 0 {
		return Outcome{Ofport: uint32(ofport)}, true
	}
	if at.link.Ofport == nil {
		return Outcome{Err: overlay.Refuse(overlay.Unavailable, object, "see ovs-vswitchd's log",
			"ovs-vswitchd has not made it; is datapath type %q possible on this host?", at.bridge.DatapathType)}, at.bridge.DatapathID == nil
	}
	return Outcome{Err: overlay.Refuse(overlay.Conflict, object, remedy(v, at), "ovs-vswitchd cannot open it: %s",
		strings.TrimSpace(valueOf(at.link.Error)))}, true
}

// remedy names the port that is in the way of a tunnel port, if one is.
func remedy(v view, at place) string {
	if at.link.Type != "vxlan" {
		return ""
	}
	for _, other := range flowTunnels(v) {
		if other.Port != at.link.Name && other.UDPPort == udpPort(at.link.Options) {
			return other.String() + ": remove it, or set another --vxlan-port on every host"
		}
	}
	return "see that nothing else on this host uses UDP port " + at.link.Options["dst_port"]
}
