// Package trace evaluates a packet through a set of flows, as Open vSwitch
// would, and holds the outcome against that of Open vSwitch itself. It is pure.
//
// It knows the flow model of package flows and nothing of the compiler that
// makes flows out of a snapshot, so that a mistake there is not repeated here;
// and it calls no Open vSwitch, so that the two can be compared. The caller
// brings what `ovs-appctl ofproto/trace` and `dpif/show` print.
//
// # Two engines
//
//	flows  ─▶ NewBridge ─▶ Run(packet) ──────▶ Result ──┐
//	                          │ String                  ├─▶ Compare ─▶ []Disagreement
//	ofproto/trace BRIDGE ◀────┘ ─▶ ParseOFProto ─▶ OFProto ─┘
//
// # What is evaluated
//
// The matches and actions that package flows has, in the order of OpenFlow 1.5
// as Open vSwitch 3.1 understands it: an output to the port that the packet came
// in by sends nothing; a field that the packet does not have is neither set nor
// moved; a resubmit that names a port changes what the next look-up sees, and
// nothing else; a table that nothing matches drops; 64 levels or 4,096 look-ups
// end it, and then nothing is sent at all.
//
// # What is not
//
// NORMAL learns and groups live outside of the flows: a packet that meets either
// is marked in Result.Unknown, and its sends are not compared. Fragments, what
// is beyond the VLAN tag of a packet with two, and Open vSwitch's limit of 64 kB
// of datapath actions are not modelled. Neither is that Open vSwitch leaves the
// header of IPv4 with protocol 0, and of ARP with an operation of 0 or above
// 255, as it was: no host sends these.
package trace
