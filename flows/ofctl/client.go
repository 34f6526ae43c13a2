package ofctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/openflow"
	"github.com/ovsnet/ovsnet/overlay"
)

// Config says which bridge is meant.
type Config struct {
	// Bridge is the bridge's name.
	Bridge string
	// RunDir is the directory of ovs-vswitchd's sockets; empty for the default
	// that Open vSwitch was built with.
	RunDir string
	// Silence is how long ovs-vswitchd may say nothing while it is asked for flows,
	// which tells one that hangs from one with many of them; 0 for five seconds.
	Silence time.Duration
	// Kept is how long the connection that bundles share stays after the last of
	// them; 0 for ten seconds.
	Kept time.Duration
	// Logger gets what was run, at debug level; nil discards it.
	Logger *slog.Logger
}

// Client changes and reads the flows of one bridge. Its methods may be called from any
// goroutine.
type Client struct {
	cfg Config
	// kept is the connection for the next bundle, or nil.
	kept atomic.Pointer[session]
}

// New returns a Client; nothing is run until it is asked.
func New(cfg Config) *Client {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Silence == 0 {
		cfg.Silence = maxQuestion
	}
	if cfg.Kept == 0 {
		cfg.Kept = keptFor
	}
	return &Client{cfg: cfg}
}

const (
	// protocol is what is spoken to the bridge: OpenFlow 1.5 has bundles, and
	// its dumps show set_field for every way of setting a field.
	protocol = "OpenFlow15"
	// maxCall bounds a call whose context has no nearer deadline.
	maxCall = 2 * time.Minute
	// maxComplaint is how much of ovs-ofctl's words is kept, in bytes; for a
	// refused flow it prints the whole message in hex.
	maxComplaint = 4096
)

// call is one run of a tool of Open vSwitch's and what it complained about.
type call struct {
	*exec.Cmd
	tool      string
	name      string
	bridge    string
	complaint *head
}

// prepare makes a call of ovs-ofctl that ends with ctx.
func (c *Client) prepare(ctx context.Context, name string, operands ...string) call {
	return c.call(ctx, "ovs-ofctl", name, append([]string{"-O", protocol, "--no-names", name, c.cfg.Bridge}, operands...))
}

// call makes a call that ends with ctx; name is what the tool is to do.
func (c *Client) call(ctx context.Context, tool, name string, args []string) call {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.WaitDelay = time.Second
	if c.cfg.RunDir != "" {
		cmd.Env = append(cmd.Environ(), "OVS_RUNDIR="+c.cfg.RunDir)
	}
	complaint := &head{room: maxComplaint}
	cmd.Stderr = complaint
	return call{Cmd: cmd, tool: tool, name: name, bridge: c.cfg.Bridge, complaint: complaint}
}

// Dump returns every flow on the bridge. What cannot be read is a
// *flows.SyntaxError; an ovs-vswitchd or bridge that is away is a refusal of
// kind Unavailable.
//
// It asks the bridge itself. Where a flow, of somebody else's, cannot be read in
// that way, ovs-ofctl dumps all of them.
func (c *Client) Dump(ctx context.Context) ([]flows.Installed, error) {
	return c.dump(ctx, openflow.AppendFlowsRequest(openflow.AppendHello(nil)))
}

// Find returns, as Dump does, the flows of a table that have the cookie, which the
// switch has an index for.
func (c *Client) Find(ctx context.Context, t flows.TableID, cookie uint64) ([]flows.Installed, error) {
	question := openflow.AppendFindRequest(openflow.AppendHello(nil), t, cookie)
	return c.dump(ctx, question, fmt.Sprintf("table=%d,cookie=%#x/-1", t, cookie))
}

// dump asks for flows; condition says which in the words of ovs-ofctl.
func (c *Client) dump(ctx context.Context, question []byte, condition ...string) ([]flows.Installed, error) {
	ctx, cancel := context.WithTimeout(ctx, maxCall)
	defer cancel()
	list, err := c.read(ctx, question)
	switch {
	case beyondUs(err):
		c.cfg.Logger.Debug("flows are dumped through ovs-ofctl", "because", err)
		return c.dumpByProcess(ctx, condition...)
	case err != nil:
		return nil, c.unsent(ctx, "dump", err)
	}
	return list, nil
}

// DumpAt returns the flows at that place, of any priority, by a run of ovs-ofctl;
// errors are those of Dump.
func (c *Client) DumpAt(ctx context.Context, where flows.Where) ([]flows.Installed, error) {
	ctx, cancel := context.WithTimeout(ctx, maxCall)
	defer cancel()
	list, err := c.dumpByProcess(ctx, where.String())
	return slices.DeleteFunc(list, func(f flows.Installed) bool { return f.Where() != where }), err
}

