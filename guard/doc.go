// Package guard keeps containers out of the tunnel, and off the host, with rules in the host's netfilter (nftables).
//
// # Why
//
// VXLAN (RFC 7348) has no authentication: a host takes a tunnel packet for true by its outer source address. Docker
// gives containers a way outside (docker_gwbridge) with masquerade, and a container that sends UDP to another host's
// tunnel port would leave with its host's own tunnel address (VTEP) as source: as a peer. With NET_RAW, which Docker
// gives by default, it can also write a peer's address there itself. And where OVS runs in userspace it copies packets
// from the containers' links (AF_PACKET), so that the host's kernel takes them too, past OVS's SpoofGuard.
//
// # How
//
// Two tables named ovsnet, ours alone:
//
//   - inet ovsnet, chain prerouting (priority raw): drops a tunnel packet that came by a link which does not lead to its
//     source. The lookup wants the route's link (in IPv4 any of several equal ones) and finds none for an address of this host,
//     so a packet from elsewhere with our own source goes too. It is before connection tracking, so a dropped packet
//     costs no entry.
//   - inet ovsnet, chain postrouting (after source NAT): drops a tunnel packet that connection tracking gave one of our
//     VTEPs as source. It asks for NAT in either direction, as an answer from a published port is translated backwards.
//   - netdev ovsnet, one chain per link (hook ingress): the kernel drops everything. Packet sockets get their copy before
//     this hook, so OVS still has all of it.
//
// Every drop is counted; each rule carries its own words as comment.
//
// # What decides, what applies
//
// desired and plan are pure: rules wanted and chains observed give operations, which print as `nft` writes them. Ensure
// observes (four dumps, whatever the number of links), plans, and sends one transaction of what differs, so rules
// change without a gap and keep their counters where they stay. A rule is known by its comment, a chain by all of its
// declaration.
//
// # Rejected
//
// Asking in postrouting for an input link (meta iif) to tell forwarded packets: the kernel's own VXLAN output has one as
// well, the vxlan device, and all tunnels stood still. Rules through the program nft or iptables: text to parse, and a
// program that may be absent. One netdev chain for all links: kernels before 6.4 cannot change a chain's links.
package guard
