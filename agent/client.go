package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/ovsnet/ovsnet/overlay"
)

// Client asks an agent over its control socket.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a Client for the socket at path; it connects on each call.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: ControlTimeout,
	}}
}

// Status asks how the agent stands.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// Flows lists the flows of the agent's host.
func (c *Client) Flows(ctx context.Context, f FlowFilter) ([]FlowLine, error) {
	var lines []FlowLine
	return lines, c.call(ctx, http.MethodGet, "/v1/flows", url.Values{"network": {f.Network}, "table": {f.Table}}, &lines)
}

// Counters returns the traffic of an endpoint on the agent's host.
func (c *Client) Counters(ctx context.Context, e overlay.Endpoint) (Counters, error) {
	var counters Counters
	return counters, c.call(ctx, http.MethodGet, "/v1/counters", url.Values{"endpoint": {e.ID}, "network": {e.Network}}, &counters)
}

// Drain ends the agent's work on its host.
func (c *Client) Drain(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/drain", nil, &struct{}{})
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://agent"+path+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	reply, err := c.http.Do(request)
	if err != nil {
		refusal := overlay.Refuse(overlay.Unavailable, "agent at "+c.path,
			"is it running on this host? (systemctl status ovsnet)", "does not answer")
		refusal.Err = err
		return refusal
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode != http.StatusOK {
		var f fault
		if err := json.NewDecoder(reply.Body).Decode(&f); err != nil {
			return fmt.Errorf("agent at %s answered %s: %w", c.path, reply.Status, err)
		}
		if f.Kind == 0 {
			return fmt.Errorf("agent at %s: %s", c.path, f.Cause)
		}
		return overlay.Refuse(f.Kind, f.Object, f.Remedy, "%s", f.Cause)
	}
	if err := json.NewDecoder(reply.Body).Decode(into); err != nil {
		return fmt.Errorf("answer of the agent at %s: %w", c.path, err)
	}
	return nil
}
