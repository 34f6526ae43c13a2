package tunnel

import "net/netip"

// Occupied is an address range that this host uses outside the overlay, so
// that a network with it could not be told apart.
type Occupied struct {
	// Prefix is the range, masked.
	Prefix netip.Prefix
	// What says for people what it is: "route 10.0.0.0/8 via eth0".
	What string
}