// dumpByProcess returns every flow, or those that meet a condition, by a run of
// ovs-ofctl.
func (c *Client) dumpByProcess(ctx context.Context, condition ...string) ([]flows.Installed, error) {
	run := c.prepare(ctx, "dump-flows", condition...)
	out, err := run.StdoutPipe()
	if err != nil {
		return nil, run.failed(ctx, err)
	}
	if err := run.Start(); err != nil {
		return nil, run.failed(ctx, err)
	}
	list, unread := flows.ParseDump(out)
	if unread != nil {
		_, _ = io.Copy(io.Discard, out)
	}
	if err := run.Wait(); err != nil {
		return nil, run.failed(ctx, err)
	}
	return list, unread
}

// Apply makes the change in one bundle: all of it, or none and an error that
// names the flow that OVS refused.
//
// It talks to the bridge itself, over a connection that it keeps for the next
// change. What it cannot write, or OVS does not take from it, ovs-ofctl tries in
// its turn: it knows all of OpenFlow, and the words for what is wrong.
func (c *Client) Apply(ctx context.Context, change flows.Delta) error {
	if change.Empty() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxCall)
	defer cancel()
	began, by := time.Now(), "connection"
	err := c.send(ctx, change)
	switch {
	case beyondUs(err):
		by = "ovs-ofctl"
		c.cfg.Logger.Debug("bundle goes through ovs-ofctl", "because", err)
		err = c.applyByProcess(ctx, change)
	case err != nil:
		err = c.unsent(ctx, "bundle", err)
	}
	if err == nil {
		c.cfg.Logger.Debug("bundle applied", "added", len(change.Add), "deleted", len(change.Delete), "by", by, "took", time.Since(began))
	}
	return err
}

// beyondUs reports whether ovs-ofctl may do what a connection of our own could
// not.
func beyondUs(err error) bool {
	var refused *openflow.Refusal
	return errors.As(err, &refused) || errors.Is(err, openflow.ErrUnknown)
}

// unsent says why a connection to the bridge did not do what it was for.
func (c *Client) unsent(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s on bridge %s did not end in time: %w", what, c.cfg.Bridge, context.Cause(ctx))
	}
	return refuse("ovs-vswitchd", "is it running, with that bridge?", err, "bridge %s does not answer", c.cfg.Bridge)
}

// applyByProcess makes the change in one bundle by a run of ovs-ofctl.
func (c *Client) applyByProcess(ctx context.Context, change flows.Delta) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	run := c.prepare(ctx, "bundle", "-")
	in, err := run.StdinPipe()
	if err != nil {
		return run.failed(ctx, err)
	}
	if err := run.Start(); err != nil {
		return run.failed(ctx, err)
	}
	unwritten := change.WriteBundle(in)
	if unwritten == nil {
		unwritten = in.Close()
	} else {
		// The pipe stays open until ovs-ofctl is dead: its end would make half a
		// bundle a whole one.
		cancel()
	}
	if err := run.Wait(); err != nil && run.complaint.text() != "" {
		return run.refused(ctx, err, change)
	} else if err != nil || unwritten != nil {
		return run.failed(ctx, errors.Join(unwritten, err))
	}
	return nil
}

// refused names the flow that ovs-ofctl or the switch did not take: the former
// tells the line, the latter the flow in its own words.
func (r call) refused(ctx context.Context, err error, change flows.Delta) error {
	place := regexp.MustCompile(`ovs-ofctl: -:(\d+):`).FindStringSubmatch(r.complaint.text())
	if place == nil {
		return r.failed(ctx, err)
	}
	n, _ := strconv.Atoi(place[1])
	return fmt.Errorf("%w; the flow is: %s", r.failed(ctx, err), change.Nth(n))
}

// failed tells what did not work, in ovs-ofctl's words where it said any.
func (r call) failed(ctx context.Context, err error) error {
	words := r.complaint.text()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return refuse(r.tool, "install Debian's openvswitch-switch", err, "cannot be run")
	case r.away(words):
		return refuse("ovs-vswitchd", "is it running, with that bridge?", err, "bridge %s does not answer: %s", r.bridge, words)
	case ctx.Err() != nil:
		return fmt.Errorf("%s %s on bridge %s did not end in time: %w", r.tool, r.name, r.bridge, context.Cause(ctx))
	}
	return fmt.Errorf("%s %s on bridge %s: %w: %s", r.tool, r.name, r.bridge, err, words)
}

// away recognizes what the tools say when nobody listens.
func (r call) away(words string) bool {
	for _, sign := range []string{"is not a bridge or a socket", "failed to connect", "connection lost", "cannot connect to", "cannot read pidfile", "Unknown bridge", "Connection refused", "Connection reset", "End of file", "Broken pipe"} {
		if strings.Contains(words, sign) {
			return true
		}
	}
	return false
}

func refuse(object, remedy string, err error, cause string, args ...any) error {
	refusal := overlay.Refuse(overlay.Unavailable, object, remedy, cause, args...)
	refusal.Err = err
	return refusal
}

// head keeps the beginning of what is written to it.
type head struct {
	kept []byte
	room int
}

// Write never fails, so that the writer is not disturbed.
func (h *head) Write(p []byte) (int, error) {
	take := min(len(p), h.room-len(h.kept))
	h.kept = append(h.kept, p[:take]...)
	return len(p), nil
}

func (h *head) text() string { return strings.TrimSpace(string(h.kept)) }
