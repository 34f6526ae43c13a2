// Package guard keeps containers out of the tunnel, and off the host, with rules in the host's netfilter (nftables).
//
// # Why
//
// VXLAN (RFC 7348) has no authentication: a host takes a tunnel packet for true by its outer source address. Docker
// gives containers a way outside (docker_gwbridge) with masquerade, and a container that sends UDP to another host's
// tunnel port would leave with its host's own tunnel address (VTEP) as source: as a peer. With NET_RAW, which Docker
// gives by default, it can also write a peer's address there itself, or ask some service in a peer's name, from the
// tunnel's port, so that the answer is a tunnel packet. From that port it can have connection tracking take a peer's
// tunnel packets for its answers. And where OVS runs in userspace it copies packets from the containers' links
// (AF_PACKET), so that the host's kernel takes them too, past OVS's SpoofGuard.
//
// # How
//
// Two tables named ovsnet, ours alone. In table inet:
//
//   - prerouting (priority raw) sends what goes to the tunnel's port on to the chain tunnel, and what comes from it to the
//     chain claimed. Nothing else is looked at further.
//   - tunnel tells what is for this host, which goes on to arriving, from the rest, which goes on to claimed.
//   - arriving drops what came by a link which does not lead to its source. The lookup wants the route's link (in IPv4 any
//     of several equal ones) and finds none for an address of this host, so a packet from elsewhere with our own source
//     goes too. The rest is not tracked, so no connection of a container, and no published port, takes it.
//   - claimed drops, by the same lookup, what has a VTEP as source and would make another host believe it, or a service
//     answer it. The VTEPs are two sets, vteps4 and vteps6; as long as they are not known, every source is suspected.
//   - output (priority raw) leaves the host's own tunnel packets untracked: no masquerade changes them.
//   - postrouting (after source NAT) sends what goes to the tunnel's port, or comes from it, on to translated, which drops
//     what connection tracking gave one of our VTEPs as source. It asks for NAT in either direction, as an answer from a
//     published port is translated backwards.
//
// Table netdev has one chain per link (hook ingress): the kernel drops everything. Packet sockets get their copy before
// this hook, so OVS still has all of it.
//
// Every drop is counted; each rule says in its comment why it is there.
//
// # How it scales
//
// A packet that has nothing to do with the tunnel's port meets two rules on its way in and two on its way out, whatever
// the number of hosts. A tunnel packet costs one lookup in the routes, and is spared connection tracking both ways.
//
// # What decides, what applies
//
// desired and plan are pure: rules wanted and tables observed give operations, which print as `nft` writes them. Ensure
// observes (a few dumps, whatever the number of links), plans, and sends one transaction of what differs, so rules
// change without a gap and keep their counters where they stay. A rule is known by its comment, which ends in a digest
// of its expressions, a chain by all of its declaration. A table that is dormant, or holds what does not belong there,
// is made anew.
//
// # Rejected
//
// Asking in postrouting for an input link (meta iif) to tell forwarded packets: the kernel's own VXLAN output has one as
// well, the vxlan device, and all tunnels stood still. Suspecting every source though the VTEPs are known: others' VXLAN
// that is only bridged through the host fell to it. Telling bridged packets by their hook: where bridges call iptables
// (br_netfilter), routed ones pass the same hook from there. Rules through the program nft or iptables: text to parse,
// and a program that may be absent. One netdev chain for all links: kernels before 6.4 cannot change a chain's links.
package guard
