package openflow

import (
	"encoding/binary"
	"fmt"
)

const (
	// oxmInPort is the header of the field in_port (OpenFlow 1.5, 7.2.3.8).
	oxmInPort = 0x8000_00_04
	// portTable is OFPP_TABLE: the packet goes through the tables (OpenFlow 1.5,
	// 7.2.1.2).
	portTable = 0xfffffff9
	// packetOutSize is of a packet-out before its packet, in bytes.
	packetOutSize = headerSize + 8 + 16 + 16
)

// AppendPacketOut appends the message that has the switch take the packet as if it
// had come in by the port (OpenFlow 1.5, 7.3.6).
func AppendPacketOut(to []byte, port uint32, packet []byte) ([]byte, error) {
	if len(packet) > maxSize-packetOutSize {
		return to, fmt.Errorf("a packet of %d bytes is too large to be sent", len(packet))
	}
	to = appendHeader(to, typePacketOut, uint16(packetOutSize+len(packet)), controlXID)
	to = binary.BigEndian.AppendUint32(to, anyone)
	to = append(to, 0, 16, 0, 0) // the length of the actions
	to = append(to, 0, 1, 0, 12) // a match of 12 bytes, and 4 to fill up
	to = binary.BigEndian.AppendUint32(to, oxmInPort)
	to = binary.BigEndian.AppendUint32(to, port)
	to = append(to, 0, 0, 0, 0)
	to = append(to, 0, 0, 0, 16) // output
	to = binary.BigEndian.AppendUint32(to, portTable)
	to = append(to, make([]byte, 8)...)
	return append(to, packet...), nil
}

// AppendBarrier appends the question that is answered once everything before it is
// done.
func AppendBarrier(to []byte) []byte { return appendHeader(to, typeBarrier, headerSize, controlXID) }
