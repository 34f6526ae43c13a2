package guard

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rule is one rule. Its words, as nft prints it, are also its comment in the kernel, by which it is known again.
type rule struct {
	words string
	exprs []expr.Any
}

// register is the register that every expression here loads and compares.
const register = unix.NFT_REG_1

// strayed drops tunnel packets that came by a link which does not lead to their source.
func strayed(port uint16) rule {
	lookup := &expr.Fib{Register: register, FlagSADDR: true, FlagIIF: true, FlagPRESENT: true, ResultOIF: true}
	return rule{
		words: fmt.Sprintf("udp dport %d fib saddr . iif oif missing counter drop", port),
		exprs: append(tunnelPort(port), lookup, equal(make([]byte, 4)), &expr.Counter{}, drop()),
	}
}

// translated drops tunnel packets that NAT gave a VTEP of this host as source.
func translated(port uint16, vtep netip.Addr) rule {
	// Where the source stands: RFC 791 section 3.1, RFC 8200 section 3.
	words, proto, offset := "ip saddr", unix.NFPROTO_IPV4, uint32(12)
	if vtep.Is6() {
		words, proto, offset = "ip6 saddr", unix.NFPROTO_IPV6, 8
	}
	source := vtep.AsSlice()
	exprs := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, equal([]byte{byte(proto)}),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(source))}, equal(source),
	}
	// enum ip_conntrack_status, IPS_NAT_MASK: translated source or destination, in whichever direction.
	const snat, dnat = 1 << 4, 1 << 5
	exprs = append(append(exprs, tunnelPort(port)...),
		&expr.Ct{Key: expr.CtKeySTATUS, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(snat | dnat), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)},
		&expr.Counter{}, drop())
	return rule{words: fmt.Sprintf("%s %s udp dport %d ct status snat,dnat counter drop", words, vtep, port), exprs: exprs}
}

// everything drops all.
func everything() rule {
	return rule{words: "counter drop", exprs: []expr.Any{&expr.Counter{}, drop()}}
}

// tunnelPort matches UDP to the port.
func tunnelPort(port uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, equal([]byte{unix.IPPROTO_UDP}),
		// RFC 768: the destination port follows the source port.
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}, equal(binaryutil.BigEndian.PutUint16(port)),
	}
}

func equal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data}
}

func drop() expr.Any { return &expr.Verdict{Kind: expr.VerdictDrop} }
