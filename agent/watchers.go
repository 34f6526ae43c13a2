package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// serveWatch streams changes of the flows, one JSON object a line, as long as
// the asker takes them and the agent runs. What fails before the first is
// answered with a fault.
func serveWatch(w http.ResponseWriter, q *http.Request, c Controller) error {
	out, lines, begun := http.NewResponseController(w), json.NewEncoder(w), false
	if err := errors.Join(out.SetReadDeadline(time.Time{}), out.SetWriteDeadline(time.Time{})); err != nil {
		return fmt.Errorf("begin a stream: %w", err)
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	err := c.Watch(q.Context(), func(change FlowChange) error {
		begun = true
		if err := errors.Join(out.SetWriteDeadline(time.Now().Add(ControlTimeout)), lines.Encode(change), out.Flush()); err != nil {
			return fmt.Errorf("pass a change on: %w", err)
		}
		return nil
	})
	if err != nil && !begun {
		w.WriteHeader(http.StatusInternalServerError)
		return lines.Encode(overlay.NewFault(err))
	}
	return err
}

// Watch tells changes of the flows on the agent's host as they happen. It
// returns nil when ctx ends, what tell returns, and a refusal of kind
// Unavailable when the agent goes.
func (c *Client) Watch(ctx context.Context, tell func(FlowChange) error) error {
	endless := &socket{path: c.socket.path, http: &http.Client{Transport: c.socket.http.Transport}}
	answer, err := endless.request(ctx, http.MethodGet, "/v1/watch", nil)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }()
	lines := json.NewDecoder(answer)
	for {
		var change FlowChange
		err := lines.Decode(&change)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return overlay.Refuse(overlay.Unavailable, "agent at "+c.socket.path, "see systemctl status ovsnet", "it ended")
		case err != nil:
			return fmt.Errorf("changes from the agent at %s: %w", c.socket.path, err)
		}
		if err := tell(change); err != nil {
			return err
		}
	}
}
