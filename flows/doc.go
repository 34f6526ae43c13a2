// Package flows decides what flows a host should have, and reads and compares
// what it has. It is pure: values in, values out; flows/ofctl does the I/O.
//
// # Pipeline
//
//	Classify     known host's tunnel packets → TunnelIn; a container's → SpoofGuard
//	TunnelIn     VNI of a network with members here → Forward
//	SpoofGuard   a container's own addresses → ArpResponder
//	ArpResponder ARP is answered here, out of the in-port; the rest → Forward
//	Forward      known MAC → its port, or its host through the tunnel; group bit → Flood
//	Flood        one copy for each port and each host with a member
//
// Every table ends in a counted drop or a way on. Tables and rules are declared
// once, in tables.go. The packet's network is in metadata: the VNI in bits 0 to
// 23, and bit 24 set when it came from a tunnel. Flows that may send into the
// tunnel match the VNI with bit 24 clear, so nothing that came out of a tunnel
// goes back into one.
//
// # Compile and update
//
// Flows come in units that each follow from one object: the host, a node, a
// network, an endpoint. Compile makes all units. A Compiler remembers nothing
// but its last input: Update asks overlay.Diff which objects changed, makes the
// units they touch from the old and the new input, and returns how those
// differ. A remote endpoint's change therefore costs that endpoint's flows, and
// those of its network when a host gained its first or lost its last member;
// memory does not grow with the number of flows. Only networks with a port up
// here have flows at all.
//
// Within one network no two endpoints have one address (etcd's claims), so
// units never share a key.
//
// # Text as canonical form
//
// Match and Actions are strings in exactly the form that ovs-ofctl prints with
// OpenFlow 1.5 and --no-names; equal flows are equal strings, 100,000 of them
// stay small, and operators can read what is compared. Fields and List take
// them apart. The parser is strict: a field or action that it does not know is
// an error that shows line and column.
//
// # Identity
//
// A flow is its table, priority and match. The cookie names owner, rule and a
// hash of the object, for people and for telling foreign flows; nothing is
// deleted or compared by cookie alone.
//
// # Rejected
//
// Learning (learn(), NORMAL): state that nobody can explain. Conjunctions and
// groups for flooding: a group per network is one more object to keep
// consistent, and flows carry 400 copies each. go-openvswitch's own dump parser
// fails on goto_table and drops registers silently; its types encode.
package flows
