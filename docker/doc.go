// Package docker is the plugin that Docker's daemon talks to: a remote network
// driver and an IPAM driver on one socket, and the links between containers
// and their host.
//
// # What
//
// A Plugin answers both of Docker's APIs with net/http. It keeps no state: what
// must last is in the store, what can be looked at is in the kernel, and so it
// does not matter which agent process, before or after a restart, answers
// which call. HostLinks makes the veth pairs.
//
// # How
//
// Each method is one flow: decode, validate, have the effect, answer. Decoding
// and validating are pure and know nothing of the plugin. The effects are
// behind the small interfaces of needs.go, which the store, the reconcile loop,
// HostLinks and what is known of the underlay fill.
//
// Docker's calls come in this order, and each may be repeated:
//
//	network create   RequestPool, RequestAddress (gateway, then auxiliary ones), CreateNetwork
//	container start  RequestAddress, CreateEndpoint, Join
//	container stop   Leave, DeleteEndpoint, ReleaseAddress
//	network rm       ReleaseAddress, ReleasePool, DeleteNetwork
//
// CreateEndpoint has the loop learn the network's other endpoints, writes the
// endpoint, and makes the link, so that port and flows come while Docker makes
// the container's sandbox. Join makes the link where it is missing, and answers
// when this host's flows for it are installed: mostly at once. Join answers no gateway: Docker then adds docker_gwbridge to
// the container, and with it the way out and published ports, unless the
// network is internal. Leave does nothing, because Docker still takes the
// container's end back after it; DeleteEndpoint removes link and endpoint.
// Should it never come, the loop finds the link gone or waiting.
//
// # Whose subnet
//
// CreateNetwork carries a subnet, and not who chose it. But it carries the name
// of the address space, and that name is the one that the IPAM driver answered
// to GetDefaultAddressSpaces. So our IPAM driver answers "ovsnet", and every
// other name means that another driver chose the subnet and will choose the
// addresses, which are then claimed at CreateEndpoint. Whether the subnet is
// really reserved is checked by the store in Attach.
//
// # What bad input gets
//
// A refusal that names the object, the cause and the remedy, before anything
// was changed. What can only be known afterwards (the MTU of the network that
// was joined, the subnet of a network that was named, a port that OVS refuses)
// is taken back at once. Unknown options are refused rather than ignored: an
// ignored "encrypted" would be believed.
//
// # In time
//
// Docker waits for a plugin without end, so each call has its own deadline, and
// the error then says which part did not answer. Activation and capabilities
// need no other part: a driver that fails them stays unknown until Docker is
// restarted. A panic is one call's error.
//
// # How it scales
//
// A call costs a fixed number of store transactions and netlink messages,
// however many networks and endpoints there are; a subnet request reads this
// host's routes once. Calls for different endpoints do not wait for each other.
//
// # Rejected
//
// The servers of go-plugins-helpers: one socket for each driver, no shutdown, no
// deadline, an IPAM error that Docker does not read. Its types are used. Asking
// Docker's API for what a request lacks: Docker holds locks while it calls us,
// and hangs. Answering a gateway in Join and routing in the overlay: then
// published ports have no way in. A gateway in the answer to RequestPool: Docker
// asks for it with RequestAddress anyway, where all hosts get the same answer.
package docker
