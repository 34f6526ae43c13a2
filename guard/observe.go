package guard

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// dumpAttempts bounds how often a dump that a change fell into is read again.
const dumpAttempts = 10

// observe reads the chains of our tables with the words of their rules.
func observe(ctx context.Context) ([]chain, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket of netfilter: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer bound(ctx, conn)()
	var all []chain
	for _, family := range []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyNetdev} {
		chains, err := chainsOf(conn, family)
		if err != nil {
			return nil, fmt.Errorf("list chains: %w", err)
		}
		if err := addRulesOf(conn, family, chains); err != nil {
			return nil, fmt.Errorf("list rules: %w", err)
		}
		all = append(all, chains...)
	}
	return all, nil
}

// chainsOf are the chains of our table of the family, without rules.
func chainsOf(conn *netlink.Conn, family nftables.TableFamily) ([]chain, error) {
	messages, err := dump(conn, unix.NFT_MSG_GETCHAIN, family, nil)
	if err != nil {
		return nil, err
	}
	var chains []chain
	for _, m := range messages {
		c, ours, err := readChain(m.Data)
		if err != nil {
			return nil, err
		}
		if ours {
			chains = append(chains, c)
		}
	}
	return chains, nil
}

// addRulesOf gives the chains the rules that they have in our table of the family. The kernel lists one table's rules
// for each such question, whatever the number of chains.
func addRulesOf(conn *netlink.Conn, family nftables.TableFamily, chains []chain) error {
	name, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NFTA_RULE_TABLE, Data: []byte(table + "\x00")}})
	if err != nil {
		return err
	}
	messages, err := dump(conn, unix.NFT_MSG_GETRULE, family, name)
	if err != nil {
		return err
	}
	rules := map[string][]rule{}
	for _, m := range messages {
		in, r, err := readRule(m.Data)
		if err != nil {
			return err
		}
		rules[in] = append(rules[in], r)
	}
	for i := range chains {
		chains[i].rules = rules[chains[i].name]
	}
	return nil
}

// bound ends what the connection waits for when the context ends. The function it returns must be called.
func bound(ctx context.Context, conn *netlink.Conn) func() {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// dump lists what the kernel has of one kind, for all tables of the family unless attributes say less.
func dump(conn *netlink.Conn, kind uint16, family nftables.TableFamily, attributes []byte) ([]netlink.Message, error) {
	request := netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{byte(family), unix.NFNETLINK_V0, 0, 0}, attributes...),
	}
	for range dumpAttempts {
		messages, err := conn.Execute(request)
		if err != nil {
			return nil, err
		}
		if !interrupted(messages) {
			return messages, nil
		}
	}
	return nil, errors.New("it changed each time it was read")
}

func interrupted(messages []netlink.Message) bool {
	for _, m := range messages {
		if m.Header.Flags&netlink.HeaderFlags(unix.NLM_F_DUMP_INTR) != 0 {
			return true
		}
	}
	return false
}

// attributes decodes what follows the header of struct nfgenmsg, whose first byte is the family.
func attributes(data []byte) (nftables.TableFamily, *netlink.AttributeDecoder, error) {
	const header = 4
	if len(data) < header {
		return 0, nil, fmt.Errorf("%d bytes are too few", len(data))
	}
	ad, err := netlink.NewAttributeDecoder(data[header:])
	if err != nil {
		return 0, nil, err
	}
	ad.ByteOrder = binary.BigEndian
	return nftables.TableFamily(data[0]), ad, nil
}

func readChain(data []byte) (c chain, ours bool, err error) {
	family, ad, err := attributes(data)
	if err != nil {
		return chain{}, false, err
	}
	c.family, c.hook = family, noHook
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_CHAIN_TABLE:
			ours = ad.String() == table
		case unix.NFTA_CHAIN_NAME:
			c.name = ad.String()
		case unix.NFTA_CHAIN_POLICY:
			c.policy = nftables.ChainPolicy(ad.Uint32())
		case unix.NFTA_CHAIN_HOOK:
			ad.Nested(func(hook *netlink.AttributeDecoder) error { return readHook(hook, &c.declaration) })
		}
	}
	return c, ours, ad.Err()
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

// readRule gives a rule, with its words only, and the name of its chain.
func readRule(data []byte) (in string, r rule, err error) {
	_, ad, err := attributes(data)
	if err != nil {
		return "", rule{}, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_RULE_CHAIN:
			in = ad.String()
		case unix.NFTA_RULE_USERDATA:
			r.words, _ = userdata.GetString(ad.Bytes(), userdata.TypeComment)
		}
	}
	return in, r, ad.Err()
}
