package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/overlay"
)

// told is a Controller that says what a test set, and notes what it was asked.
type told struct {
	asked  FlowFilter
	err    error
	drains int
	// passages counts the questions about packets.
	passages int
}

func (d *told) Status() Status { return Status{Node: "h1", Flows: 7} }

func (d *told) Flows(_ context.Context, f FlowFilter) ([]FlowLine, error) {
	d.asked = f
	return []FlowLine{{TableName: "Forward", Reason: "delivery to web-1"}}, d.err
}

func (d *told) Counters(_ context.Context, e overlay.Endpoint) (Counters, error) {
	return Counters{FromPackets: uint64(len(e.ID)), ToPackets: uint64(len(e.Network))}, d.err
}

func (d *told) Drain(context.Context) error { d.drains++; return d.err }

// direct carries inquiries as the request channel does: as bytes, and errors as
// faults.
type direct struct{ Reporter }

func (d direct) Carry(ctx context.Context, kind string, arguments []byte) (io.ReadCloser, error) {
	var to bytes.Buffer
	if err := Answer(ctx, d.Reporter, kind, arguments, &to); err != nil {
		return nil, overlay.NewFault(err).Err()
	}
	return io.NopCloser(&to), nil
}

// serveControl serves the controller on a socket until the test ends.
func serveControl(t *testing.T, c Controller) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ServeControl(ctx, l, c, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return NewClient(path)
}

// However an inquiry travels, question, answer and refusal are the same.
func TestInquiriesTravelTheSame(t *testing.T) {
	d := &told{}
	for name, i := range map[string]Inspector{"socket": serveControl(t, d).Inspector, "request": NewInspector(direct{d})} {
		t.Run(name, func(t *testing.T) {
			d.err = nil
			filter := FlowFilter{Network: "web", Table: "Forward"}
			lines, err := i.Flows(t.Context(), filter)
			if err != nil || len(lines) != 1 || lines[0].Reason != "delivery to web-1" {
				t.Errorf("flows %+v, error %v", lines, err)
			}
			if diff := cmp.Diff(filter, d.asked); diff != "" {
				t.Error(diff)
			}
			if s, err := i.Status(t.Context()); err != nil || s.Flows != 7 {
				t.Errorf("status %+v, error %v", s, err)
			}
			if c, err := i.Counters(t.Context(), overlay.Endpoint{ID: "abc", Network: "x"}); err != nil || c.FromPackets != 3 || c.ToPackets != 1 {
				t.Errorf("counters %+v, error %v", c, err)
			}
			d.err = overlay.Refuse(overlay.Missing, `network "web"`, "see ovsnet network ls", "no such network")
			if _, err := i.Flows(t.Context(), filter); !overlay.IsKind(err, overlay.Missing) || err.Error() != d.err.Error() {
				t.Errorf("refusal %v, want %v", err, d.err)
			}
			d.err = errors.New("broken")
			if _, err := i.Flows(t.Context(), filter); err == nil || !strings.Contains(err.Error(), "broken") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// What an agent does not know it refuses, all the more what would change
// something.
func TestUnknownInquiries(t *testing.T) {
	d := &told{}
	local := serveControl(t, d)
	for _, kind := range []string{"", "drain", "repair", "../drain", "nonsense"} {
		if _, err := (direct{d}).Carry(t.Context(), kind, nil); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%q: error %v", kind, err)
		}
		if _, err := local.socket.Carry(t.Context(), kind, nil); err == nil {
			t.Errorf("%q over the socket is answered", kind)
		}
	}
	for _, arguments := range []string{`{"newer":true}`, `{"network":7}`, `garbage`, `[]`} {
		if _, err := local.socket.Carry(t.Context(), AboutFlows, []byte(arguments)); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%s: error %v", arguments, err)
		}
	}
	if d.drains != 0 {
		t.Error("an inquiry drained the agent")
	}
	if err := local.Drain(t.Context()); err != nil || d.drains != 1 {
		t.Errorf("drained %d times, error %v", d.drains, err)
	}
}
