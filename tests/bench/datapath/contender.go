package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
	"github.com/ovsnet/ovsnet/tests/lab"
)

// site is where packets start or end: a network namespace, by the path of its file here, and its address.
type site struct {
	netns string
	addr  netip.Addr
}

// contender is a way to carry packets between two hosts.
type contender struct {
	name string
	// lab names the lab whose hosts it runs on.
	lab string
	// setUp makes the two sites on the first two hosts of the lab.
	setUp func(ctx context.Context, l *lab.Lab) ([2]site, error)
}

// The names of the labs.
const (
	plainLab  = "bench-plain"
	swarmLab  = "bench-swarm"
	ovsnetLab = "bench-ovsnet"
)

// The contenders' names.
const (
	raw    = "raw"
	bridge = "bridge"
	swarm  = "swarm"
	bare   = "hand-bare"
	hand   = "hand"
	ovsnet = figures.Subject
)

// contenders are all, in the order of the tables.
func contenders() []contender {
	return []contender{
		{raw, plainLab, underlay},
		{bridge, plainLab, linuxBridge},
		{swarm, swarmLab, swarmOverlay},
		{bare, plainLab, bareByHand},
		{ovsnet, ovsnetLab, ownNetwork},
		// After ovsnet, as it is in the same containers.
		{hand, ovsnetLab, insideByHand},
	}
}

// labOptions are those of a lab by name.
func labOptions(name string) lab.Options {
	return lab.Options{Name: name, NoDocker: name == plainLab, NoAgent: name != ovsnetLab}
}

// underlay is what the others run over.
func underlay(_ context.Context, l *lab.Lab) ([2]site, error) {
	var sites [2]site
	for i := range sites {
		path, err := l.Host(i + 1).NetNS()
		if err != nil {
			return sites, err
		}
		sites[i] = site{path, l.Host(i + 1).Address.Addr()}
	}
	return sites, nil
}

// vni is the network's number where it is chosen here.
const vni = 77

// linuxBridge is a bridge on each host with a VXLAN device that knows one peer.
func linuxBridge(ctx context.Context, l *lab.Lab) ([2]site, error) {
	return each(l, func(h, peer *lab.Host) (site, error) {
		if err := script(ctx, h, "ip netns add bridge"); err != nil {
			return site{}, err
		}
		s, err := plug(ctx, l.Plan, h, "bridge")
		if err != nil {
			return site{}, err
		}
		return s, script(ctx, h, `
			ip link add br0 type bridge
			ip link add vxlan0 mtu %d type vxlan id %d dstport 4789 local %s remote %s
			ip link set vxlan0 master br0 up
			ip link set bridge0 master br0
			ip link set br0 up`, l.Plan.MTU-overhead, vni, h.Address.Addr(), peer.Address.Addr())
	})
}

// bareByHand is written by hand, between namespaces with nothing else in them, on hosts without Docker.
func bareByHand(ctx context.Context, l *lab.Lab) ([2]site, error) {
	return each(l, func(h, peer *lab.Host) (site, error) {
		if err := script(ctx, h, "ip netns add hand"); err != nil {
			return site{}, err
		}
		return byHand(ctx, l.Plan, h, peer, 4791) // the bridge's VXLAN device on the same host has 4789
	})
}

// insideByHand is written by hand, between the containers that ovsnet joins, through a second link of theirs. All that
// differs from ovsnet are flows, tunnel port and what guards it.
func insideByHand(ctx context.Context, l *lab.Lab) ([2]site, error) {
	return each(l, func(h, peer *lab.Host) (site, error) {
		if err := script(ctx, h, "ip netns attach hand $(docker inspect -f {{.State.Pid}} bench)"); err != nil {
			return site{}, err
		}
		return byHand(ctx, l.Plan, h, peer, 4790)
	})
}

// byHand joins the namespace hand to the peer's by a bridge with a flow-based tunnel port and one flow each way.
func byHand(ctx context.Context, p lab.Plan, h, peer *lab.Host, udp int) (site, error) {
	s, err := plug(ctx, p, h, "hand")
	if err != nil {
		return site{}, err
	}
	return s, script(ctx, h, `
		ovs-vsctl add-br br-hand -- set bridge br-hand fail_mode=secure datapath_type=%s \
			-- add-port br-hand hand0 -- set interface hand0 ofport_request=2 \
			-- add-port br-hand vxlan -- set interface vxlan ofport_request=1 \
				type=vxlan options:remote_ip=flow options:key=flow options:dst_port=%d
		ovs-ofctl add-flow br-hand in_port=1,actions=output:2
		ovs-ofctl add-flow br-hand 'in_port=2,actions=set_field:%d->tun_id,set_field:%s->tun_dst,output:1'`,
		p.Datapath, udp, vni, peer.Address.Addr())
}

