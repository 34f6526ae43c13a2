// Package lab runs several hosts on one machine: each with its own Open vSwitch, dockerd and ovsnet agent, on a common
// underlay. cmd/ovsnet-lab puts a command line on it; the end-to-end tests and benchmarks call it.
//
// # A lab
//
// A host is a machine of package machine: its own network, mount, PID and UTS namespaces, with /run, /etc, the OVS
// database and Docker's data of its own, so the default paths inside are the ones of a real host. One more machine,
// named net, holds the underlay: a bridge with one link for each host, and the address that the hosts' default routes
// point to. With Etcd set to external it also runs etcd, so that etcd does not share h1's fate.
//
// Addresses are the same in every lab, 192.0.2.N for hN and 192.0.2.254 for net: labs cannot see each other, and
// nothing of a lab is in the namespaces of the machine that it runs on.
//
// # How a host comes up
//
// Machine, link to the underlay, ovsdb-server, ovs-vswitchd; then dockerd and the agent at the same time, as the agent
// must not need Docker, nor Docker the agent. Hosts come up at the same time; the net machine comes first. What each
// process is called with is computed by [NewPlan], a pure function of [Options]; the rest of the package carries the
// plan out. Nothing restarts a process of a lab that is up: tests end them on purpose, and start them again.
//
// On the netdev datapath an OVS tunnel needs its address on an OVS bridge. There the underlay link is a port of br-phy
// and the address is br-phy's, as on hosts with OVS-DPDK. The kernel also sees the frames of that link; that its own
// stack answers none of them is seen to by another MAC on br-phy and ARP switched off on the link. br-phy goes with
// ovs-vswitchd, so [Host.Start] sets it up again.
//
// # What is left
//
// All files of a lab are below one directory, StateDir/NAME. In it are the options, the process that is each machine's
// init, and each daemon's process. [Down] ends the inits, upon which the kernel ends everything inside, removes the
// control groups that Docker made, and removes the directory. It needs no more than that directory, so it also works
// after any crash, and [Up] does it first where it finds one.
//
// # Limits
//
// Up to 250 hosts by address plan; a host costs about 250 MB of memory with Docker, 40 MB without. The machine's kernel
// is shared: modules, its time, and limits like the number of inotify instances.
//
// Rejected: virtual machines (package kernel of the tests has them, for the kernel's openvswitch module), containers as
// hosts (a Docker is needed to test Docker, and no image can be pulled), named network namespaces (they outlive a crash).
package lab
