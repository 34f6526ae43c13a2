// Package ofctl applies, dumps and watches the flows of one bridge, through its
// management socket and ovs-ofctl(8). It decides nothing: what to apply comes
// from package flows, and what OVS has goes there to be read.
//
// Every change is one bundle (OpenFlow 1.4, 7.3.9) that OVS takes as a whole or
// not at all. Package openflow writes it, and it goes over a connection to the
// bridge's management socket: the switch looks at every flow as it comes, says
// when it has seen all, and only then is told to carry them out. That takes about
// 0.2 ms for one flow, 5 ms less than a run of ovs-ofctl, and a fifth of its time a
// flow where there are many. A connection that ends takes its bundle along, so
// whatever breaks off leaves nothing half done: that is how a bundle that failed is
// given up.
//
// While bundles succeed they use one connection, because making one takes both
// sides twice the processor time of a small bundle. Some seconds after the last it
// is ended, before ovs-vswitchd would ask whether anybody is there.
//
// What package openflow does not write, and what OVS refuses, is given to
// `ovs-ofctl bundle` in the words of go-openvswitch, still as one bundle. Where
// that is refused too, the error has OVS's words and names the flow.
//
// A dump is asked for and read in the same way, and by `ovs-ofctl dump-flows`
// where somebody else's flow is beyond package openflow. Tests hold that both say
// the same of every field and action that package flows knows.
//
// What only ovs-vswitchd itself can say, where a packet would go (ofproto/trace)
// and what its ports are called by the datapath (dpif/show), is asked with
// ovs-appctl(8), and returned as text: package trace reads it.
// The flow monitor is one ovs-ofctl that runs as long as it is followed, and
// whose every event is one line; the few flows at the place that an event names
// are dumped by a run of it too.
//
// # Rejected
//
// A process for each change: some milliseconds, in which at a thousand changes a
// second the next ones wait. Flow mods and a barrier in place of a bundle, or a
// commit that does not wait for the switch's look: 0.03 ms less, and what is refused
// would leave half a change. go-openvswitch's client: it has no context, loses
// stderr, and only knows loose deletes.
//
// Nothing is left behind: a call ends with its context, and a Watch also ends
// when this process is killed.
package ofctl
