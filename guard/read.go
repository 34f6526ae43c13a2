package guard

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// message is one answer of the kernel: the family in its struct nfgenmsg, and the attributes behind that.
type message struct {
	family nftables.TableFamily
	*netlink.AttributeDecoder
}

func decode(data []byte) (message, error) {
	const header = 4
	if len(data) < header {
		return message{}, fmt.Errorf("%d bytes are too few", len(data))
	}
	ad, err := netlink.NewAttributeDecoder(data[header:])
	if err != nil {
		return message{}, err
	}
	ad.ByteOrder = binary.BigEndian
	return message{nftables.TableFamily(data[0]), ad}, nil
}

// named are attributes that each hold a name.
func named(names ...name) ([]byte, error) {
	var attributes []netlink.Attribute
	for _, n := range names {
		attributes = append(attributes, netlink.Attribute{Type: n.kind, Data: []byte(n.text + "\x00")})
	}
	return netlink.MarshalAttributes(attributes)
}

type name struct {
	kind uint16
	text string
}

func (r *ruleset) readTable(m message) error {
	var name string
	var flags uint32
	for m.Next() {
		switch m.Type() {
		case unix.NFTA_TABLE_NAME:
			name = m.String()
		case unix.NFTA_TABLE_FLAGS:
			flags = m.Uint32()
		}
	}
	if name == table && (m.family == nftables.TableFamilyINet || m.family == nftables.TableFamilyNetdev) {
		r.flags[m.family] = flags
	}
	return nil
}

func (r *ruleset) readChain(m message) error {
	c := chain{declaration: declaration{family: m.family, hook: noHook}}
	ours := false
	for m.Next() {
		switch m.Type() {
		case unix.NFTA_CHAIN_TABLE:
			ours = m.String() == table
		case unix.NFTA_CHAIN_NAME:
			c.name = m.String()
		case unix.NFTA_CHAIN_POLICY:
			c.policy = nftables.ChainPolicy(m.Uint32())
		case unix.NFTA_CHAIN_HOOK:
			m.Nested(func(hook *netlink.AttributeDecoder) error { return readHook(hook, &c.declaration) })
		}
	}
	if ours {
		r.chains = append(r.chains, c)
	}
	return nil
}

func readHook(ad *netlink.AttributeDecoder, d *declaration) error {
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_HOOK_HOOKNUM:
			d.hook = int(ad.Uint32())
		case unix.NFTA_HOOK_PRIORITY:
			d.priority = int32(ad.Uint32())
		case unix.NFTA_HOOK_DEV:
			d.device = ad.String()
		}
	}
	return nil
}

// readRule gives a rule, with its comment and drops only, and the name of its chain.
func readRule(m message) (in string, r rule, err error) {
	for m.Next() {
		switch m.Type() {
		case unix.NFTA_RULE_CHAIN:
			in = m.String()
		case unix.NFTA_RULE_USERDATA:
			r.comment, _ = userdata.GetString(m.Bytes(), userdata.TypeComment)
		case unix.NFTA_RULE_EXPRESSIONS:
			m.Nested(func(list *netlink.AttributeDecoder) error {
				for list.Next() {
					list.Nested(r.readExpression)
				}
				return nil
			})
		}
	}
	return in, r, m.Err()
}

// readExpression takes a counter's packets over.
func (r *rule) readExpression(ad *netlink.AttributeDecoder) error {
	var name string
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_EXPR_NAME:
			name = ad.String()
		case unix.NFTA_EXPR_DATA:
			if name != "counter" {
				continue
			}
			ad.Nested(func(data *netlink.AttributeDecoder) error {
				for data.Next() {
					if data.Type() == unix.NFTA_COUNTER_PACKETS {
						r.drops = data.Uint64()
					}
				}
				return nil
			})
		}
	}
	return nil
}

func (r *ruleset) readSet(m message) error {
	s := set{odd: true}
	var kind, flags uint32
	for m.Next() {
		switch m.Type() {
		case unix.NFTA_SET_NAME:
			s.name = m.String()
		case unix.NFTA_SET_KEY_TYPE:
			kind = m.Uint32()
		case unix.NFTA_SET_FLAGS:
			flags = m.Uint32()
		}
	}
	for known := range setNames {
		if known.GetNFTMagic() == kind && flags == 0 {
			s.kind, s.odd = known, false
		}
	}
	r.sets = append(r.sets, s)
	return nil
}

func (s *set) readElements(m message) error {
	for m.Next() {
		if m.Type() != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			continue
		}
		m.Nested(func(list *netlink.AttributeDecoder) error {
			for list.Next() {
				list.Nested(s.readElement)
			}
			return nil
		})
	}
	return nil
}

func (s *set) readElement(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		if ad.Type() != unix.NFTA_SET_ELEM_KEY {
			continue
		}
		ad.Nested(func(value *netlink.AttributeDecoder) error {
			for value.Next() {
				if addr, ok := netip.AddrFromSlice(value.Bytes()); ok && value.Type() == unix.NFTA_DATA_VALUE {
					s.addrs = append(s.addrs, addr)
				}
			}
			return nil
		})
	}
	return nil
}
