package guard

import (
	"context"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
)

// bufferPerOperation is what one operation may take of a socket's buffer, in bytes as the kernel counts them: its
// message on the way there, its answer and the notice of its effect on the way back. A transaction is one send.
const bufferPerOperation = 8 << 10

// apply sends the operations as one transaction: all of them take effect, at once, or none.
func apply(ctx context.Context, operations []operation) error {
	if len(operations) == 0 {
		return nil
	}
	release := func() {}
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		release = bound(ctx, c)
		if err := c.SetWriteBuffer(len(operations) * bufferPerOperation); err != nil {
			return err
		}
		return c.SetReadBuffer(len(operations) * bufferPerOperation)
	}))
	defer release()
	if err != nil {
		return fmt.Errorf("open netlink socket of netfilter: %w", err)
	}
	defer func() { _ = conn.CloseLasting() }()
	for _, o := range operations {
		if err := send(conn, o); err != nil {
			return fmt.Errorf("encode %q: %w", o, err)
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("a transaction of %d operations, first %q: %w", len(operations), operations[0], err)
	}
	return nil
}

// send puts the operation into the connection's transaction.
func send(conn *nftables.Conn, o operation) error {
	in := &nftables.Table{Family: o.chain.family, Name: table}
	named := &nftables.Chain{Table: in, Name: o.chain.name}
	group := &nftables.Set{Table: &nftables.Table{Family: nftables.TableFamilyINet, Name: table}, Name: o.set.name, KeyType: o.set.kind}
	switch o.verb {
	case addTable:
		conn.AddTable(in)
	case deleteTable:
		conn.DelTable(in)
	case addSet:
		return conn.AddSet(group, nil)
	case addElements:
		return conn.SetAddElements(group, o.set.keys())
	case deleteElements:
		return conn.SetDeleteElements(group, o.set.keys())
	case addChain:
		if o.chain.hook != noHook {
			named.Type, named.Policy, named.Device = nftables.ChainTypeFilter, &o.chain.policy, o.chain.device
			named.Hooknum = nftables.ChainHookRef(nftables.ChainHook(o.chain.hook))
			named.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(o.chain.priority))
		}
		conn.AddChain(named)
	case flushChain:
		conn.FlushChain(named)
	case deleteChain:
		conn.DelChain(named)
	case addRule:
		conn.AddRule(&nftables.Rule{Table: in, Chain: named, Exprs: o.rule.exprs, UserData: userdata.AppendString(nil, userdata.TypeComment, o.rule.comment)})
	}
	return nil
}

func (s set) keys() []nftables.SetElement {
	var all []nftables.SetElement
	for _, addr := range s.addrs {
		all = append(all, nftables.SetElement{Key: addr.AsSlice()})
	}
	return all
}
