package guard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// dumpAttempts bounds how often a dump that a change fell into is read again.
const dumpAttempts = 10

// observe reads our tables: their flags, sets and chains, and the comments and drops of their rules.
func observe(ctx context.Context) (ruleset, error) {
	if err := ctx.Err(); err != nil {
		return ruleset{}, err
	}
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return ruleset{}, fmt.Errorf("open netlink socket of netfilter: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer bound(ctx, conn)()
	found := ruleset{flags: map[nftables.TableFamily]uint32{}}
	if err := each(conn, unix.NFT_MSG_GETTABLE, nftables.TableFamilyUnspecified, nil, found.readTable); err != nil {
		return ruleset{}, fmt.Errorf("list tables: %w", err)
	}
	if len(found.flags) == 0 {
		return found, nil
	}
	if err := found.readChains(conn); err != nil {
		return ruleset{}, err
	}
	if _, there := found.flags[nftables.TableFamilyINet]; !there {
		return found, nil
	}
	if err := found.readSets(conn); err != nil {
		return ruleset{}, fmt.Errorf("list sets: %w", err)
	}
	return found, nil
}

// readChains reads the chains and their rules. Other programs' chains in tables of our families are passed over; the
// kernel lists the rules of our tables alone.
func (r *ruleset) readChains(conn *netlink.Conn) error {
	for _, family := range families {
		if err := each(conn, unix.NFT_MSG_GETCHAIN, family, nil, r.readChain); err != nil {
			return fmt.Errorf("list chains: %w", err)
		}
	}
	index := make(map[key]int, len(r.chains))
	for i, c := range r.chains {
		index[key{c.family, c.name}] = i
	}
	ours, err := named(name{unix.NFTA_RULE_TABLE, table})
	if err != nil {
		return err
	}
	for _, family := range families {
		err := each(conn, unix.NFT_MSG_GETRULE, family, ours, func(m message) error {
			in, read, err := readRule(m)
			if i, known := index[key{m.family, in}]; known && err == nil {
				r.chains[i].rules = append(r.chains[i].rules, read)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("list rules: %w", err)
		}
	}
	return nil
}

// readSets reads the sets of table inet with their elements.
func (r *ruleset) readSets(conn *netlink.Conn) error {
	ours, err := named(name{unix.NFTA_SET_TABLE, table})
	if err != nil {
		return err
	}
	if err := each(conn, unix.NFT_MSG_GETSET, nftables.TableFamilyINet, ours, r.readSet); err != nil {
		return err
	}
	for i := range r.sets {
		s := &r.sets[i]
		if s.odd {
			continue
		}
		of, err := named(name{unix.NFTA_SET_ELEM_LIST_TABLE, table}, name{unix.NFTA_SET_ELEM_LIST_SET, s.name})
		if err != nil {
			return err
		}
		if err := each(conn, unix.NFT_MSG_GETSETELEM, nftables.TableFamilyINet, of, s.readElements); err != nil {
			return err
		}
		slices.SortFunc(s.addrs, netip.Addr.Compare)
	}
	return nil
}

// bound ends what the connection waits for when the context ends. The function it returns must be called.
func bound(ctx context.Context, conn *netlink.Conn) func() {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

// each reads all that the kernel has of one kind in tables of the family, or of all families, as far as the attributes
// allow.
func each(conn *netlink.Conn, kind uint16, family nftables.TableFamily, attributes []byte, read func(message) error) error {
	messages, err := dump(conn, kind, family, attributes)
	if err != nil {
		return err
	}
	for _, m := range messages {
		decoded, err := decode(m.Data)
		if err != nil {
			return err
		}
		if err := errors.Join(read(decoded), decoded.Err()); err != nil {
			return err
		}
	}
	return nil
}

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
