package guard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// patience bounds what must arrive. What must not arrive is known by what was sent after it and did.
const patience = 10 * time.Second

// scene is a host, which is the test's own namespace, with a peer on its underlay and a container behind a bridge, as
// Docker would have it.
type scene struct {
	*testing.T
	host, peer, box  netip.Addr
	hostNS           netns.NsHandle
	peerNS, boxNS    netns.NsHandle
	ip, nat, masking string
}

// port is the tunnel's, and published one that a container has published on the host.
const (
	port      = 4789
	published = 5353
)

// scenes runs the test for both families of addresses.
func scenes(t *testing.T, masquerade string, test func(*scene)) {
	for name, s := range map[string]scene{
		"ipv4": {host: addrs("192.0.2.1")[0], peer: addrs("192.0.2.2")[0], box: addrs("172.18.0.2")[0], ip: "-4", nat: "ip"},
		"ipv6": {host: addrs("2001:db8::1")[0], peer: addrs("2001:db8::2")[0], box: addrs("fd00::2")[0], ip: "-6", nat: "ip6"},
	} {
		t.Run(name, func(t *testing.T) {
			ownNamespace(t)
			s.T, s.masking = t, masquerade
			s.build()
			test(&s)
		})
	}
}

func (s *scene) build() {
	s.Helper()
	s.hostNS = current(s.T)
	s.peerNS, s.boxNS = fresh(s.T, s.hostNS), fresh(s.T, s.hostNS)
	bits, gateway := 24, "172.18.0.1"
	if s.host.Is6() {
		bits, gateway = 64, "fd00::1"
	}
	s.plug("underlay", s.peerNS)
	s.plug("vethbox", s.boxNS)
	command(s.T, "ip", "link", "add", "docker0", "type", "bridge")
	command(s.T, "ip", "link", "set", "vethbox", "master", "docker0")
	command(s.T, "ip", "link", "set", "docker0", "up")
	give := func(addr any, link string) {
		command(s.T, "ip", "addr", "add", fmt.Sprintf("%v/%d", addr, bits), "dev", link, "nodad")
	}
	give(s.host, "underlay")
	give(gateway, "docker0")
	s.in(s.peerNS, func() { give(s.peer, "eth0") })
	s.in(s.boxNS, func() {
		give(s.box, "eth0")
		command(s.T, "ip", s.ip, "route", "add", "default", "via", gateway)
	})
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/"+name, []byte("1"), 0); err != nil {
			s.Fatal(err)
		}
	}
	command(s.T, "nft", fmt.Sprintf(`add table %s docker; add chain %[1]s docker out { type nat hook postrouting priority srcnat; };
		add rule %[1]s docker out oifname "underlay" %s`, s.nat, s.masking))
}

// plug leads a link from here to eth0 in the namespace.
func (s *scene) plug(name string, ns netns.NsHandle) {
	s.Helper()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(ns))}
	if err := netlink.LinkAdd(veth); err != nil {
		s.Fatal(err)
	}
	command(s.T, "ip", "link", "set", name, "up")
	s.in(ns, func() { command(s.T, "ip", "link", "set", "eth0", "up") })
}

func current(t testing.TB) netns.NsHandle {
	t.Helper()
	ns, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

// fresh makes a namespace and comes back to this one.
func fresh(t testing.TB, back netns.NsHandle) netns.NsHandle {
	t.Helper()
	ns, err := netns.New()
	if err = errors.Join(err, netns.Set(back)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	return ns
}

// in runs do in the namespace.
func (s *scene) in(ns netns.NsHandle, do func()) {
	s.Helper()
	if err := netns.Set(ns); err != nil {
		s.Fatal(err)
	}
	do()
	if err := netns.Set(s.hostNS); err != nil {
		s.Fatal(err)
	}
}

// open is a socket in the namespace; an address that is not given is any.
func (s *scene) open(ns netns.NsHandle, addr netip.Addr, port uint16) *net.UDPConn {
	s.Helper()
	return s.openAs(map[bool]string{false: "udp4", true: "udp6"}[s.host.Is6()], ns, addr, port)
}

func (s *scene) openAs(network string, ns netns.NsHandle, addr netip.Addr, port uint16) (socket *net.UDPConn) {
	s.Helper()
	s.in(ns, func() {
		var err error
		if socket, err = net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port))); err != nil {
			s.Fatal(err)
		}
	})
	s.Cleanup(func() { _ = socket.Close() })
	return socket
}

