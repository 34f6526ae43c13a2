package store

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

const (
	// MaxArguments is how large the arguments of an inquiry may be, in bytes.
	MaxArguments = 512 << 10
	// MaxAnswer is how large an answer may be once compressed, in bytes, and
	// maxPlain before that. Every answer stays in etcd's history for a while.
	MaxAnswer = 8 << 20
	maxPlain  = 128 << 20
	// partSize is how much of an answer one key holds: etcd takes 1.5 MiB in one
	// request, and JSON makes four bytes of three.
	partSize = 768 << 10
	// maxWithin is how long an agent works at one inquiry.
	maxWithin = 15 * time.Second
)

// Inquiry is a question to one host's agent, whose meaning the agents know.
type Inquiry struct {
	// Kind is what is asked for.
	Kind string `json:"kind"`
	// Arguments are JSON.
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

// inquiryRecord is an inquiry on its way.
type inquiryRecord struct {
	Inquiry
	// Within is how long the asker waits, in milliseconds: clocks differ.
	Within int64 `json:"within_ms"`
}

// patience is how long the agent may work at the request.
func (r inquiryRecord) patience() time.Duration {
	return time.Duration(min(max(r.Within, 0), maxWithin.Milliseconds())) * time.Millisecond
}

// answerHead is an answer, or its first part.
type answerHead struct {
	// Data are the first bytes of the compressed answer (gzip, RFC 1952).
	Data []byte `json:"data,omitempty"`
	// More is the number of further parts.
	More int `json:"more,omitempty"`
	// Fault is why there is no answer.
	Fault *overlay.Fault `json:"fault,omitempty"`
}

// answerPart is a further part of an answer.
type answerPart struct {
	Data []byte `json:"data"`
}

// errTooLarge ends the writing of an answer.
var errTooLarge = errors.New("the answer is too large")

// packed is an answer that is being written: compressed, and bounded.
type packed struct {
	zip   *gzip.Writer
	bytes bytes.Buffer
	plain int
}

func newPacked() *packed {
	p := &packed{}
	p.zip = gzip.NewWriter(&p.bytes)
	return p
}

// Write refuses what would make the answer too large.
func (p *packed) Write(data []byte) (int, error) {
	if p.plain += len(data); p.plain > maxPlain || p.bytes.Len() > MaxAnswer {
		return 0, errTooLarge
	}
	return p.zip.Write(data)
}

// parts ends the answer and cuts it; there is at least one part.
func (p *packed) parts() ([][]byte, error) {
	if err := p.zip.Close(); err != nil {
		return nil, fmt.Errorf("compress the answer: %w", err)
	}
	if p.bytes.Len() > MaxAnswer {
		return nil, errTooLarge
	}
	var list [][]byte
	for rest := p.bytes.Bytes(); len(rest) > 0 || len(list) == 0; {
		n := min(len(rest), partSize)
		list, rest = append(list, rest[:n]), rest[n:]
	}
	return list, nil
}

// unpack reads an answer that came from another host.
func unpack(data []byte) ([]byte, error) {
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("the answer is not compressed as it should be: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(zip, maxPlain+1))
	if err != nil {
		return nil, fmt.Errorf("the answer cannot be decompressed: %w", err)
	}
	if len(plain) > maxPlain {
		return nil, errTooLarge
	}
	return plain, nil
}

// refuseTooLarge tells the asker what to do about an answer that does not fit.
func refuseTooLarge(node string) error {
	return overlay.Refuse(overlay.Exhausted, fmt.Sprintf("answer of node %q", node), "narrow the question, for example to a network, a table or an endpoint, or ask on that host",
		"it is larger than the %d MiB that go through etcd", MaxAnswer>>20)
}
