package openflow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// version is OpenFlow 1.5's number on the wire.
const version = 6

// The message types that are sent or looked at (OpenFlow 1.5, 7.1.1).
const (
	typeHello         = 0
	typeError         = 1
	typePacketOut     = 13
	typeFlowMod       = 14
	typeBarrier       = 20
	typeBarrierReply  = 21
	typeBundleControl = 33
	typeBundleAdd     = 34
)

// The types of bundle control messages; each answer is its question's plus one
// (OpenFlow 1.5, 7.3.9.2).
const (
	bundleOpen   = 0
	bundleClose  = 2
	bundleCommit = 4
)

const (
	// bundleID is of the one bundle that a connection has.
	bundleID = 1
	// bundleFlags ask that a bundle be taken as a whole, in its order.
	bundleFlags = 1 | 2
	// headerSize is of the header of every message, in bytes.
	headerSize = 8
	// maxSize is what the header's 16 bits of length can say.
	maxSize = 1<<16 - 1
	// controlXID is the transaction ID of what is no flow.
	controlXID = 0xffffffff
)

// AppendHello appends the greeting that a connection begins with.
func AppendHello(to []byte) []byte { return appendHeader(to, typeHello, headerSize, controlXID) }

// AppendOpen appends what begins the connection's bundle.
func AppendOpen(to []byte) []byte { return appendControl(to, bundleOpen) }

// AppendClose appends what ends the adding to the bundle: the switch answers
// once it has looked at all of it.
func AppendClose(to []byte) []byte { return appendControl(to, bundleClose) }

// AppendCommit appends what makes the switch carry out the bundle.
func AppendCommit(to []byte) []byte { return appendControl(to, bundleCommit) }

func appendControl(to []byte, what uint16) []byte {
	to = appendHeader(to, typeBundleControl, headerSize+8, controlXID)
	to = binary.BigEndian.AppendUint32(to, bundleID)
	to = binary.BigEndian.AppendUint16(to, what)
	return binary.BigEndian.AppendUint16(to, bundleFlags)
}

func appendHeader(to []byte, kind uint8, size uint16, xid uint32) []byte {
	to = append(to, version, kind)
	to = binary.BigEndian.AppendUint16(to, size)
	return binary.BigEndian.AppendUint32(to, xid)
}

// Reply is one message of the switch.
type Reply struct {
	// Closed and Committed answer AppendClose and AppendCommit.
	Closed, Committed bool
	// Done answers AppendBarrier.
	Done bool
	// Refused is why the switch took something not, or nil.
	Refused *Refusal
	// Flows answers AppendFlowsRequest: a body for FlowReader, and More says that
	// another follows.
	Flows []byte
	More  bool
}

// Unasked reports whether nobody asked for the message.
func (r Reply) Unasked() bool {
	return !r.Closed && !r.Committed && !r.Done && r.Refused == nil && r.Flows == nil
}

// Refusal is an error message of the switch (OpenFlow 1.5, 7.5.4).
type Refusal struct {
	// N is the number that the refused flow was added under, 0 where the refusal
	// is of no flow.
	N uint32
	// Type and Code are OpenFlow's.
	Type, Code uint16
}

// Error tells the numbers; ovs-ofctl has words for them.
func (r *Refusal) Error() string {
	return fmt.Sprintf("refused with OpenFlow error type %d, code %d", r.Type, r.Code)
}

// ReadReply reads the next message. Messages that nobody asked for come back as
// an empty Reply.
func ReadReply(from io.Reader) (Reply, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return Reply{}, err
	}
	size := binary.BigEndian.Uint16(header[2:])
	if size < headerSize {
		return Reply{}, fmt.Errorf("a message of %d bytes, which is less than its header", size)
	}
	body := make([]byte, size-headerSize)
	if _, err := io.ReadFull(from, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Reply{}, err
	}
	return parseReply(header[1], binary.BigEndian.Uint32(header[4:]), body), nil
}

func parseReply(kind uint8, xid uint32, body []byte) Reply {
	switch {
	case kind == typeError && len(body) >= 4:
		r := &Refusal{N: xid, Type: binary.BigEndian.Uint16(body), Code: binary.BigEndian.Uint16(body[2:])}
		if xid == controlXID {
			r.N = 0
		}
		return Reply{Refused: r}
	case kind == typeBundleControl && len(body) >= 8:
		what := binary.BigEndian.Uint16(body[4:])
		return Reply{Closed: what == bundleClose+1, Committed: what == bundleCommit+1}
	case kind == typeBarrierReply:
		return Reply{Done: true}
	case kind == typeMultipartReply && len(body) >= 8 && binary.BigEndian.Uint16(body) == multipartFlowDesc:
		return Reply{Flows: body[8:], More: binary.BigEndian.Uint16(body[2:])&multipartMore != 0}
	}
	return Reply{}
}
