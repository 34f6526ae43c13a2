package guard

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rule is one rule: its words as nft prints them, and the comment by which it is known again.
type rule struct {
	words   string
	comment string
	exprs   []expr.Any
	// drops is what its counter says, of an observed rule.
	drops uint64
}

// part is a piece of a rule: a match or what is done then.
type part struct {
	words string
	exprs []expr.Any
}

// newRule makes a rule. Its comment says why it is there, and ends in a digest of its expressions, so that a rule whose
// meaning another build changed is renewed though its purpose is the same.
func newRule(why string, parts ...part) rule {
	var r rule
	var words []string
	for _, p := range parts {
		words, r.exprs = append(words, p.words), append(r.exprs, p.exprs...)
	}
	sum := sha256.New()
	for _, e := range r.exprs {
		// What cannot be encoded cannot be sent either, and its error comes up there.
		encoded, _ := expr.Marshal(byte(nftables.TableFamilyINet), e)
		sum.Write(encoded)
	}
	r.words, r.comment = strings.Join(words, " "), fmt.Sprintf("%s, %.4x", why, sum.Sum(nil))
	return r
}

// register is the register that every expression here loads and compares.
const register = unix.NFT_REG_1

// end is one of the two ends of a packet's way.
type end int

const (
	source end = iota
	destination
)

// ported matches UDP from or to the port.
func ported(which end, port uint16) part {
	// RFC 768: the destination port follows the source port.
	words, offset := "udp sport", uint32(0)
	if which == destination {
		words, offset = "udp dport", 2
	}
	return part{fmt.Sprintf("%s %d", words, port), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, equal([]byte{unix.IPPROTO_UDP}),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2}, equal(binaryutil.BigEndian.PutUint16(port)),
	}}
}

// loaded loads the source or destination of the packets whose addresses are of that kind.
func loaded(which end, kind nftables.SetDatatype) part {
	// Where the addresses stand: RFC 791 section 3.1, RFC 8200 section 3.
	words, proto, offset := "ip", unix.NFPROTO_IPV4, uint32(12)
	if kind == nftables.TypeIP6Addr {
		words, proto, offset = "ip6", unix.NFPROTO_IPV6, 8
	}
	direction := " saddr"
	if which == destination {
		direction, offset = " daddr", offset+kind.Bytes
	}
	return part{words + direction, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, equal([]byte{byte(proto)}),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: kind.Bytes},
	}}
}

// addressed matches packets from or to the address.
func addressed(which end, addr netip.Addr) part {
	p := loaded(which, kindOf(addr))
	return part{p.words + " " + addr.String(), append(p.exprs, equal(addr.AsSlice()))}
}

// from matches packets whose source is in the set.
func from(s set) part {
	p := loaded(source, s.kind)
	return part{p.words + " @" + s.name, append(p.exprs, &expr.Lookup{SourceRegister: register, SetName: s.name})}
}

// strayed matches packets that came by a link which does not lead to their source.
func strayed() part {
	lookup := &expr.Fib{Register: register, FlagSADDR: true, FlagIIF: true, FlagPRESENT: true, ResultOIF: true}
	return part{"fib saddr . iif oif missing", []expr.Any{lookup, equal(make([]byte, 4))}}
}

// translated matches packets whose source or destination was translated, in whichever direction.
func translated() part {
	const snat, dnat = 1 << 4, 1 << 5 // enum ip_conntrack_status, IPS_NAT_MASK
	return part{"ct status snat,dnat", []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(snat | dnat), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)},
	}}
}

func drop() part {
	return part{"counter drop", []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}}
}

func notrack() part { return part{"notrack", []expr.Any{&expr.Notrack{}}} }

func onTo(chain string) part {
	return part{"goto " + chain, []expr.Any{&expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}}}
}

func equal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data}
}

// kindOf is the datatype of sets that hold such addresses.
func kindOf(addr netip.Addr) nftables.SetDatatype {
	if addr.Is4() {
		return nftables.TypeIPAddr
	}
	return nftables.TypeIP6Addr
}