func (s *scene) send(from *net.UDPConn, text string, to netip.Addr, port uint16) {
	s.Helper()
	if _, err := from.WriteToUDPAddrPort([]byte(text), netip.AddrPortFrom(to, port)); err != nil {
		s.Fatal(err)
	}
}

// receives holds that this, and nothing before it, comes to the socket.
func (s *scene) receives(at *net.UDPConn, want string) netip.AddrPort {
	s.Helper()
	buffer := make([]byte, 100)
	_ = at.SetReadDeadline(time.Now().Add(patience))
	n, from, err := at.ReadFromUDPAddrPort(buffer)
	if err != nil {
		s.Fatalf("nothing comes where %q should: %v\n%s", want, err, rules(s.T))
	}
	if got := string(buffer[:n]); got != want {
		s.Errorf("%q comes from %s, want %q", got, from, want)
	}
	return from
}

// guarded puts the guard up as an agent of this host would.
func (s *scene) guarded() {
	s.Helper()
	ensure(s.T, Rules{Port: port, VTEPs: []netip.Addr{s.host}, Peers: []netip.Addr{s.peer}})
}

// A service of the host, such as Docker's proxy of a published port, answers whoever it was asked by. A container that
// asks in a peer's name, from the tunnel's port, would have it send a tunnel packet.
func TestNoAnswerIsATunnelPacket(t *testing.T) {
	scenes(t, "masquerade", func(s *scene) {
		s.guarded()
		service, tunnel := s.open(s.hostNS, s.host, published), s.open(s.peerNS, s.peer, port)
		honest := s.open(s.boxNS, s.box, port)
		s.send(honest, "first", s.host, published)
		s.receives(service, "first")
		s.in(s.boxNS, func() { command(s.T, "ip", "addr", "add", s.peer.String(), "dev", "eth0", "nodad") })
		s.send(s.open(s.boxNS, s.peer, port), "forged", s.host, published)
		s.send(honest, "honest", s.host, published)
		s.receives(service, "honest")
		s.send(service, "answer", s.box, port)
		s.receives(honest, "answer")
		// A service of another host would answer in that host's name.
		s.send(honest, "through NAT", s.peer, published)
		other := s.open(s.peerNS, s.peer, published)
		s.send(s.open(s.hostNS, s.host, 40000), "of the host", s.peer, published)
		s.receives(other, "of the host")
		s.send(s.open(s.hostNS, s.host, 40001), "tunnel", s.peer, port)
		s.receives(tunnel, "tunnel")
	})
}

// What a container sends from the tunnel's port leaves, by masquerade, from its host's VTEP and that port. The peer's
// tunnel packets would be its answers.
func TestNoConnectionTakesTunnelPackets(t *testing.T) {
	scenes(t, "masquerade", func(s *scene) {
		thief := s.open(s.boxNS, s.box, port)
		// Connections of before the guard give nothing either.
		s.send(thief, "a hole", s.peer, 50000)
		s.guarded()
		s.send(thief, "a hole", s.peer, 50001)
		tunnel := s.open(s.hostNS, s.host, port)
		for _, from := range []uint16{50000, 50001} {
			s.send(s.open(s.peerNS, s.peer, from), fmt.Sprint("tunnel ", from), s.host, port)
			s.receives(tunnel, fmt.Sprint("tunnel ", from))
		}
		ordinary := s.open(s.boxNS, s.box, 0)
		far := s.open(s.peerNS, s.peer, published)
		s.send(ordinary, "question", s.peer, published)
		back := s.receives(far, "question")
		s.send(far, "answer", back.Addr(), back.Port())
		s.receives(ordinary, "answer")
	})
}

// Docker's or an administrator's masquerade may take all that leaves, and change every port.
func TestHostsOwnTunnelPacketsAreNotTranslated(t *testing.T) {
	for _, masquerade := range []string{"masquerade random", "masquerade fully-random"} {
		t.Run(masquerade, func(t *testing.T) {
			scenes(t, masquerade, func(s *scene) {
				s.guarded()
				tunnel := s.open(s.peerNS, s.peer, port)
				s.send(s.open(s.hostNS, s.host, 40000), "tunnel", s.peer, port)
				if from := s.receives(tunnel, "tunnel"); from.Port() != 40000 {
					s.Errorf("it comes from %s", from)
				}
				before := s.open(s.boxNS, s.box, 40001)
				s.send(before, "of a container", s.peer, port)
				s.send(s.open(s.hostNS, s.host, 40002), "of the host", s.peer, port)
				s.receives(tunnel, "of the host")
			})
		})
	}
}

