package overlay

import (
	"fmt"
	"net"
	"net/netip"
)

// MAC is a 48-bit Ethernet address (IEEE 802). The zero value means "none".
type MAC [6]byte

// ParseMAC reads the six-octet forms that net.ParseMAC accepts.
func ParseMAC(text string) (MAC, error) {
	hw, err := net.ParseMAC(text)
	if err != nil || len(hw) != 6 {
		return MAC{}, Refuse(Invalid, fmt.Sprintf("MAC address %q", text),
			"write six octets, as in 02:42:0a:20:00:02", "not an Ethernet address")
	}
	return MAC(hw), nil
}

// MACFromAddr derives the MAC that Docker users expect: 02:42 and the four
// bytes of the IPv4 address. For an IPv6 address the last four bytes serve; an
// address that is not valid gives the zero MAC.
func MACFromAddr(addr netip.Addr) MAC {
	if !addr.IsValid() {
		return MAC{}
	}
	raw := addr.AsSlice()
	m := MAC{0x02, 0x42}
	copy(m[2:], raw[len(raw)-4:])
	return m
}

// String writes the MAC in lower case with colons.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// IsZero reports whether the MAC is all zero, which no endpoint may have.
func (m MAC) IsZero() bool { return m == MAC{} }

// IsMulticast reports whether the group bit is set (IEEE 802, I/G bit).
func (m MAC) IsMulticast() bool { return m[0]&1 == 1 }

// Validate refuses the MACs that no endpoint may have: zero and multicast.
func (m MAC) Validate() error {
	object := "MAC address " + m.String()
	switch {
	case m.IsZero():
		return Refuse(Invalid, object, "choose a unicast MAC, or leave it out", "all zero")
	case m.IsMulticast():
		return Refuse(Invalid, object, "choose a unicast MAC (an even first octet), or leave it out", "a multicast address")
	}
	return nil
}

// MarshalText writes the MAC as String does, and the zero MAC as "".
func (m MAC) MarshalText() ([]byte, error) {
	if m.IsZero() {
		return nil, nil
	}
	return []byte(m.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (m *MAC) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*m = MAC{}
		return nil
	}
	parsed, err := ParseMAC(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}
