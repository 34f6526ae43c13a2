package docker

import (
	"context"
	"errors"
	"fmt"

	"github.com/ovsnet/ovsnet/overlay"
)

// away says which part kept a call waiting until its time was over. Other
// errors it returns as they are, and those by which a part itself says that
// something is away.
func (p *Plugin) away(ctx context.Context, part string, err error) error {
	var refusal *overlay.Refusal
	// Not every library keeps the context's error inside its own.
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded)
	if err == nil || !late || errors.As(err, &refusal) {
		return err
	}
	return &overlay.Refusal{Kind: overlay.Unavailable, Object: part, Cause: fmt.Sprintf("no answer within %s", p.Timeout),
		Remedy: "see `ovsnet status` on this host, then try again", Err: err}
}

// undo returns a context for taking back what a failed call did, for which the
// call's own time no longer counts.
func undo(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
}

// require refuses a request without a field that Docker always sends.
func require(field, value string) error {
	if value == "" {
		return malformed{errors.New(field + " is missing")}
	}
	return nil
}

func requireEndpoint(networkID, endpointID string) error {
	if err := require("NetworkID", networkID); err != nil {
		return err
	}
	return require("EndpointID", endpointID)
}

// and joins two errors, either of which may be nil, into one line, as Docker
// shows it.
func and(first, second error) error {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return fmt.Errorf("%w; also: %w", first, second)
}
