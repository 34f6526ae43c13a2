package agent

import (
	"bytes"
	"context"
	"io"

	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

// Onlooker answers what there is to be known of this host's flows without its
// agent, which is just when an operator has to look. It is a Carrier.
type Onlooker struct {
	// Look reads the flows as they are, and what the desired ones follow from.
	Look func(ctx context.Context) (inspect.Bridge, error)
}

// Carry makes Onlooker a Carrier. What only an agent knows is refused.
func (o Onlooker) Carry(ctx context.Context, kind string, arguments []byte) (io.ReadCloser, error) {
	var answer bytes.Buffer
	var write func(b inspect.Bridge) error
	switch kind {
	case AboutFlows:
		write = func(b inspect.Bridge) error { return replyList(&answer, arguments, b.Lines) }
	case AboutListing:
		write = func(b inspect.Bridge) error { return replyListing(&answer, arguments, b.Lines) }
	case AboutDifferences:
		write = func(b inspect.Bridge) error {
			return replyComparison(&answer, arguments, func() (inspect.Comparison, error) { return b.Compare(), nil })
		}
	case AboutExplanations:
		write = func(b inspect.Bridge) error { return replyList(&answer, arguments, b.Explain) }
	default:
		return nil, overlay.Refuse(overlay.Unavailable, inquiryOf(kind), "see systemctl status ovsnet", "only this host's agent can answer it")
	}
	b, err := o.Look(ctx)
	if err == nil {
		err = write(b)
	}
	return io.NopCloser(&answer), err
}