// swarmOverlay is Docker's own overlay network.
func swarmOverlay(ctx context.Context, l *lab.Lab) ([2]site, error) {
	first := l.Host(1)
	if _, err := first.Run(ctx, "docker", "swarm", "init", "--advertise-addr", first.Address.Addr().String()); err != nil {
		return [2]site{}, err
	}
	token, err := first.Run(ctx, "docker", "swarm", "join-token", "-q", "worker")
	if err != nil {
		return [2]site{}, err
	}
	if _, err := l.Host(2).Run(ctx, "docker", "swarm", "join", "--token", strings.TrimSpace(token), first.Address.Addr().String()+":2377"); err != nil {
		return [2]site{}, err
	}
	mtu := fmt.Sprintf("com.docker.network.driver.mtu=%d", l.Plan.MTU-overhead)
	if _, err := first.Run(ctx, "docker", "network", "create", "-d", "overlay", "--attachable", "-o", mtu, "bench"); err != nil {
		return [2]site{}, err
	}
	return each(l, func(h, _ *lab.Host) (site, error) { return docker(ctx, h) })
}

// ownNetwork is an ovsnet network, as a user makes it.
func ownNetwork(ctx context.Context, l *lab.Lab) ([2]site, error) {
	return each(l, func(h, _ *lab.Host) (site, error) {
		_, err := h.Run(ctx, "docker", "network", "create", "-d", "ovsnet", "--ipam-driver", "ovsnet",
			"--ipam-opt", "ovsnet.network=bench", "-o", "ovsnet.network=bench", "bench")
		if err != nil {
			return site{}, err
		}
		return docker(ctx, h)
	})
}

// docker runs a container on the network bench. A swarm gives up attaching it where it takes longer than 20 s.
func docker(ctx context.Context, h *lab.Host) (site, error) {
	err := until(ctx, func() error {
		_, err := h.Run(ctx, "docker", "run", "--rm", "-d", "--name", "bench", "--network", "bench", lab.ImageName)
		return err
	})
	if err != nil {
		return site{}, err
	}
	out, err := h.Run(ctx, "docker", "inspect", "-f", "{{.NetworkSettings.SandboxKey}} {{.NetworkSettings.Networks.bench.IPAddress}}", "bench")
	if err != nil {
		return site{}, err
	}
	key, addr, _ := strings.Cut(strings.TrimSpace(out), " ")
	// /var/run is a link to /run, and from here it would lead to this machine's.
	return found(h, strings.TrimPrefix(key, "/var"), addr)
}

// each makes a site on each host with the function, which gets the other host too.
func each(l *lab.Lab, make func(h, peer *lab.Host) (site, error)) (sites [2]site, err error) {
	for i := range sites {
		if sites[i], err = make(l.Host(i+1), l.Host(2-i)); err != nil {
			return sites, err
		}
	}
	return sites, nil
}

// overhead is what the tunnel's headers take of the underlay's MTU, in bytes.
const overhead = 50

// plug gives the namespace of that name a link name1, whose other end name0 the host has, as Docker would. The MTU leaves
// room for the tunnel's headers.
func plug(ctx context.Context, p lab.Plan, h *lab.Host, name string) (site, error) {
	addr := fmt.Sprintf("10.77.0.%d", h.Address.Addr().As4()[3])
	err := script(ctx, h, `
		ip link add %[1]s0 mtu %[2]d type veth peer name %[1]s1 mtu %[2]d netns %[1]s
		ip -n %[1]s addr add %[3]s/24 dev %[1]s1
		ip -n %[1]s link set %[1]s1 up
		ip link set %[1]s0 up`, name, p.MTU-overhead, addr)
	if err == nil && p.Datapath == lab.Netdev {
		// Open vSwitch's own datapath fills in no checksums.
		err = script(ctx, h, "ip netns exec %[1]s ethtool -K %[1]s1 tx off", name)
	}
	if err != nil {
		return site{}, err
	}
	return found(h, "/run/netns/"+name, addr)
}

// found is a site of which the host says where it is.
func found(h *lab.Host, netns, addr string) (site, error) {
	path, err := h.Path(netns)
	if err != nil {
		return site{}, err
	}
	parsed, err := netip.ParseAddr(addr)
	if err != nil {
		return site{}, fmt.Errorf("the address of %s on %s: %w", netns, h.Name, err)
	}
	return site{path, parsed}, nil
}

// script runs lines of shell on a host.
func script(ctx context.Context, h *lab.Host, format string, args ...any) error {
	_, err := h.Run(ctx, "sh", "-ec", fmt.Sprintf(format, args...))
	return err
}
