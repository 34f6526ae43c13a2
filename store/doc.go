// Package store is all that ovsnet knows about etcd: which keys there are, what
// their values mean, how hosts claim names and addresses without ever holding a
// lock, and how a host follows what others write.
//
// # What
//
// Everything is under /ovsnet/v1/ (keys.go has the one list). There are durable
// records (nodes, networks, attachments, endpoints), claims (a key whose
// existence is the claim: names, VNIs, VTEP addresses, subnets, addresses,
// MACs), and leased keys that go by themselves: a host's sign of life,
// reservations that nobody has bound yet, and inquiries with their answers.
//
// # How
//
// A change is a function that reads and then says under which conditions to
// write what (change). It is run again when a condition no longer held, and
// also when etcd's answer was lost, because then nobody knows whether the
// transaction happened. So every such function first looks whether its own work
// is already there: IDs, times and tokens are made before the first try. This is
// the only way that anything is written, and the reason why a caller may repeat
// every call.
//
// Docker asks for an address before it names the endpoint, and for a subnet
// before it names the network. Such a reservation has an etcd lease of a minute,
// which all that a host reserves in the first half of it shares, since a grant
// is one more write to wait for; the transaction that writes the endpoint or the
// network rewrites the claim without the lease. Whatever crashes in between
// leaves nothing behind. A deleted endpoint's address stays "releasing" until
// Docker's ReleaseAddress, or for half a minute to a minute, so that a late
// release can never free somebody else's address.
//
// Overlapping subnets are different keys, so a claim of a subnet also compares
// and bumps the key of its address space. Endpoints and networks guard each
// other with comparisons over key ranges: a network goes only while no key is
// below its endpoint prefix, an endpoint comes only while its network and its
// host's attachment are there.
//
// # Values
//
// A value is a JSON object with a format version "v". Fields that this build
// does not know are kept when it rewrites a value, so a newer agent may add
// fields at the top level. What cannot be read, or contradicts its key, is a
// Problem of that key: it is reported and skipped, and all else works. Nothing
// read from etcd is trusted: names, addresses and MACs are validated as those of
// a user are.
//
// # Watching
//
// A Watcher lists each prefix at one revision and watches from the next. When
// that revision was compacted it lists again and applies the difference. Each
// prefix progresses by itself and nothing relies on two keys arriving together.
// A host follows nodes, networks, attachments, and the endpoints of only those
// networks that it uses.
//
// # Inquiries
//
// A host's agent is asked through etcd, so that nothing new listens and etcd's
// authentication governs. Ask writes a request below the host's name, under a
// lease of its own; Serve, which watches that prefix, writes the compressed
// answer under the same lease, cut into parts where one key cannot hold it, its
// head last. The lease ends with the call, and with an asker that crashed.
// What an asker can make an agent do is bounded: how many inquiries it works at,
// for how long, and how many bytes it answers, since every answer stays in
// etcd's history until that is compacted.
//
// # How it scales
//
// One change of one object costs one event and one edit of the Snapshot,
// whatever the size of the cluster. An address is claimed with one transaction
// in the common case; the used addresses are listed only when that lost. A host
// that starts reads what it follows, in pages.
//
// # Rejected
//
// Locks held in etcd: a holder that stalls stalls the others, and one whose
// lease ended while it slept writes all the same. One key with a bitmap per
// subnet: every claim would race with every other. Counters for VNIs: they leak
// numbers on a crash, the lowest free number does not. Deleting an address
// together with its endpoint: Docker's own release, which follows, would hit
// whoever got it meanwhile.
package store
