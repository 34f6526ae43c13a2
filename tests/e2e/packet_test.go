package e2e

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// vxlanUDP is what a VXLAN packet (RFC 7348) carries in UDP: header, Ethernet, IPv4 and an empty UDP datagram.
func vxlanUDP(t *testing.T, vni uint32, fromMAC, toMAC, from, to string) []byte {
	t.Helper()
	packet := binary.BigEndian.AppendUint32([]byte{0x08, 0, 0, 0}, vni<<8)
	for _, mac := range []string{toMAC, fromMAC} {
		octets, err := net.ParseMAC(mac)
		if err != nil {
			t.Fatal(err)
		}
		packet = append(packet, octets...)
	}
	packet = append(packet, 0x08, 0x00)
	header := []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0}
	header = append(header, netip.MustParseAddr(from).AsSlice()...)
	header = append(header, netip.MustParseAddr(to).AsSlice()...)
	binary.BigEndian.PutUint16(header[10:], checksum(header))
	return append(append(packet, header...), 0x30, 0x39, 0x30, 0x39, 0, 8, 0, 0)
}

// checksum is the Internet's (RFC 1071) of an even number of bytes.
func checksum(data []byte) uint16 {
	var sum uint32
	for i := 0; i < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// sendUDP sends datagrams from the host.
func sendUDP(t *testing.T, h *lab.Host, to string, payload []byte, count int) {
	t.Helper()
	// The links' checksum offload would leave a wrong checksum to Open vSwitch; VXLAN needs none.
	bare := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, unix.SO_NO_CHECK, 1) })
		return errors.Join(err, failed)
	}}
	var conn net.Conn
	err := onHost(h, func() (err error) {
		conn, err = bare.DialContext(t.Context(), "udp", to)
		return err
	})
	if err != nil {
		t.Fatalf("send from %s to %s: %v", h.Name, to, err)
	}
	defer conn.Close()
	for range count {
		if _, err := conn.Write(payload); err != nil {
			t.Fatalf("send from %s to %s: %v", h.Name, to, err)
		}
	}
}
