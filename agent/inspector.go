package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
)

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

// Flows lists the flows of the agent's host as they come; an error is the last
// thing that it yields.
func (i Inspector) Flows(ctx context.Context, f inspect.Filter) iter.Seq2[inspect.Line, error] {
	return askList[inspect.Line](ctx, i, AboutFlows, f)
}

// Explain tells in sentences what flows do and why they are there, one after the
// other; an error is the last thing that it yields.
func (i Inspector) Explain(ctx context.Context, q inspect.Question) iter.Seq2[inspect.Explanation, error] {
	return askList[inspect.Explanation](ctx, i, AboutExplanations, q)
}

// Counters returns the traffic of an endpoint on the agent's host.
func (i Inspector) Counters(ctx context.Context, e overlay.Endpoint) (Counters, error) {
	return ask[Counters](ctx, i, AboutCounters, EndpointName{Network: e.Network, Endpoint: e.ID})
}

// Report says how the host stands, and what it measures towards its peers, which
// takes up to two seconds.
func (i Inspector) Report(ctx context.Context) (topology.Report, error) {
	return ask[topology.Report](ctx, i, AboutReport, nil)
}

// Traffic returns the counters of all endpoints on the agent's host.
func (i Inspector) Traffic(ctx context.Context) (topology.Traffic, error) {
	return ask[topology.Traffic](ctx, i, AboutTraffic, nil)
}

// carry carries an inquiry there.
func (i Inspector) carry(ctx context.Context, kind string, arguments any) (io.ReadCloser, error) {
	var raw []byte
	if arguments != nil {
		var err error
		if raw, err = json.Marshal(arguments); err != nil {
			return nil, fmt.Errorf("ask the agent: %w", err)
		}
	}
	return i.carrier.Carry(ctx, kind, raw)
}

// ask carries an inquiry and decodes the answer.
func ask[T any](ctx context.Context, i Inspector, kind string, arguments any) (value T, err error) {
	answer, err := i.carry(ctx, kind, arguments)
	if err != nil {
		return value, err
	}
	err = json.NewDecoder(answer).Decode(&value)
	if err = errors.Join(err, answer.Close()); err != nil {
		return value, fmt.Errorf("answer of the agent: %w", err)
	}
	return value, nil
}

// askList is ask for a list, whose elements are decoded as they come.
func askList[T any](ctx context.Context, i Inspector, kind string, arguments any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		answer, err := i.carry(ctx, kind, arguments)
		if err != nil {
			yield(none, err)
			return
		}
		defer func() { _ = answer.Close() }()
		decode := json.NewDecoder(answer)
		_, err = decode.Token()
		for err == nil && decode.More() {
			var value T
			if err = decode.Decode(&value); err == nil && !yield(value, nil) {
				return
			}
		}
		if err == nil {
			_, err = decode.Token()
		}
		if err != nil {
			yield(none, fmt.Errorf("answer of the agent, which is not whole: %w", err))
		}
	}
}
