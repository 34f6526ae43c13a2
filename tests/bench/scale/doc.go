// Command scale measures how ovsnet's cost grows: one real agent with real Open vSwitch and a real etcd, beside a fleet
// of hosts that is only simulated, in that it writes the records that their agents would write.
//
// A lab of two hosts is brought up: h1's agent has etcd embedded and no endpoint of its own, h2's agent is the one that
// is measured. On h2 networks and endpoints are made through the plugin socket, by the calls that Docker makes, and each
// endpoint's link is moved into a namespace as Docker does. The program enters h1's network namespace to reach etcd, so
// the fleet's writes cost no extra hop.
//
// For speed the fleet writes an endpoint's keys in batches of its own and not through package store, which looks before
// it writes. That its records are those of package store is checked at the start of every run, on one endpoint of each.
//
// When a change has arrived is told by OVS's flow monitor: the time at which ovs-ofctl prints the flow's event, which is
// later than the flow. All times are taken by one clock, in one process.
//
// What was rejected: a fleet of real agents without Open vSwitch (what 1,000 of them cost on two cores would drown what
// one costs), and timing inside the agent (it cannot see when OVS has the flow).
package main
