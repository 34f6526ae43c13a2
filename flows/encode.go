package flows

import (
	"fmt"
	"strings"

	"github.com/digitalocean/go-openvswitch/ovs"
)

// BundleLines returns the change as input of `ovs-ofctl bundle` (ovs-ofctl(8)):
// deletes first, each naming one flow exactly. A loose delete, which would take
// more specific flows along, cannot come out of it.
func (d Delta) BundleLines() ([]string, error) {
	lines := make([]string, 0, len(d.Add)+len(d.Delete))
	for _, k := range d.Delete {
		lines = append(lines, "flow delete_strict "+k.ofctl())
	}
	for _, f := range d.Add {
		text, err := f.encode()
		if err != nil {
			return nil, fmt.Errorf("encode flow %s: %w", f, err)
		}
		lines = append(lines, "flow add "+text)
	}
	return lines, nil
}

// ofctl writes the key as ovs-ofctl reads it.
func (k Key) ofctl() string {
	words := []string{fmt.Sprintf("table=%d,priority=%d", uint8(k.Table), k.Priority)}
	if k.Match != "" {
		words = append(words, string(k.Match))
	}
	return strings.Join(words, ",")
}

// encode writes the flow through go-openvswitch's types.
func (f Flow) encode() (string, error) {
	out := ovs.Flow{Table: int(f.Table), Priority: int(f.Priority), Cookie: f.Cookie}
	for _, field := range f.Match.Fields() {
		out.Matches = append(out.Matches, field)
	}
	for _, action := range f.Actions.List() {
		out.Actions = append(out.Actions, action)
	}
	text, err := out.MarshalText()
	return string(text), err
}
