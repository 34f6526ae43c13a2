// Command datapath measures what carrying packets costs on ovsnet, side by side with what else could carry them: the
// bare underlay, a Linux bridge with VXLAN, Docker's swarm overlay, and Open vSwitch with one flow written by hand for
// each direction.
//
// # How
//
// Each contender is a pair of network namespaces on two hosts of a lab, and whatever joins them. Three labs are up at
// the same time: hosts with Open vSwitch only (underlay, bridge, hand-written flows), hosts with Docker (swarm overlay),
// and hosts with Docker and ovsnet's agent. So every contender has the whole of the usual ports and names to itself, all
// share one kernel, and what the idle daemons cost all of them pay. Every round measures everything once on each
// contender, in turns; reported are medians, and ratios within a round, since a machine changes with time.
//
// The labs are made in a virtual machine of package vm, where the kernel has Open vSwitch's module: one with two
// processors, or one whose clock counts instructions. There a microsecond is 500 instructions, whatever else the machine
// outside does, and a difference of one percent shows; what it does not show is what caches and memory cost. The program
// starts itself inside. On the userspace datapath it runs without a virtual machine.
//
// # What is measured
//
//   - tcp1, tcp4: iperf3, one and four streams; what arrives. cpu: busy processor time of the whole machine for each
//     gigabyte of tcp1.
//   - udp64, udp1400: packets per second of that payload through a socket, with at most a window of packets on the way,
//     so that none is lost for want of a buffer and the figure is the cost of a packet that arrives.
//   - rr50, rr99: one byte there and one back over one TCP connection, median and 99th percentile of the round trips.
//   - connect: connections opened, asked, answered and closed, one after the other.
//
// iperf3 measures streams. No packaged program of Debian's main section measures the other things both ways, so the
// program does it itself (probe.go), with blocking sockets, in the fewest system calls there are.
//
// # The check
//
// With -check the ratios of ovsnet to the others must be within the bounds of check.go, where each has its reason.
//
// Rejected: netperf (not free by Debian's terms), sockperf (opens no connections), packets as fast as the sender can
// (on few processors it measures how the scheduler shares them between sender and receiver), one lab for everything
// (the kernel shares a VXLAN port only between devices of one mode).
package main
