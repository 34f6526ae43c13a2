package capture

import "time"

// Packet is one packet as it was seen.
type Packet struct {
	// At is when the kernel saw it, by this host's clock.
	At time.Time
	// Out says that it left this host by the link, and not came in by it. At an
	// endpoint what leaves the host enters the container.
	Out bool
	// Length is how long the packet was, in bytes; Data may hold only its beginning.
	Length int
	// Data is the packet, from its Ethernet header on, or from its IP header where a
	// Socket has no link of its own.
	Data []byte
	// link is the kernel's number of the link.
	link int
	// tagged says that its VLAN tag was put back, which the kernel's filter did not see.
	tagged bool
}
