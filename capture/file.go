package capture

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The header of a pcap file (draft-ietf-opsawg-pcap): its magic number for times in
// nanoseconds, its version, and the link type of Ethernet.
const (
	pcapMagic     = 0xa1b23c4d
	pcapMajor     = 2
	pcapMinor     = 4
	pcapEthernet  = 1
	pcapHeader    = 24
	pcapPerPacket = 16
)

// File writes packets as a pcap file, as tcpdump and Wireshark read it.
type File struct{ to io.Writer }

// NewFile begins a file, which is whole after every packet.
func NewFile(to io.Writer) (*File, error) {
	head := make([]byte, 0, pcapHeader)
	head = binary.LittleEndian.AppendUint32(head, pcapMagic)
	head = binary.LittleEndian.AppendUint16(head, pcapMajor)
	head = binary.LittleEndian.AppendUint16(head, pcapMinor)
	head = append(head, make([]byte, 8)...) // time zone and accuracy, which nobody uses
	head = binary.LittleEndian.AppendUint32(head, MaxLength)
	head = binary.LittleEndian.AppendUint32(head, pcapEthernet)
	if _, err := to.Write(head); err != nil {
		return nil, fmt.Errorf("begin a pcap file: %w", err)
	}
	return &File{to: to}, nil
}

// Write appends a packet.
func (f *File) Write(p Packet) error {
	record := make([]byte, 0, pcapPerPacket+len(p.Data))
	record = binary.LittleEndian.AppendUint32(record, uint32(p.At.Unix()))
	record = binary.LittleEndian.AppendUint32(record, uint32(p.At.Nanosecond()))
	record = binary.LittleEndian.AppendUint32(record, uint32(len(p.Data)))
	record = binary.LittleEndian.AppendUint32(record, uint32(p.Length))
	if _, err := f.to.Write(append(record, p.Data...)); err != nil {
		return fmt.Errorf("write a packet to the file: %w", err)
	}
	return nil
}
