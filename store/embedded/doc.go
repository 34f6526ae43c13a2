// Package embedded runs an etcd server inside the agent, so that the first host
// of a cluster needs nothing else.
//
// # One member
//
// The server is a cluster of one and has no peer listener: whoever wants
// several members runs etcd itself. The peer URL that etcd keeps in its data is
// a constant that nobody dials, so the client URL may change between starts.
//
// # Who may connect
//
// On loopback the client URL may be http. Beyond loopback it speaks mutual TLS
// (TLS 1.3): the server shows its certificate and every client, its own agent
// included, must show one of the same CA; package certs makes them. Plain TCP
// there takes an explicit Insecure. The certificate is checked at start, because
// etcd would read it only at the first handshake. The client URL speaks gRPC
// only; health and metrics are on the Unix socket http.sock in the data
// directory, which also spares watches the detour through an HTTP server.
//
// # Size
//
// The database may grow to 2 GiB; 100,000 endpoints with their claims and half
// an hour of changes take a tenth of it. History older than half an hour is
// compacted: a watcher that was away for longer lists again.
//
// # Traps
//
// The data directory belongs to one server at a time, held by a file lock,
// since etcd would wait for ever for the one in its database. etcd ends the
// process when its disk fails while it runs, after a log line that says why.
// It counts into Prometheus' default registry, so ovsnet's own figures need a
// registry of their own. Its close waits seven seconds for open watches, so they
// are cut first.
package embedded
