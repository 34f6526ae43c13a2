package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// Burst is many containers of a kind started at once on one host, and removed by one command.
type Burst struct {
	Kind  string
	Count int
	// All is until the last `docker run` returned, Each the time of one of them, in milliseconds.
	All    float64
	Each   Spread
	Remove float64
}

// firstOfBurst is the number of the first container of a burst, behind those that were started one by one.
const firstOfBurst = 10000

// bursts starts that many containers of each kind, one kind after the other.
func bursts(ctx context.Context, h *lab.Host, kinds []kind, count int) ([]Burst, error) {
	var list []Burst
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

func burst(ctx context.Context, h *lab.Host, k kind, count int) (Burst, error) {
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
			took[i] = ms(time.Since(began))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Burst{}, err
	}
	b := Burst{Kind: k.name, Count: count, All: ms(time.Since(began)), Each: spread(took)}
	began = time.Now()
	_, err := h.Run(ctx, append([]string{"docker", "rm", "-f"}, names...)...)
	b.Remove = ms(time.Since(began))
	return b, err
}

// Create is what making a network takes, in milliseconds.
type Create struct {
	Kind string
	// Commands is all that must be said for it to be usable on every host; Usable until a first container on each of
	// them ran and was reached from h1's.
	Commands, Usable Spread
}

// creates makes that many networks of each kind, in turns.
func creates(ctx context.Context, l *lab.Lab, rounds int) ([]Create, error) {
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
	var list []Create
	for _, kind := range []string{"overlay", "ovsnet"} {
		list = append(list, Create{Kind: kind, Commands: spread(commands[kind]), Usable: spread(usable[kind])})
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
	said = ms(time.Since(began))
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
	used = ms(time.Since(began))
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
