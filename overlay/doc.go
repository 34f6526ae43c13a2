// Package overlay holds the nouns of ovsnet and their arithmetic: networks,
// nodes, endpoints, attachments, address pools, and the Snapshot that shows
// all of them as they were at one moment.
//
// Everything here is a value. Nothing does I/O, nothing knows etcd, OVS or
// Docker, and nothing outside the standard library is imported, so that every
// other package can speak these words.
//
// # Snapshot
//
// A Snapshot is immutable. An Editor makes the next one from the changes that
// arrived; whatever did not change is shared between the two. The maps are
// treaps whose shape depends on their keys alone (the priority of a key is its
// hash), so two snapshots that share history share sub-trees, a change costs
// O(log n), and Diff walks only where the two differ. At 100,000 endpoints one
// change therefore costs what one change costs. Copying Go maps was rejected
// for that reason; mutable maps behind a lock were rejected because the
// reconcile loop, the Docker plugin and the command line all read at their own
// pace.
//
// # Addresses
//
// Address arithmetic (next free address, next free subnet, usable range) works
// on netip values of either family and takes what is in use as an argument.
// Who owns an address is decided by claims in etcd, never here.
//
// # Errors
//
// A Refusal is what bad input gets: it names the object, the cause and what to
// do. Its Kind lets callers branch without reading text.
package overlay
