package docker

import (
	"net"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

// TestTraffic sends one packet from the container's end.
func TestTraffic(t *testing.T) {
	ownNamespace(t)
	links := &HostLinks{Offload: func() bool { return true }}
	e := endpointNamed("e1")
	if _, err := links.Traffic(t.Context(), e.PortName()); !overlay.IsKind(err, overlay.Missing) {
		t.Errorf("traffic of a missing link: %v", err)
	}
	if _, err := links.Create(t.Context(), e, 1400); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		// With an IPv6 address the kernel would send packets too.
		{"link", "set", e.PeerName(), "addrgenmode", "none"},
		{"addr", "add", "10.40.0.2/24", "dev", e.PeerName()}, {"link", "set", e.PeerName(), "up"},
		{"neigh", "add", "10.40.0.9", "lladdr", "02:42:0a:28:00:09", "dev", e.PeerName()},
	} {
		run(t, "ip", args...)
	}
	before, err := links.Traffic(t.Context(), e.PortName())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", "10.40.0.9:9")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := links.Traffic(t.Context(), e.PortName())
	if err != nil || after.FromPackets <= before.FromPackets || after.FromBytes < before.FromBytes+1000 || after.ToBytes != before.ToBytes {
		t.Errorf("from %+v to %+v (%v)", before, after, err)
	}
	all, err := links.AllTraffic(t.Context())
	if err != nil || len(all) != 1 || all[e.PortName()] != after {
		t.Errorf("of all links: %+v (%v), not only %+v", all, err, after)
	}
}
