package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
)

// The kinds of inquiry. All of them only read, so that whoever may ask may ask
// from anywhere.
const (
	// AboutStatus asks for a Status.
	AboutStatus = "status"
	// AboutFlows asks, with a FlowFilter, for a list of FlowLine.
	AboutFlows = "flows"
	// AboutCounters asks, with an EndpointName, for the Counters of an endpoint.
	AboutCounters = "counters"
	// AboutPassage asks, with a journey.Question, for a journey.Passage.
	AboutPassage = "passage"
)

// Reporter is what inquiries are answered from.
type Reporter interface {
	// Status says how the agent stands.
	Status() Status
	// Flows lists this host's flows, installed and desired, with their reasons.
	Flows(ctx context.Context, filter FlowFilter) ([]FlowLine, error)
	// Counters returns the traffic of one local endpoint.
	Counters(ctx context.Context, endpoint overlay.Endpoint) (Counters, error)
	// Passage says what becomes of a packet on this host.
	Passage(ctx context.Context, q journey.Question) (journey.Passage, error)
}

// EndpointName names one endpoint by IDs.
type EndpointName struct {
	Network  string `json:"network"`
	Endpoint string `json:"endpoint"`
}

// Answer answers an inquiry, wherever it came from, by writing JSON. What it
// does not know, kind or argument, it refuses: it may come from a newer build,
// and an answer that leaves half of the question out would be believed.
func Answer(ctx context.Context, r Reporter, kind string, arguments []byte, to io.Writer) error {
	switch kind {
	case AboutStatus:
		return reply(to, arguments, func(struct{}) (Status, error) { return r.Status(), nil })
	case AboutFlows:
		return reply(to, arguments, func(f FlowFilter) ([]FlowLine, error) { return r.Flows(ctx, f) })
	case AboutCounters:
		return reply(to, arguments, func(e EndpointName) (Counters, error) {
			return r.Counters(ctx, overlay.Endpoint{ID: e.Endpoint, Network: e.Network})
		})
	case AboutPassage:
		return reply(to, arguments, func(q journey.Question) (journey.Passage, error) { return r.Passage(ctx, q) })
	}
	return overlay.Refuse(overlay.Invalid, fmt.Sprintf("inquiry %q", kind), "run the same release of ovsnet on every host", "this agent does not know it")
}

// reply reads the arguments, and writes what comes of them.
func reply[A, T any](to io.Writer, arguments []byte, answer func(A) (T, error)) error {
	var a A
	if len(arguments) > 0 {
		read := json.NewDecoder(bytes.NewReader(arguments))
		read.DisallowUnknownFields()
		if err := read.Decode(&a); err != nil {
			return overlay.Refuse(overlay.Invalid, "inquiry", "run the same release of ovsnet on every host", "this agent does not understand its arguments: %v", err)
		}
	}
	value, err := answer(a)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(to).Encode(value); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// Carrier takes an inquiry to an agent and brings its answer back.
type Carrier interface {
	// Carry returns the answer, which the caller closes; what the agent refused is
	// a *overlay.Refusal.
	Carry(ctx context.Context, kind string, arguments []byte) (io.ReadCloser, error)
}

// Inspector asks one agent, of this host or of another.
type Inspector struct{ carrier Carrier }

// NewInspector returns an Inspector that asks through the carrier.
func NewInspector(c Carrier) Inspector { return Inspector{carrier: c} }

// Status asks how the agent stands.
func (i Inspector) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, i, AboutStatus, nil)
}

// Flows lists the flows of the agent's host.
func (i Inspector) Flows(ctx context.Context, f FlowFilter) ([]FlowLine, error) {
	return ask[[]FlowLine](ctx, i, AboutFlows, f)
}

// Counters returns the traffic of an endpoint on the agent's host.
func (i Inspector) Counters(ctx context.Context, e overlay.Endpoint) (Counters, error) {
	return ask[Counters](ctx, i, AboutCounters, EndpointName{Network: e.Network, Endpoint: e.ID})
}

// ask carries an inquiry and decodes the answer.
func ask[T any](ctx context.Context, i Inspector, kind string, arguments any) (value T, err error) {
	var raw []byte
	if arguments != nil {
		if raw, err = json.Marshal(arguments); err != nil {
			return value, fmt.Errorf("ask the agent: %w", err)
		}
	}
	answer, err := i.carrier.Carry(ctx, kind, raw)
	if err != nil {
		return value, err
	}
	err = json.NewDecoder(answer).Decode(&value)
	if err = errors.Join(err, answer.Close()); err != nil {
		return value, fmt.Errorf("answer of the agent: %w", err)
	}
	return value, nil
}
