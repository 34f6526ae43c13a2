package flows_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// cluster builds snapshots in the words of a test.
type cluster struct {
	edit *overlay.Editor
	next map[string]int
}

func newCluster(nodes ...string) *cluster {
	c := &cluster{edit: overlay.NewSnapshot().Edit(), next: map[string]int{}}
	for i, name := range nodes {
		c.edit.SetNode(overlay.Node{Name: name, VTEPs: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}, Datapath: "netdev", MTU: 1450})
	}
	return c
}

func (c *cluster) network(id string, vni uint32, subnet string) *cluster {
	c.edit.SetNetwork(overlay.Network{ID: id, Name: id, VNI: vni, Space: id, MTU: 1450, Subnets: []overlay.Subnet{{Prefix: netip.MustParsePrefix(subnet)}}})
	return c
}

// endpoint adds one with the network's next address.
func (c *cluster) endpoint(network, id, node string) *cluster {
	snap := c.edit.Snapshot()
	n, _ := snap.Network(network)
	subnet, _ := n.IPv4()
	c.next[network]++
	raw := subnet.Prefix.Addr().As4()
	binary.BigEndian.PutUint32(raw[:], binary.BigEndian.Uint32(raw[:])+uint32(c.next[network]+1))
	addr := netip.AddrFrom4(raw)
	c.edit.SetEndpoint(overlay.Endpoint{ID: id, Network: network, Node: node, MAC: overlay.MACFromAddr(addr), IPv4: addr, Names: []string{id}})
	return c
}

func (c *cluster) snapshot() *overlay.Snapshot { return c.edit.Snapshot() }

// hostOf has a port for every endpoint of the node, from 11 on.
func hostOf(s *overlay.Snapshot, node string) flows.Host {
	h := flows.Host{Node: node, Tunnel: 1, Ports: map[string]flows.Port{}}
	for e := range s.EndpointsOn(node) {
		h.Ports[e.ID] = flows.Port{Network: e.Network, OFPort: uint32(11 + len(h.Ports))}
	}
	return h
}

// route takes a peer's preferred address.
func route(peer overlay.Node) (netip.Addr, bool) { return peer.VTEP(), peer.VTEP().IsValid() }

// many is one network with n endpoints: 50 on h1, the rest over nine hosts.
func many(n int) *overlay.Snapshot {
	c := newCluster("h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9").network("net", 4096, "10.0.0.0/8")
	addr := netip.MustParseAddr("10.0.0.1")
	for i := range n {
		addr = addr.Next()
		node := "h1"
		if host := i % 10; i >= 50 && host != 1 {
			node = fmt.Sprintf("h%d", host)
		} else if i >= 50 {
			node = "h2"
		}
		c.edit.SetEndpoint(overlay.Endpoint{ID: fmt.Sprintf("e%06d", i), Network: "net", Node: node, MAC: overlay.MACFromAddr(addr), IPv4: addr})
	}
	return c.snapshot()
}

// wide is one network with that many hosts, and that many endpoints on the
// first of them.
func wide(hosts, local int) *overlay.Snapshot {
	c := newCluster().network("net", 4096, "10.0.0.0/16")
	for i := range hosts {
		name := fmt.Sprintf("h%04d", i)
		c.edit.SetNode(overlay.Node{Name: name, VTEPs: []netip.Addr{vtep(i)}})
		c.endpoint("net", "e-"+name, name)
	}
	for i := 1; i < local; i++ {
		c.endpoint("net", fmt.Sprintf("l-%04d", i), "h0000")
	}
	return c.snapshot()
}

func vtep(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, byte(2 + i/250), byte(1 + i%250)})
}
