package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/vishvananda/netns"

	"github.com/ovsnet/ovsnet/tests/lab"
)

const (
	// probeEvery is how often a prober asks.
	probeEvery = time.Millisecond
	// resolveEvery is how often its namespace asks for an address's MAC, in milliseconds, and resolveTries how often in
	// all; Linux's own are 1000 and 3.
	resolveEvery = "5"
	resolveTries = "10000"
	// peerNumber is of the address of a prober's container, behind those of all measured ones.
	peerNumber = 50000
)

// prober asks from a container's network namespace whether an address answers.
type prober struct{ conn net.PacketConn }

// makeProbers starts a container in all networks on every host but h1, with a prober in each.
func makeProbers(ctx context.Context, l *lab.Lab, kinds []kind) ([]*prober, error) {
	var probers []*prober
	for n := 2; n <= hosts; n++ {
		h := l.Host(n)
		if _, err := h.Run(ctx, "docker", "run", "-d", "--name", "peer", "--network", kinds[len(kinds)-1].name,
			"--ip", kinds[len(kinds)-1].address(peerNumber+n).String(), lab.ImageName); err != nil {
			return nil, err
		}
		for _, k := range kinds[:len(kinds)-1] {
			if !k.prefix.IsValid() {
				continue
			}
			if _, err := h.Run(ctx, "docker", "network", "connect", "--ip", k.address(peerNumber+n).String(), k.name, "peer"); err != nil {
				return nil, err
			}
		}
		p, err := proberIn(ctx, h, "peer")
		if err != nil {
			return nil, err
		}
		probers = append(probers, p)
	}
	return probers, nil
}

// proberIn makes a prober in the container's namespace.
func proberIn(ctx context.Context, h *lab.Host, container string) (*prober, error) {
	process, err := pid(ctx, h, container)
	if err != nil {
		return nil, err
	}
	// The process's number counts in the host's own PID namespace.
	path, err := h.Path(fmt.Sprintf("/proc/%d/ns/net", process))
	if err != nil {
		return nil, err
	}
	return newProber(path)
}

// newProber opens the socket in the namespace; it stays there.
func newProber(path string) (*prober, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	if err != nil {
		return nil, fmt.Errorf("find the own network namespace: %w", err)
	}
	defer func() { _ = home.Close() }()
	there, err := netns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { _ = there.Close() }()
	if err := netns.Set(there); err != nil {
		return nil, fmt.Errorf("enter %s: %w", path, err)
	}
	conn, err := net.ListenPacket("ip4:icmp", "0.0.0.0")
	if err == nil {
		err = resolveEagerly()
	}
	if err := errors.Join(err, netns.Set(home)); err != nil {
		return nil, fmt.Errorf("make a prober in %s: %w", path, err)
	}
	return &prober{conn: conn}, nil
}

// resolveEagerly has the thread's namespace ask often for MACs (arp(7)).
func resolveEagerly() error {
	links, err := filepath.Glob("/proc/sys/net/ipv4/neigh/*")
	if err != nil {
		return err
	}
	for _, link := range links {
		err = errors.Join(err, os.WriteFile(filepath.Join(link, "retrans_time_ms"), []byte(resolveEvery), 0),
			os.WriteFile(filepath.Join(link, "mcast_solicit"), []byte(resolveTries), 0))
	}
	return err
}

// first asks until the address answers, and tells when that was.
func (p *prober) first(ctx context.Context, addr netip.Addr) (time.Time, error) {
	stop := make(chan struct{})
	defer close(stop)
	go p.ask(addr, stop)
	defer context.AfterFunc(ctx, func() { _ = p.conn.SetReadDeadline(time.Unix(1, 0)) })()
	_ = p.conn.SetReadDeadline(time.Time{})
	buffer := make([]byte, 1500)
	for {
		n, from, err := p.conn.ReadFrom(buffer)
		if err != nil {
			return time.Time{}, fmt.Errorf("%s does not answer: %w", addr, errors.Join(ctx.Err(), err))
		}
		const echoReply = 0 // RFC 792
		if n >= 8 && buffer[0] == echoReply && from.String() == addr.String() {
			return time.Now(), nil
		}
	}
}

// ask sends echo requests until it is told to stop. That some cannot be sent is what is measured.
func (p *prober) ask(addr netip.Addr, stop <-chan struct{}) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	to := &net.IPAddr{IP: addr.AsSlice()}
	for seq := uint16(0); ; seq++ {
		_, _ = p.conn.WriteTo(echoRequest(seq), to)
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// echoRequest is an ICMP echo request without data (RFC 792).
func echoRequest(seq uint16) []byte {
	packet := []byte{8, 0, 0, 0, 0x6f, 0x76, 0, 0}
	binary.BigEndian.PutUint16(packet[6:], seq)
	var sum uint32
	for i := 0; i < len(packet); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(packet[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(packet[2:], ^uint16(sum+sum>>16))
	return packet
}
