// Package openflow writes a change of flows as OpenFlow 1.5 messages and reads
// the switch's answers: pure, bytes in and values out.
//
// It knows what ovsnet sends and nothing else: flow mods of the fields and
// actions of package flows' pipeline, the bundle around them (OpenFlow 1.5,
// 7.3.9), and the header of every answer. What it cannot write it says so, with
// ErrUnknown, and the caller has ovs-ofctl write it. So there is no second
// OpenFlow library in here: reading flows stays with ovs-ofctl and its text.
//
// A flow takes some 200 bytes and less than a microsecond to write, whatever is
// written beside it, so a change of any size can be written as a stream.
//
// Rejected: goloxi, an old and very large codec of every message of every
// version, to send five of them.
package openflow
