package overlay

import (
	"crypto/sha256"
	"encoding/hex"
)

// PortName is the name of the endpoint's link on its host, which is also the
// name of its OVS port. It follows from the endpoint's ID alone, so that it
// can be found again after any restart, and fits Linux's 15 characters.
func (e Endpoint) PortName() string { return linkName("ovsn", e.ID) }

// PeerName is the name of the container's end of the link until Docker moves
// and renames it.
func (e Endpoint) PeerName() string { return linkName("ovsc", e.ID) }

// linkName hashes the ID because callers of the driver API may give any text.
func linkName(prefix, id string) string {
	sum := sha256.Sum256([]byte(id))
	return prefix + hex.EncodeToString(sum[:])[:11]
}
