package flows

import (
	"bufio"
	"fmt"
	"io"

	"github.com/digitalocean/go-openvswitch/ovs"
)

// WriteBundle writes the change as input of `ovs-ofctl bundle` (ovs-ofctl(8)),
// one line for each flow, deletes first. Each delete names one flow exactly: a
// loose delete, which would take more specific flows along, cannot come out.
func (d Delta) WriteBundle(w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	for _, k := range d.Delete {
		_, _ = out.WriteString(k.deleteLine())
	}
	for _, f := range d.Evict {
		_, _ = out.WriteString(f.evictLine())
	}
	for _, f := range d.Add {
		line, err := f.addLine()
		if err != nil {
			return err
		}
		_, _ = out.WriteString(line)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the bundle of %d flows: %w", len(d.Add)+len(d.Delete)+len(d.Evict), err)
	}
	return nil
}

// Nth describes the change that WriteBundle writes on that line, from 1; "" for
// none. By it an error of ovs-ofctl, which speaks of lines, can name the flow.
func (d Delta) Nth(n int) string {
	switch {
	case n < 1:
		return ""
	case n <= len(d.Delete):
		return "delete of " + d.Delete[n-1].String()
	case n <= len(d.Delete)+len(d.Evict):
		return "delete of " + d.Evict[n-len(d.Delete)-1].identity()
	case n <= len(d.Delete)+len(d.Evict)+len(d.Add):
		return d.Add[n-len(d.Delete)-len(d.Evict)-1].String()
	}
	return ""
}

// deleteLine is text of our own, because go-openvswitch only knows loose deletes.
func (k Key) deleteLine() string { return "flow delete_strict " + k.String() + "\n" }

// evictLine spares a flow that took the key meanwhile: its cookie is another.
func (f Installed) evictLine() string {
	return fmt.Sprintf("flow delete_strict cookie=0x%x/-1,%s\n", f.Cookie, f.identity())
}

func (f Flow) addLine() (string, error) {
	text, err := f.OVS().MarshalText()
	if err != nil {
		return "", fmt.Errorf("encode flow %s: %w", f, err)
	}
	return "flow add " + string(text) + "\n", nil
}

// OVS returns the flow in the types of go-openvswitch.
func (f Flow) OVS() *ovs.Flow {
	out := &ovs.Flow{Table: int(f.Table), Priority: int(f.Priority), Cookie: f.Cookie}
	proto := f.Match.protocol()
	out.Protocol = ovs.Protocol(proto.name)
	for c := range f.Match.Fields() {
		if !proto.covers(c.Field) {
			out.Matches = append(out.Matches, condition{c})
		}
	}
	for a := range f.Actions.All() {
		out.Actions = append(out.Actions, a.ovs())
	}
	if f.Actions.Drop() {
		out.Actions = []ovs.Action{ovs.Drop()}
	}
	return out
}

// ovs returns the action as go-openvswitch has it, or, where it has none, as
// its own text.
func (a Action) ovs() ovs.Action {
	switch {
	case a.Op == OpOutput && a.Port == PortInPort:
		return ovs.InPort()
	case a.Op == OpOutput && a.Port <= maxPort:
		return ovs.Output(int(a.Port))
	case a.Op == OpMove:
		return ovs.Move(fieldRows[a.From].nxm+"[]", fieldRows[a.Field].nxm+"[]")
	case a.Op == OpSetField:
		return ovs.SetField(string(a.appendOperand(nil)), fieldRows[a.Field].set)
	case a.Op == OpResubmit && a.Port == PortInPort && a.Table > 0:
		return ovs.Resubmit(0, int(a.Table))
	}
	return step{a}
}

// condition is a FieldMatch as an ovs.Match. One type serves for all fields,
// because go-openvswitch lacks half of them.
type condition struct{ FieldMatch }

// MarshalText writes the condition as ovs-ofctl reads it.
func (c condition) MarshalText() ([]byte, error) { return c.appendText(nil), nil }

// GoString satisfies ovs.Match.
func (c condition) GoString() string { return fmt.Sprintf("flows.FieldMatch(%s)", c.FieldMatch) }

// step is an Action that go-openvswitch lacks, as an ovs.Action.
type step struct{ Action }

// MarshalText writes the action as ovs-ofctl reads it.
func (s step) MarshalText() ([]byte, error) { return s.appendText(nil), nil }

// GoString satisfies ovs.Action.
func (s step) GoString() string { return fmt.Sprintf("flows.Action(%s)", s.Action) }
