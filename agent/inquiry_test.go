package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

// told is a Controller that says what a test set, and notes what it was asked.
type told struct {
	asked inspect.Filter
	err   error
	// drains and repairs count what changes something.
	drains, repairs int
	// passages counts the questions about packets.
	passages int
	// changes are told to who watches.
	changes []FlowChange
}

func (d *told) Status() Status { return Status{Node: "h1", Flows: 7} }

func (d *told) Flows(_ context.Context, f inspect.Filter) (iter.Seq[inspect.Line], error) {
	d.asked = f
	return slices.Values([]inspect.Line{{TableName: "Forward", Reason: "delivery to web-1"}, {Reason: "delivery to web-2"}}), d.err
}

func (d *told) Differences(context.Context) (inspect.Comparison, error) {
	return inspect.Report{Head: inspect.Head{Node: "h1"}, Differences: []inspect.Difference{{Desired: "a->b"}, {Desired: "c"}}}.Comparison(), d.err
}

func (d *told) Explain(context.Context, inspect.Question) (iter.Seq[inspect.Explanation], error) {
	return slices.Values([]inspect.Explanation{{Does: "delivers"}}), d.err
}

func (d *told) Repair(context.Context) (inspect.Report, error) {
	d.repairs++
	return inspect.Report{Head: inspect.Head{Node: "h1"}}, d.err
}

func (d *told) Counters(_ context.Context, e overlay.Endpoint) (Counters, error) {
	return Counters{FromPackets: uint64(len(e.ID)), ToPackets: uint64(len(e.Network))}, d.err
}

func (d *told) Watch(ctx context.Context, tell func(FlowChange) error) error {
	for _, change := range d.changes {
		if err := tell(change); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
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
func serveControl(t testing.TB, c Controller) *Client {
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
			filter := inspect.Filter{Network: "web", Table: "Forward", Active: 3}
			lines, err := collect(i.Flows(t.Context(), filter))
			if err != nil || len(lines) != 2 || lines[1].Reason != "delivery to web-2" {
				t.Errorf("flows %+v, error %v", lines, err)
			}
			if diff := cmp.Diff(filter, d.asked); diff != "" {
				t.Error(diff)
			}
			if r, err := reported(i.Differences(t.Context())); err != nil || r.Node != "h1" || len(r.Differences) != 2 || r.Differences[0].Desired != "a->b" {
				t.Errorf("differences %+v, error %v", r, err)
			}
			if s, err := i.Status(t.Context()); err != nil || s.Flows != 7 {
				t.Errorf("status %+v, error %v", s, err)
			}
			if c, err := i.Counters(t.Context(), overlay.Endpoint{ID: "abc", Network: "x"}); err != nil || c.FromPackets != 3 || c.ToPackets != 1 {
				t.Errorf("counters %+v, error %v", c, err)
			}
			d.err = overlay.Refuse(overlay.Missing, `network "web"`, "see ovsnet network ls", "no such network")
			if _, err := collect(i.Flows(t.Context(), filter)); !overlay.IsKind(err, overlay.Missing) || err.Error() != d.err.Error() {
				t.Errorf("refusal %v, want %v", err, d.err)
			}
			d.err = errors.New("broken")
			if _, err := collect(i.Flows(t.Context(), filter)); err == nil || !strings.Contains(err.Error(), "broken") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// reported takes all differences.
func reported(c inspect.Comparison, err error) (inspect.Report, error) {
	if err != nil {
		return inspect.Report{}, err
	}
	return c.Report()
}

// collect takes all lines, or the error that ends them.
func collect(lines iter.Seq2[inspect.Line, error]) (list []inspect.Line, err error) {
	for line, err := range lines {
		if err != nil {
			return list, err
		}
		list = append(list, line)
	}
	return list, nil
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
	if d.drains != 0 || d.repairs != 0 {
		t.Error("an inquiry changed something")
	}
	if err := local.Drain(t.Context()); err != nil || d.drains != 1 {
		t.Errorf("drained %d times, error %v", d.drains, err)
	}
}

func (d *told) Follow(_ context.Context, q Follow) (Page, error) {
	return Page{Gone: q.Begin == nil, Lost: q.After}, d.err
}

// Who may not ask the agent is not told to look whether it runs.
func TestWhoMayNotAsk(t *testing.T) {
	s := &socket{path: "/run/ovsnet/ovsnet.sock"}
	for err, says := range map[error]string{
		unix.EACCES:       "may not be asked by this user: connect: permission denied; run this as root",
		unix.ECONNREFUSED: "does not answer: connect: connection refused; is it running",
	} {
		got := s.unanswered(os.NewSyscallError("connect", err))
		if !overlay.IsKind(got, overlay.Unavailable) || !strings.Contains(got.Error(), says) {
			t.Errorf("%v, want it to say %q", got, says)
		}
	}
}
