package flows

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/digitalocean/go-openvswitch/ovs"

	"github.com/ovsnet/ovsnet/overlay"
)

// Match is a flow's match in canonical form: the fields of ovs-fields(7) as
// `ovs-ofctl dump-flows` writes their values, in the order of fieldOrder,
// separated by commas. Equal matches are equal strings.
type Match string

// Field is one field of a match. It is an ovs.Match.
type Field struct {
	// Name is the field's name, or a protocol keyword such as "arp" without value.
	Name string
	// Value and Mask are as OVS writes them; an empty Mask matches exactly.
	Value, Mask string
}

var _ ovs.Match = Field{}

// MarshalText writes the field as OVS reads it.
func (f Field) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// GoString satisfies ovs.Match.
func (f Field) GoString() string { return fmt.Sprintf("flows.Field(%q)", f.String()) }

// String writes the field as OVS reads it.
func (f Field) String() string {
	text := f.Name
	if f.Value != "" {
		text += "=" + f.Value
	}
	if f.Mask != "" {
		text += "/" + f.Mask
	}
	return text
}

// fieldOrder lists every field that ovsnet uses, in canonical order. A field
// that is not here cannot be parsed.
func fieldOrder() []string {
	return []string{
		"ip", "arp", "reg1", "tun_id", "tun_src", "metadata", "in_port", "dl_src", "dl_dst",
		"nw_src", "arp_op", "arp_spa", "arp_tpa", "arp_sha",
	}
}

// keywords are the fields without a value.
func keywords() []string { return []string{"ip", "arp"} }

// newMatch puts fields into canonical form.
func newMatch(fields ...Field) Match {
	order := fieldOrder()
	slices.SortFunc(fields, func(a, b Field) int {
		return cmp.Compare(slices.Index(order, a.Name), slices.Index(order, b.Name))
	})
	words := make([]string, len(fields))
	for i, f := range fields {
		words[i] = f.String()
	}
	return Match(strings.Join(words, ","))
}

// Fields takes a match apart.
func (m Match) Fields() []Field {
	if m == "" {
		return nil
	}
	var fields []Field
	for word := range strings.SplitSeq(string(m), ",") {
		fields = append(fields, splitField(word))
	}
	return fields
}

func splitField(word string) Field {
	name, value, _ := strings.Cut(word, "=")
	value, mask, _ := strings.Cut(value, "/")
	return Field{Name: name, Value: value, Mask: mask}
}

// The fields that rules match on, each in the form that OVS prints.

func keyword(name string) Field          { return Field{Name: name} }
func inPort(port uint32) Field           { return Field{Name: "in_port", Value: fmt.Sprint(port)} }
func tunSrc(addr netip.Addr) Field       { return Field{Name: "tun_src", Value: addr.String()} }
func tunID(vni uint32) Field             { return Field{Name: "tun_id", Value: fmt.Sprintf("%#x", vni)} }
func ethSrc(mac overlay.MAC) Field       { return Field{Name: "dl_src", Value: mac.String()} }
func ethDst(mac overlay.MAC) Field       { return Field{Name: "dl_dst", Value: mac.String()} }
func ipSrc(addr netip.Addr) Field        { return Field{Name: "nw_src", Value: addr.String()} }
func arpSender(addr netip.Addr) Field    { return Field{Name: "arp_spa", Value: addr.String()} }
func arpTarget(addr netip.Addr) Field    { return Field{Name: "arp_tpa", Value: addr.String()} }
func arpSenderMAC(mac overlay.MAC) Field { return Field{Name: "arp_sha", Value: mac.String()} }
func arpRequest() Field                  { return Field{Name: "arp_op", Value: "1"} }
func chunk(n int) Field                  { return Field{Name: "reg1", Value: fmt.Sprintf("%#x", n)} }

// groupBit is set in every broadcast and multicast address (IEEE 802).
func groupBit() Field {
	return Field{Name: "dl_dst", Value: "01:00:00:00:00:00", Mask: "01:00:00:00:00:00"}
}

// metadata is the VNI in bits 0 to 23, and fromTunnel in bit 24.
const (
	vniMask    = 1<<24 - 1
	fromTunnel = 1 << 24
)

func localNetwork(vni uint32) Field { return Field{Name: "metadata", Value: fmt.Sprintf("%#x", vni)} }
func tunnelNetwork(vni uint32) Field {
	return Field{Name: "metadata", Value: fmt.Sprintf("%#x", fromTunnel|vni)}
}
func anyNetwork(vni uint32) Field {
	return Field{Name: "metadata", Value: fmt.Sprintf("%#x", vni), Mask: fmt.Sprintf("%#x", vniMask)}
}
