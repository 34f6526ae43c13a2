package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"

	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

// Client talks to the agent of this host over its control socket.
type Client struct {
	Inspector
	socket *socket
}

// NewClient returns a Client for the socket at path; it connects on each call.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	s := &socket{path: path, http: &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: ControlTimeout,
	}}
	return &Client{Inspector: NewInspector(s), socket: s}
}

// Drain ends the agent's work on its host.
func (c *Client) Drain(ctx context.Context) error {
	answer, err := c.socket.request(ctx, http.MethodPost, "/v1/drain", nil)
	if err != nil {
		return err
	}
	return answer.Close()
}

// Repair makes the installed flows the desired ones, and returns what differs
// still.
func (c *Client) Repair(ctx context.Context) (left inspect.Report, err error) {
	answer, err := c.socket.request(ctx, http.MethodPost, "/v1/repair", nil)
	if err != nil {
		return left, err
	}
	err = json.NewDecoder(answer).Decode(&left)
	return left, errors.Join(err, answer.Close())
}

// Metrics writes the agent's metrics in Prometheus' text format.
func (c *Client) Metrics(ctx context.Context, to io.Writer) error {
	answer, err := c.socket.request(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, answer)
	if err = errors.Join(err, answer.Close()); err != nil {
		return fmt.Errorf("metrics of the agent at %s: %w", c.socket.path, err)
	}
	return nil
}

// socket is the Carrier to the agent of this host.
type socket struct {
	path string
	http *http.Client
}

// Carry makes socket a Carrier.
func (s *socket) Carry(ctx context.Context, kind string, arguments []byte) (io.ReadCloser, error) {
	answer, err := s.request(ctx, http.MethodPost, "/v1/inquiries/"+url.PathEscape(kind), arguments)
	if err != nil {
		return nil, err
	}
	return newAhead(answer, mostAhead), nil
}

func (s *socket) request(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	reply, err := s.http.Do(request)
	if err != nil {
		return nil, s.unanswered(err)
	}
	if reply.StatusCode == http.StatusOK {
		return reply.Body, nil
	}
	defer func() { _ = reply.Body.Close() }()
	if reply.StatusCode == http.StatusNotFound {
		return nil, overlay.Refuse(overlay.Unavailable, "agent at "+s.path, "restart it (systemctl restart ovsnet)", "it runs another build, which does not know the request")
	}
	var f overlay.Fault
	if err := json.NewDecoder(reply.Body).Decode(&f); err != nil {
		return nil, fmt.Errorf("agent at %s answered %s: %w", s.path, reply.Status, err)
	}
	if f.Kind == 0 {
		return nil, fmt.Errorf("agent at %s: %w", s.path, f.Err())
	}
	return nil, f.Err()
}

// unanswered says why the agent could not be asked.
func (s *socket) unanswered(err error) error {
	cause, remedy := "does not answer", "is it running on this host? (systemctl status ovsnet)"
	if errors.Is(err, fs.ErrPermission) {
		cause, remedy = "may not be asked by this user", "run this as root"
	}
	refusal := overlay.Refuse(overlay.Unavailable, "agent at "+s.path, remedy, "%s", cause)
	refusal.Err = err
	return refusal
}
