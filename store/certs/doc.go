// Package certs makes the files for mutual TLS between agents and etcd: one
// CA, and for each host one certificate with its key.
//
// # Files
//
// In one directory lie ca.crt and ca.key, and HOST.crt and HOST.key for every
// host. Keys are ECDSA P-256 in PKCS #8 (RFC 5958) with mode 0600. ca.key stays
// where it was made; a host needs ca.crt and its own two files. A host's
// certificate serves both ends of TLS, because the agent that embeds etcd
// presents it as server and, like all others, as client.
//
// # Names
//
// Every host's certificate is valid for localhost, 127.0.0.1 and ::1, by which
// the agent reaches the etcd in its own process, for the host's name, and for
// the addresses given with the request: those in other agents' --etcd.
//
// # Lifetime
//
// The CA is valid for CAValidity and a host's certificate for HostValidity,
// both from an hour ago, as hosts' clocks differ. A certificate is renewed by
// issuing it again with Force; etcd reads its files at every handshake, so the
// server needs no restart for it. There is no revocation list: a host whose key
// was stolen is shut out by a new CA.
//
// # Rejected
//
// Calling openssl, which need not be installed; Ed25519 keys, which older etcd
// clients and FIPS builds refuse; one certificate shared by all hosts, because
// a host could not be told from another in etcd's log.
package certs
