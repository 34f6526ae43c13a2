package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// firstOfBurst is the number of the first container of a burst, behind those that were started one by one.
const firstOfBurst = 10000

// bursts starts that many containers of each kind, one kind after the other.
func bursts(ctx context.Context, h *lab.Host, kinds []kind, count int) ([]figures.Burst, error) {
	var list []figures.Burst
	for _, k := range kinds {
		fmt.Fprintf(os.Stderr, "  %d containers at once, %s\n", count, k.name)
		b, err := burst(ctx, h, k, count)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

func burst(ctx context.Context, h *lab.Host, k kind, count int) (figures.Burst, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	took, names := make([]float64, count), make([]string, count)
	began := time.Now()
	for i := range count {
		names[i] = fmt.Sprintf("many%d", i)
		group.Go(func() error {
			began := time.Now()
			_, err := h.Run(ctx, k.start(names[i], firstOfBurst+i)...)
			took[i] = figures.MS(time.Since(began))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return figures.Burst{}, err
	}
	b := figures.Burst{Kind: k.name, Count: count, All: figures.MS(time.Since(began)), Each: figures.NewSpread(took)}
	began = time.Now()
	_, err := h.Run(ctx, append([]string{"docker", "rm", "-f"}, names...)...)
	b.Remove = figures.MS(time.Since(began))
	return b, err
}

// creates makes that many networks of each kind, in turns.
func creates(ctx context.Context, l *lab.Lab, rounds int) ([]figures.Create, error) {
	commands, usable := map[string][]float64{}, map[string][]float64{}
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "\r  network %d of %d of each kind", round+1, rounds)
		for _, k := range []kind{
			overlayKind(fmt.Sprintf("overlay%d", round), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 84, byte(16 * round), 0}), 20)),
			ovsnetKind(fmt.Sprintf("ovsnet%d", round), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 85, byte(16 * round), 0}), 20)),
		} {
			said, used, err := oneCreate(ctx, l, k)
			if err != nil {
				return nil, err
			}
			kind := k.name[:len(k.name)-1]
			commands[kind], usable[kind] = append(commands[kind], said), append(usable[kind], used)
		}
	}
	fmt.Fprintln(os.Stderr)
	var list []figures.Create
	for _, kind := range []string{"overlay", "ovsnet"} {
		list = append(list, figures.Create{Kind: kind, Commands: figures.NewSpread(commands[kind]), Usable: figures.NewSpread(usable[kind])})
	}
	return list, nil
}

// oneCreate makes a network, has a container on every host reached, and leaves nothing of it.
func oneCreate(ctx context.Context, l *lab.Lab, k kind) (said, used float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	if err := k.makeNetwork(ctx, l); err != nil {
		return 0, 0, err
	}
	said = figures.MS(time.Since(began))
	group, inGroup := errgroup.WithContext(ctx)
	for n, h := range l.Hosts() {
		group.Go(func() error { _, err := h.Run(inGroup, k.start("first", n)...); return err })
	}
	if err := group.Wait(); err != nil {
		return 0, 0, err
	}
	p, err := proberIn(ctx, l.Host(1), "first")
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = p.conn.Close() }()
	for n := 1; n < hosts; n++ {
		if _, err := p.first(ctx, k.address(n)); err != nil {
			return 0, 0, err
		}
	}
	used = figures.MS(time.Since(began))
	for _, argv := range [][]string{{"docker", "rm", "-f", "first"}, {"docker", "network", "rm", k.name}} {
		for i, h := range l.Hosts() {
			// A swarm's network is removed by its manager alone.
			if argv[1] == "network" && i > 0 && len(k.create) == 1 {
				continue
			}
			if _, err := h.Run(ctx, argv...); err != nil {
				return 0, 0, err
			}
		}
	}
	return said, used, nil
}
