// Command control measures what Docker's users wait for, in one lab of three hosts and in one run: containers without a
// network, on Docker's default bridge, on a bridge network that the user made, on Docker's swarm overlay (the peer) and
// on ovsnet networks, internal and not. Docker gives containers of every network but its default ones a DNS server of
// their own, at 127.0.0.11; what that costs shows between the two bridges.
//
// It takes turns: each round starts and removes one container of each kind, so whatever else the machine does meets all
// kinds alike, and medians are reported. Where probers wait for a container (below), that is one of its own: their
// questions, a thousand a second, would be part of the time that the others' starts are compared with. The times are those of the docker command line, with its own start and that of
// the program that enters the lab's host, which are the same for all kinds.
//
// Whether a container is reached is asked by a prober in a container's network namespace on each other host: an ICMP
// echo request every millisecond, from before `docker run` begins. Address resolution there is asked for again every
// few milliseconds in place of every second, for all kinds; else the answer to "when" would be a multiple of a second.
//
// The peer has an underlay of its own, a bridge of the kernel between the hosts, since a userspace datapath takes all
// VXLAN packets of the first underlay for itself. It is the faster one of the two, as nothing of it passes through OVS.
//
// What was rejected: asking Docker's API without the command line (it is not what users do, and hides no more than a
// constant), and `ping` in a loop (its start takes longer than what is measured).
package main
