package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
)

// The kinds of inquiry. All of them only read, so that whoever may ask may ask
// from anywhere; but AboutSending, which sends one packet that the agent makes of
// the records alone (Prober). None waits long: what takes its time is begun by one
// and asked for by others (Prober, Followings).
const (
	// AboutStatus asks for a Status.
	AboutStatus = "status"
	// AboutFlows asks, with an inspect.Filter, for a list of inspect.Line.
	AboutFlows = "flows"
	// AboutDifferences asks for an inspect.Report.
	AboutDifferences = "differences"
	// AboutExplanations asks, with an inspect.Question, for a list of
	// inspect.Explanation.
	AboutExplanations = "explanations"
	// AboutCounters asks, with an EndpointName, for the Counters of an endpoint.
	AboutCounters = "counters"
	// AboutPassage asks, with a journey.Question, for a journey.Passage.
	AboutPassage = "passage"
	// AboutReport asks for a topology.Report, for which the agent measures.
	AboutReport = "report"
	// AboutTraffic asks for the topology.Traffic of all endpoints on the host.
	AboutTraffic = "traffic"
	// AboutExpecting asks, with a journey.Probe, to listen for it from now on where it
	// is to arrive; AboutArrival then asks for its journey.Arrival.
	AboutExpecting = "expecting"
	AboutArrival   = "arrival"
	// AboutSending asks to send a journey.Probe, and for its journey.Sending.
	AboutSending = "sending"
	// AboutFollowing asks, with a Follow, for a Page of what happened since the last
	// one; the first begins to keep it.
	AboutFollowing = "following"
)

// Reporter is what inquiries are answered from.
type Reporter interface {
	// Status says how the agent stands.
	Status() Status
	// Flows lists this host's flows, installed and desired, with their reasons.
	Flows(ctx context.Context, filter inspect.Filter) (iter.Seq[inspect.Line], error)
	// Differences holds the installed flows against the desired ones.
	Differences(ctx context.Context) (inspect.Comparison, error)
	// Explain tells in sentences what flows do and why they are there.
	Explain(ctx context.Context, q inspect.Question) (iter.Seq[inspect.Explanation], error)
	// Counters returns the traffic of one local endpoint.
	Counters(ctx context.Context, endpoint overlay.Endpoint) (Counters, error)
	// Passage says what becomes of a packet on this host.
	Passage(ctx context.Context, q journey.Question) (journey.Passage, error)
	// Report says how the host stands, and what it measured towards its peers.
	Report(ctx context.Context) (topology.Report, error)
	// Traffic returns the counters of all endpoints on the host.
	Traffic(ctx context.Context) (topology.Traffic, error)
	// Expect begins to listen for a probe at its receiver here, and Arrival tells
	// when it came.
	Expect(ctx context.Context, p journey.Probe) error
	Arrival(ctx context.Context, p journey.Probe) (journey.Arrival, error)
	// Send sends a probe from its sender here.
	Send(ctx context.Context, p journey.Probe) (journey.Sending, error)
	// Follow tells what happened since somebody asked that last.
	Follow(ctx context.Context, q Follow) (Page, error)
}

// EndpointName names one endpoint by IDs.
type EndpointName struct {
	Network  string `json:"network"`
	Endpoint string `json:"endpoint"`
}

// inquiryOf is how refusals call an inquiry of that kind.
func inquiryOf(kind string) string { return fmt.Sprintf("inquiry %q", kind) }

// Answer answers an inquiry, wherever it came from, by writing JSON, or the text of a
// listing. What it does not know, kind or argument, it refuses: it may come from a
// newer build, and an answer that leaves half of the question out would be believed.
func Answer(ctx context.Context, r Reporter, kind string, arguments []byte, to io.Writer) error {
	switch kind {
	case AboutStatus:
		return reply(to, arguments, func(struct{}) (Status, error) { return r.Status(), nil })
	case AboutFlows:
		return replyList(to, arguments, func(f inspect.Filter) (iter.Seq[inspect.Line], error) { return r.Flows(ctx, f) })
	case AboutListing:
		return replyListing(to, arguments, func(f inspect.Filter) (iter.Seq[inspect.Line], error) { return r.Flows(ctx, f) })
	case AboutDifferences:
		return replyComparison(to, arguments, func() (inspect.Comparison, error) { return r.Differences(ctx) })
	case AboutExplanations:
		return replyList(to, arguments, func(q inspect.Question) (iter.Seq[inspect.Explanation], error) { return r.Explain(ctx, q) })
	case AboutCounters:
		return reply(to, arguments, func(e EndpointName) (Counters, error) {
			return r.Counters(ctx, overlay.Endpoint{ID: e.Endpoint, Network: e.Network})
		})
	case AboutPassage:
		return reply(to, arguments, func(q journey.Question) (journey.Passage, error) { return r.Passage(ctx, q) })
	case AboutReport:
		return reply(to, arguments, func(struct{}) (topology.Report, error) { return r.Report(ctx) })
	case AboutTraffic:
		return reply(to, arguments, func(struct{}) (topology.Traffic, error) { return r.Traffic(ctx) })
	case AboutExpecting:
		return reply(to, arguments, func(p journey.Probe) (struct{}, error) { return struct{}{}, r.Expect(ctx, p) })
	case AboutArrival:
		return reply(to, arguments, func(p journey.Probe) (journey.Arrival, error) { return r.Arrival(ctx, p) })
	case AboutSending:
		return reply(to, arguments, func(p journey.Probe) (journey.Sending, error) { return r.Send(ctx, p) })
	case AboutFollowing:
		return reply(to, arguments, func(q Follow) (Page, error) { return r.Follow(ctx, q) })
	}
	return overlay.Refuse(overlay.Invalid, inquiryOf(kind), "run the same release of ovsnet on every host", "this agent does not know it")
}

// reply reads the arguments, and writes what comes of them.
func reply[A, T any](to io.Writer, arguments []byte, answer func(A) (T, error)) error {
	a, err := read[A](arguments)
	if err != nil {
		return err
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

// replyList is reply for a list, whose elements are written as they come.
func replyList[A, T any](to io.Writer, arguments []byte, answer func(A) (iter.Seq[T], error)) error {
	a, err := read[A](arguments)
	if err != nil {
		return err
	}
	list, err := answer(a)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(to, 1<<16)
	encode := json.NewEncoder(out)
	separator := "["
	for value := range list {
		_, _ = out.WriteString(separator)
		separator = ","
		if err := encode.Encode(value); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
	}
	if separator == "[" {
		_, _ = out.WriteString(separator)
	}
	_, _ = out.WriteString("]")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// read decodes arguments and refuses those that it does not know.
func read[A any](arguments []byte) (a A, err error) {
	if len(arguments) == 0 {
		return a, nil
	}
	decode := json.NewDecoder(bytes.NewReader(arguments))
	decode.DisallowUnknownFields()
	if err := decode.Decode(&a); err != nil {
		return a, overlay.Refuse(overlay.Invalid, "inquiry", "run the same release of ovsnet on every host", "this agent does not understand its arguments: %v", err)
	}
	return a, nil
}
