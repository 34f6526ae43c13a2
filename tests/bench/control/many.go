package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// firstOfBurst is the number of the first container of a burst, behind those that were started one by one.
const firstOfBurst = 10000

// manyTimes are those of one kind's bursts, in milliseconds: of each burst, and of each container of all.
type manyTimes struct {
	kind
	all, removed, each []float64
	failed             int
}

// bursts starts that many containers of each kind at once, one kind after the other, and all that so many times.
func bursts(ctx context.Context, h *lab.Host, kinds []kind, count, rounds int) ([]figures.Burst, error) {
	var all []*manyTimes
	for _, k := range kinds {
		all = append(all, &manyTimes{kind: k})
	}
	for round := range rounds {
		for _, t := range figures.Turn(all, round) {
			fmt.Fprintf(os.Stderr, "  %d containers at once, %s, %d of %d\n", count, t.name, round+1, rounds)
			if err := t.take(ctx, h, count, firstOfBurst+round*count); err != nil {
				return nil, err
			}
		}
	}
	var list []figures.Burst
	for _, t := range all {
		list = append(list, figures.Burst{Kind: t.name, Count: count, Rounds: rounds, All: figures.NewSpread(t.all),
			Each: figures.NewSpread(t.each), Remove: figures.NewSpread(t.removed), Failed: t.failed})
	}
	return list, nil
}

// take starts and removes one burst, whose first container has that number.
func (t *manyTimes) take(ctx context.Context, h *lab.Host, count, first int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var group sync.WaitGroup
	took, names, errs := make([]float64, count), make([]string, count), make([]error, count)
	began := time.Now()
	for i := range count {
		names[i] = fmt.Sprintf("many%d", i)
		group.Go(func() {
			began := time.Now()
			_, errs[i] = h.Run(ctx, t.start(names[i], first+i)...)
			took[i] = figures.MS(time.Since(began))
		})
	}
	group.Wait()
	t.all, t.each = append(t.all, figures.MS(time.Since(began))), append(t.each, took...)
	for _, err := range errs {
		if err != nil {
			t.failed++
			fmt.Fprintf(os.Stderr, "  %s: %v\n", t.name, err)
		}
	}
	began = time.Now()
	_, err := h.Run(ctx, append([]string{"docker", "rm", "-f"}, names...)...)
	t.removed = append(t.removed, figures.MS(time.Since(began)))
	return err
}

// creates makes that many networks of each kind, in turns.
func creates(ctx context.Context, l *lab.Lab, rounds int) ([]figures.Create, error) {
	commands, usable, failed := map[string][]float64{}, map[string][]float64{}, map[string]int{}
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "\r  network %d of %d of each kind", round+1, rounds)
		kinds := []kind{
			overlayKind(fmt.Sprintf("overlay%d", round), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 84, byte(16 * round), 0}), 20)),
			ovsnetKind(fmt.Sprintf("ovsnet%d", round), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 85, byte(16 * round), 0}), 20)),
		}
		for _, k := range figures.Turn(kinds, round) {
			kind := k.name[:len(k.name)-1]
			said, used, err := oneCreate(ctx, l, k)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				failed[kind]++
				fmt.Fprintf(os.Stderr, "\n  %s: %v\n", k.name, err)
				continue
			}
			commands[kind], usable[kind] = append(commands[kind], said), append(usable[kind], used)
		}
	}
	fmt.Fprintln(os.Stderr)
	var list []figures.Create
	for _, kind := range []string{"overlay", "ovsnet"} {
		list = append(list, figures.Create{Kind: kind, Commands: figures.NewSpread(commands[kind]), Usable: figures.NewSpread(usable[kind]), Failed: failed[kind]})
	}
	return list, nil
}

// oneCreate makes a network, has a container on every host reached, and leaves nothing of it.
func oneCreate(ctx context.Context, l *lab.Lab, k kind) (said, used float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() { err = errors.Join(err, removeNetwork(ctx, l, k)) }()
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
	return said, figures.MS(time.Since(began)), nil
}

// removeNetwork removes the network with its containers, as far as they are there.
func removeNetwork(ctx context.Context, l *lab.Lab, k kind) error {
	var failed error
	for _, h := range l.Hosts() {
		_, err := h.Run(ctx, "docker", "rm", "-f", "first")
		failed = errors.Join(failed, err)
	}
	for i, h := range l.Hosts() {
		// A swarm's network is removed by its manager alone.
		if i > 0 && len(k.create) == 1 {
			break
		}
		_, err := h.Run(ctx, "docker", "network", "rm", k.name)
		failed = errors.Join(failed, err)
	}
	return failed
}
