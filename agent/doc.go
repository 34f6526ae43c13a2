// Package agent is the loop that makes one host match what etcd says.
//
// # What
//
// A Loop holds the newest Snapshot, looks at the host's links and OVS ports,
// decides what has to change, and changes it: bridge and tunnel, endpoint
// ports, flows, and last the ports nobody wants any more. Every round begins
// from state, never from an event; events (a new snapshot, a link that came, a
// word from OVSDB, a vswitchd that went) only say when to look and how wide.
//
// # How
//
// What decides is pure: planPorts takes the local endpoints, the links and the
// observed ports and answers which ports to make, which to remove, which links
// and endpoints were left behind; flows.Compiler answers which flows change.
// What applies decides nothing and sits behind the small interfaces that this
// package declares (Parts), so the package imports only the pure rooms.
//
// The order within a round keeps packets flowing: ports come before the flows
// that use them, flows go before the ports they used. A restart never flushes:
// the first round compiles, dumps, and applies only the difference.
//
// # How it scales
//
// A round has a scope. A remote endpoint's change touches flows only: no look
// at links, no dump, one bundle with the change. Local changes add one netlink
// dump and one read of the OVSDB cache. A full dump and diff happens at start,
// when OVS came back, after a round that failed, and where too many places are
// hinted at. On a slow timer one is made beside the rounds (audit.go), which no
// change waits for and which takes at most a hundredth of a processor: what it
// finds, and no bundle of ours explains, is a hint where a round has to look.
//
// # Others' hands
//
// Somebody else may change flows on our bridge. OVS's flow monitor tells each
// change within milliseconds, but neither its author nor a flow's priority, and
// it may leave changes out. So an event only says where to look: the ledger has
// what our own bundles bring; what it does not explain makes the next round dump
// that table and match and compare it with what is wanted, and a monitor that
// fell behind or ended makes it dump everything. Nothing depends on the ledger
// being right: a mistake costs one look, because what it explains is what we did
// there last.
//
// Looks are bounded (pace.go): the first after a quiet time is at once, a row of
// them takes at most a fifth of the time, and a place that somebody keeps
// changing is put right ever more seldom, up to every ten seconds, and told.
// Flows of others are told, and removed only where --foreign-flows says so.
//
// Who follows the changes (Loop.Watch) hears each as the ledger judges it, with
// what the flow is for, also when it is gone. A listener has a queue of bounded
// length; what does not fit is counted and told as lost, so that a slow terminal
// holds up neither the monitor nor a round.
//
// # Probes
//
// The agent sends a packet only because it was asked to (Prober): one that follows
// from the records, from an endpoint here, in its own name, through the flows that
// the container's packets take, and seldom. It listens before it sends, and an
// asker has the receiver's agent listen first; nobody listens for long.
//
// # Following from elsewhere
//
// Another host's asker follows changes of the flows, or packets, by inquiries: the
// first begins a following under a number that the asker chose, each further one
// takes what came since (Followings, Follower). Between two of them the agent keeps
// what happens in a queue of bounded length; while it is full the source is not read,
// so that it loses, and counts, as it does when a local reader is slow. A page is
// kept until the next question says that it arrived: an answer that is lost loses
// nothing. All followings together are told less each second than an agent may
// answer, so that they keep nobody else from being answered.
//
// An inquiry never waits for something to happen, since an agent works at few at a
// time: the asker polls, more often while there is more. Whoever is not heard of for
// a while is taken to be gone, and what was open for him is closed; an agent that was
// started anew says that it knows of no such number.
//
// A stream beside etcd was rejected: it would need a port, and an authentication of
// its own. So was one long inquiry that writes answer after answer: it takes one of
// the agent's two places for as long as somebody looks.
//
// # Failure
//
// With etcd away the last snapshot stays in force. So it does while the host
// must not act on a newer one: it has not joined, another host has its name or
// VTEP, or what etcd holds is another cluster or none. Such a view would show no
// endpoint of this host, and following it would take down all of them; it is
// held, and acted on when the reason ends. What waits for etcd or for peers is
// done beside the rounds, so that neither holds up a container.
//
// With OVS away rounds fail and are tried again with back-off. A port that OVS
// refuses is that endpoint's problem: the others go on, Join of that endpoint
// returns the reason, and Status lists it.
//
// # Rejected
//
// One goroutine per network (ordering between ports and flows gets lost), an
// event log replayed into state (what was missed stays missed), and deleting
// all flows at start (drops traffic).
package agent
