// Package ovsdb makes OVSDB hold ovsnet's bridge and ports, and tells what OVS
// made of them. It is the only package that speaks to OVSDB (RFC 7047), through
// github.com/ovn-kubernetes/libovsdb.
//
// # How
//
// A Client dials in the background and keeps, by one monitor, a copy of the
// columns that model.go names. Reading (Observe, WaitPorts) looks at the copy.
// Changing (Ensure…, Remove…) is: take the copy, let a pure function plan the
// operations that lead from there to what is wanted, transact them, all or
// none. A plan from what is right already is empty, so that a second Ensure
// sends nothing, and whatever somebody else altered (fail_mode, protocols, a
// tunnel's options) is put right by the next. A plan names its rows by UUID; if
// one of them is gone by then, the plan is made anew.
//
// libovsdb applies an update table by table. A copy taken in between shows
// references without rows or rows without references, which the database
// itself never holds; such a copy is not looked at, the next change is awaited.
//
// # Whose rows
//
// A bridge or port with external_ids:ovsnet-owner is ours. One without it is
// refused and never touched, whatever its name. What a host must remember
// across an agent's restart (its own identity on the bridge, endpoint and
// network on each port) is kept in external_ids too, key by key: keys of others
// stay. The bridge's local port is ours with the bridge.
//
// # ovs-vswitchd
//
// Every change raises next_cfg; ovs-vswitchd copies it into cur_cfg with the
// results (ofport, error). So a port without a number is either not decided
// yet, or undecidable because "ovs-vswitchd does not answer", and an ofport or
// error of an earlier life is not taken for the answer. ofport -1 means that
// Interface.error tells why.
//
// # Connection
//
// One session is one libovsdb client, from dialing to loss; the next one
// begins with an empty copy. libovsdb's own reconnecting was rejected: rows
// deleted meanwhile give no event there, the loss itself is not signalled, it
// cannot be stopped while it waits, and a bounded back-off panics. Retries go
// on for ever, at most two seconds apart. A server that stopped without closing
// the connection is found by echoes. Calls do not queue up for a server that is
// away: they fail at once, and Changes says when to try again.
//
// # Scale
//
// Per host, OVSDB holds one row pair per local endpoint: a thousand ports are
// one transaction, one round trip and one wake-up. An interface's counters are
// in the copy but wake nobody. Nothing here grows with the number of hosts.
//
// # Rejected
//
// ovs-vsctl: a process, a connection and a copy of the database per change, and
// errors as text. Storing ofports anywhere: they are read when needed, since
// ovs-vswitchd may give others after a restart. "wait" operations as guards: a
// change that finds no row says the same, without tables of columns to wait on.
package ovsdb