// The kernel's own tunnel, as Open vSwitch's kernel datapath has it, goes on with all rules and any masquerade about it.
func TestKernelsTunnelGoesOn(t *testing.T) {
	scenes(t, "masquerade fully-random", func(s *scene) {
		s.guarded()
		inner := addrs("10.99.0.1", "10.99.0.2")
		tunnel := func(link string, local, remote, addr netip.Addr) {
			command(s.T, "ip", "link", "add", "vx0", "type", "vxlan", "id", "5", "dev", link, "local", local.String(), "remote", remote.String(),
				"dstport", fmt.Sprint(port))
			command(s.T, "ip", "addr", "add", addr.String()+"/24", "dev", "vx0")
			command(s.T, "ip", "link", "set", "vx0", "up")
		}
		tunnel("underlay", s.host, s.peer, inner[0])
		s.in(s.peerNS, func() { tunnel("eth0", s.peer, s.host, inner[1]) })
		here, there := s.openAs("udp4", s.hostNS, inner[0], published), s.openAs("udp4", s.peerNS, inner[1], published)
		s.send(here, "through the tunnel", inner[1], published)
		s.receives(there, "through the tunnel")
		s.send(there, "and back", inner[0], published)
		s.receives(here, "and back")
		if drops, err := Ensure(s.Context(), Rules{Port: port, VTEPs: []netip.Addr{s.host}}); err != nil || drops.Arriving > 0 {
			s.Errorf("drops %+v, %v", drops, err)
		}
	})
}

// What others send to that port over a bridge of this host, or through it, is theirs.
func TestOthersKeepTheirVXLAN(t *testing.T) {
	scenes(t, "masquerade", func(s *scene) {
		s.guarded()
		if err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-ip"+map[bool]string{true: "6"}[s.host.Is6()]+"tables", []byte("1"), 0); err != nil {
			s.Fatal(err)
		}
		machines := [2]netns.NsHandle{fresh(s.T, s.hostNS), fresh(s.T, s.hostNS)}
		theirs := addrs("10.9.0.1", "10.9.0.2")
		if s.host.Is6() {
			theirs = addrs("fd09::1", "fd09::2")
		}
		command(s.T, "ip", "link", "add", "virbr0", "type", "bridge")
		command(s.T, "ip", "link", "set", "virbr0", "up")
		for i, ns := range machines {
			link := fmt.Sprint("vnet", i)
			s.plug(link, ns)
			command(s.T, "ip", "link", "set", link, "master", "virbr0")
			s.in(ns, func() {
				command(s.T, "ip", "addr", "add", fmt.Sprintf("%s/%d", theirs[i], theirs[i].BitLen()-8), "dev", "eth0", "nodad")
			})
		}
		target := s.open(machines[1], theirs[1], port)
		s.send(s.open(machines[0], theirs[0], port), "their VXLAN", theirs[1], port)
		s.receives(target, "their VXLAN")
	})
}

// The guard tells how many packets for this host it dropped, and keeps the count while rules stay.
func TestDropsAreTold(t *testing.T) {
	scenes(t, "masquerade", func(s *scene) {
		s.guarded()
		s.in(s.boxNS, func() { command(s.T, "ip", "addr", "add", s.peer.String(), "dev", "eth0", "nodad") })
		forger, honest := s.open(s.boxNS, s.peer, 40000), s.open(s.boxNS, s.box, 40000)
		service := s.open(s.hostNS, s.host, published)
		s.send(honest, "before", s.host, published)
		s.receives(service, "before")
		for range 3 {
			s.send(forger, "forged", s.host, port)
		}
		s.send(honest, "after", s.host, published)
		s.receives(service, "after")
		count := func() uint64 {
			drops, err := Ensure(s.Context(), Rules{Port: port, VTEPs: []netip.Addr{s.host}, Peers: []netip.Addr{s.peer}})
			if err != nil {
				s.Fatal(err)
			}
			return drops.Arriving
		}
		// Another processor may still be at the forged ones.
		give, tick := time.After(patience), time.NewTicker(10*time.Millisecond)
		defer tick.Stop()
		for count() != 3 {
			select {
			case <-tick.C:
			case <-give:
				s.Fatalf("%d drops, want 3", count())
			}
		}
		if again := count(); again != 3 {
			s.Errorf("%d drops at the next look, want 3", again)
		}
	})
}
