// Package tunnel knows the underlay: which address of this host is its VXLAN
// tunnel end point (VTEP, RFC 7348), which address of a peer packets go to,
// what the tunnel port must look like, how large an inner packet may be, and
// which address ranges this host uses already.
//
// # How
//
// Every decision is a pure function over values (Choose, NetworkMTU, PortSpec,
// RouteFor). Probe and HostRoutes at the edge read those values
// from the kernel by netlink, in the network namespace of the calling thread.
// Netlink dumps that the kernel reports as interrupted (a change fell into the
// dump) are read again.
//
// # Which address
//
// What the operator says; else the address that this host uses towards etcd,
// because there the other hosts are known to be reachable; else the one it uses
// towards the default route. An etcd on loopback tells nothing and is passed
// over. The address must be on this host, for the kernel and OVS send from no
// other, and peers accept packets from no other.
//
// # One port
//
// A host has one tunnel port for all networks and peers; flows set the peer and
// the VNI of each packet. So the number of ports and tunnels does not grow with
// hosts or networks. A port per peer was rejected (n² ports over n hosts), a
// device per network too ("file exists" from the kernel when two meet).
//
// # MTU
//
// An inner packet must fit the underlay with all headers around it, because
// VTEPs must not fragment (RFC 7348 section 4.3) and OVS's userspace datapath
// does not reassemble. The underlay's MTU is that of the link that has the VTEP
// address; on OVS's userspace datapath this is the local port of the bridge
// that has the underlay (br-phy), whose MTU OVS keeps at the smallest of its
// ports'.
package tunnel
