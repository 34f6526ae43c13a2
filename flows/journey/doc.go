// Package journey follows a packet from one endpoint to another, across hosts,
// and says where it ends and why. It is pure: it evaluates desired flows itself,
// and the caller brings what other hosts and Open vSwitch answer.
//
// # How
//
//	Trace ─ a Walk for the question for an address, and one for the packet
//	  Walk ─ a Passage for each host, the receiver's first
//	    Passage ─ the desired Way and the installed Way, held against each other
//
// A host is asked a Question: the packet's headers, and how it comes in. Where
// that is answered (an agent, or the command line for its own host) a Look
// evaluates the host's desired flows with package trace, the caller asks Open
// vSwitch for `ofproto/trace` of the same packet and for the few flows that either
// engine met, and a Passage holds both. What leaves for the tunnel is the
// question to the next host.
//
// The walk goes on with what Open vSwitch says, because that is what happens; so
// a packet that an altered flow sends astray is followed to where it really ends,
// and the finding on the first host is the cause. What should happen is said
// beside it wherever the two part.
//
// # Who is trusted with what
//
// A question only reads. It names headers, an endpoint's port or a tunnel, and
// nothing else: metadata, registers and ports as numbers would let the asker
// begin in the middle of the pipeline. Whoever is asked checks all of it. What
// an answer says is printed, and never acted upon but for the next question.
//
// # A packet that is sent
//
// A Probe asks for a real packet, and names no more than two endpoints of one network,
// protocol and ports: every host makes the same bytes of it from the records
// (Sendable), one to send, one to know what to listen for. Live holds what both told,
// and the counters on the way as a walk before and one after it saw them. Times are
// told by the clock that measured them. TCP and UDP carry a wrong checksum, so that
// what arrives at the container ends in its kernel.
//
// # Hosts that do not answer
//
// What such a host would do follows from the records that the asker has, with
// every endpoint of it taken to be plugged in. That is desired state only, and
// the passage, the verdict (Checked) and the exit status of the command say so.
//
// # How it scales
//
// One compilation and index of one host's flows for each passage; of installed
// flows only those that were met are dumped, by cookie, for which Open vSwitch has
// an index. A broadcast's copies are followed to the receiver's host first and to
// a few others.
//
// # Rejected
//
// Following both ways where they part: the desired one beyond that point is a
// story of what did not happen, and doubles the output just when it must be read.
// Asking the receiver's host for all of its flows: megabytes through etcd for the
// five that count.
package journey
