package guard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/overlay"
)

// attempts bounds how often Ensure observes again after links or tables changed under its transaction.
const attempts = 10

// errRestless is why Ensure gives up when they changed under each of them.
var errRestless = errors.New("links or tables changed each time")

// Rules is what the guard must hold on this host.
type Rules struct {
	// Port is the UDP port of the tunnel, in host byte order (4789, RFC 7348 section 5).
	Port uint16
	// VTEPs are this host's own tunnel addresses, IPv4 or IPv6, as peers know them.
	VTEPs []netip.Addr
	// Peers are the tunnel addresses of the cluster's hosts. Where they are not known it is nil: then those that the guard
	// has stay, and one that has none suspects every source.
	Peers []netip.Addr
	// Links are the host ends of containers' links from which the host's own kernel must take nothing. Name them only on
	// OVS's userspace datapath: the kernel's datapath takes packets behind this hook and would get none. A link that does
	// not exist is passed over.
	Links []string
}

// Drops are packets that the guard dropped since its rules stand.
type Drops struct {
	// Arriving are tunnel packets for this host that came by a link which does not lead to their source.
	Arriving uint64
}

// Ensure makes the netfilter of the calling thread's network namespace hold exactly these rules, in one transaction of
// what differs; when nothing does, it only reads. An error is a Refusal of kind Unavailable, or the context's.
func Ensure(ctx context.Context, want Rules) (Drops, error) {
	var have ruleset
	err := settle(func() (operations []operation, err error) {
		if have, err = observe(ctx); err != nil {
			return nil, err
		}
		if operations = plan(desired(want, have), have); len(operations) == 0 {
			return nil, nil
		}
		// One link that is gone would fail the whole transaction.
		there := want
		if there.Links, err = existing(want.Links); err != nil {
			return nil, err
		}
		operations = plan(desired(there, have), have)
		return operations, apply(ctx, operations)
	})
	return have.drops(), explain(ctx, err, "ensure")
}

// settle tries again while links or tables change between a look and the transaction that follows from it. It gives up
// where the kernel refuses the same twice, as then it is not for a change.
func settle(attempt func() ([]operation, error)) error {
	var before []operation
	var err error
	for range attempts {
		var operations []operation
		operations, err = attempt()
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EBUSY) {
			return err
		}
		if len(operations) > 0 && slices.EqualFunc(operations, before, func(a, b operation) bool { return a.String() == b.String() }) {
			return err
		}
		before = operations
	}
	return errors.Join(errRestless, err)
}

// drops are what the rules counted.
func (r ruleset) drops() Drops {
	var sum Drops
	for _, c := range r.chains {
		if c.family != nftables.TableFamilyINet || c.name != arriving {
			continue
		}
		for _, r := range c.rules {
			sum.Arriving += r.drops
		}
	}
	return sum
}

// existing are those of the links that this host has.
func existing(links []string) ([]string, error) {
	if len(links) == 0 {
		return nil, nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	known := make(map[string]bool, len(all))
	for _, link := range all {
		known[link.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(links), func(name string) bool { return !known[name] }), nil
}

// Remove takes both tables away, in one transaction. It is no error when there are none, or a kernel without nftables.
func Remove(ctx context.Context) error {
	err := settle(func() ([]operation, error) {
		have, err := observe(ctx)
		if err != nil {
			return nil, err
		}
		operations := removal(have)
		return operations, apply(ctx, operations)
	})
	if unsupported(err) {
		return nil
	}
	return explain(ctx, err, "remove")
}

// unsupported says whether the kernel knows no nftables, or not such a table.
func unsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT)
}

// explain gives the error its object, cause and remedy.
func explain(ctx context.Context, err error, verb string) error {
	object := "netfilter tables inet ovsnet and netdev ovsnet"
	refuse := func(cause, remedy string) error {
		return &overlay.Refusal{Kind: overlay.Unavailable, Object: object, Cause: cause, Remedy: remedy, Err: err}
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s %s: %w", verb, object, ctx.Err())
	case errors.Is(err, unix.EPERM):
		return refuse("the kernel does not permit it", "run ovsnet as root, with CAP_NET_ADMIN")
	case errors.Is(err, errRestless):
		return refuse("links or tables changed each time that the rules were to follow", "it is tried again; see nft monitor if it stays so")
	case unsupported(err), errors.Is(err, unix.ENOENT):
		return refuse("the kernel lacks a part of nftables",
			"load its modules: modprobe -a nf_tables nft_fib_inet nft_ct; a kernel built without them cannot keep containers out of the tunnel")
	}
	return refuse("the kernel refuses the rules", "look at nft list ruleset, and whether another program changes these tables")
}
