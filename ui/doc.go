// Package ui serves the page of package topology: the picture, live counters, and
// the trace between two containers. It only reads.
//
// # How
//
//	browser ── Gate: host, site, token ── Handler ── kept for a moment ── Cluster
//
// The page itself has no data in it; its script asks below v1/. What is asked of
// the cluster is kept for some seconds, so that a page costs etcd and the agents
// the same however many look at it or however fast they ask.
//
// # Who may ask
//
// On loopback whoever is on this host, unless a token is wanted. Beyond loopback a
// token is always wanted, compared in constant time. It is given in a header that
// a browser adds to no request by itself, so no other site can use it.
//
// A site elsewhere must not read what a browser on this host can reach. No answer
// allows another origin (there are no CORS headers); requests that a browser says
// come from another site are refused; and so are requests whose Host is a name
// that was not allowed, because a site can let its own name lead to this address
// later (DNS rebinding), while an address as Host cannot be somebody's name.
//
// # Rejected
//
// TLS of its own: the certificates of hosts are for etcd, browsers do not know
// their CA, and a tunnel of ssh does it better. Cookies: they would have to be
// guarded against other sites. Server-sent events: a connection for each page held
// open for what a question every two seconds tells as well.
package ui
