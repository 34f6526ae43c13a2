// Package flows decides what flows a host should have, and reads and compares
// those that it has. It is pure: values in, values out. Package flows/ofctl
// does the I/O.
//
// # Pipeline
//
//	Classify     a known host's tunnel packets → TunnelIn; an endpoint's → SpoofGuard
//	TunnelIn     the VNI of a network with endpoints here → Forward
//	SpoofGuard   an endpoint's own MAC and address → ArpResponder
//	ArpResponder ARP ends here, answered out of the in-port or counted; the rest → Forward
//	Forward      a known MAC → its port, or its host through the tunnel; group bit → Flood
//	Flood        one copy for each port and for each host with a member
//
// Every table ends in a counted drop or a way on. Tables (table.go) and kinds
// of flow, called rules (rule.go), are declared once; pipeline.go and flood.go
// hold one function for each rule. The packet's network travels in metadata:
// the VNI in bits 0 to 23, and bit 24 set when it came out of a tunnel. Flows
// that send into the tunnel match the VNI with bit 24 clear, so nothing goes
// from tunnel to tunnel. reg0 numbers the parts of a flood that does not fit
// into one flow.
//
// The datapath's own flows stay few and wide: a stream's packets meet the
// narrowest rule of each table first, where OVS stops looking, so a megaflow
// matches in-port, both MACs and the source address, or, out of a tunnel, the
// tunnel's source and VNI and the receiver's MAC. Metadata and registers never
// get into it.
//
// # Values, not text
//
// A Match is a set of conditions (field, value, mask), Actions are a list of
// steps, both packed into comparable values of a few dozen bytes: explain and
// an evaluator walk over them, maps have them as keys, and equality is ==. Both
// write themselves, and are parsed, exactly as `ovs-ofctl -O OpenFlow15
// --no-names` prints them, which a test holds against a real one. field.go
// declares what is known of each field. The parser is strict: what it does not
// know is an error that shows line and column, never a guess; in a dump, and
// among a flow monitor's events, such a flow is kept beside that error.
//
// # Compile and update
//
// Flows come in units that each follow from one object: the host, a node, a
// network, an endpoint (input.go). Compile makes all units. A Compiler
// remembers its last input and no flows: Update asks overlay.Diff which objects
// changed, makes the units that follow from them out of the old and of the new
// input, and returns how these differ. So a remote endpoint's change costs that
// endpoint's two flows, and its network's when a host gained its first or lost
// its last endpoint, whether the network has a hundred endpoints or a hundred
// thousand; and a desired flow takes 16 bytes of memory, its claim on its key.
// Only networks with an endpoint's port up here have flows.
//
// Claims in etcd keep two endpoints from having one address. Where a record
// breaks that all the same, two units make a flow of one key; one of them wins,
// always the same, and the other takes over when it goes.
//
// # Identity
//
// A flow is its table, priority and match. The cookie names owner, rule and a
// hash of the object, for people and for telling foreign flows; nothing is
// found, deleted or compared by cookie alone. A change is an add over the same
// key, which keeps counters; what must go is deleted strictly. A flow monitor
// tells less, a Where: the key without its priority.
//
// # Rejected
//
// Learning (learn, NORMAL): state that nobody can explain. Groups for flooding:
// one more object to keep consistent with the flows. Holding all desired flows:
// 100 MB at 100,000 endpoints, for what the snapshot says already. Matches as
// text: small and easily compared too, but every reader would parse them again.
// go-openvswitch's dump parser: it fails on goto_table and drops registers in
// silence; its types encode.
package flows
