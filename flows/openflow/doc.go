// Package openflow writes a change of flows as OpenFlow 1.5 messages, and reads
// the switch's answers and its flows: pure, bytes in and values out.
//
// It knows what ovsnet sends and nothing else: flow mods of the fields and
// actions of package flows' pipeline, the bundle around them (OpenFlow 1.5,
// 7.3.9), the question for all flows (7.3.5) and what answers, and a packet to be sent
// (7.3.6). What it cannot
// write or read it says so, with ErrUnknown, and the caller has ovs-ofctl do it:
// so it stays small, and nothing is guessed.
//
// A flow takes some 200 bytes and less than a microsecond to write, and some
// microseconds to read, whatever is beside it; both are done as a stream.
//
// Rejected: goloxi, an old and very large codec of every message of every
// version, to send five of them.
package openflow
