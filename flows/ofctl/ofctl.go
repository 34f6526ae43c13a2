// Package ofctl applies and dumps flows through ovs-ofctl(8). It decides
// nothing: what to apply comes from package flows.
//
// Every change is one bundle (OpenFlow 1.4, 7.3.9), so OVS takes all of it or
// nothing. A process for each change costs about 16 ms, and a bundle of 10,000
// flows 200 ms; a codec of our own, or one of the old OpenFlow libraries, was
// rejected until that is shown to be the limit.
package ofctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// Config says which bridge is meant.
type Config struct {
	// Bridge is the bridge's name, RunDir where ovs-vswitchd's sockets are; empty
	// is the package's default.
	Bridge, RunDir string
	// Logger gets what is run, at debug level; nil discards it.
	Logger *slog.Logger
}

// Client runs ovs-ofctl for one bridge. Its methods may be called from any
// goroutine.
type Client struct{ cfg Config }

// New returns a Client; nothing is run until it is asked.
func New(cfg Config) *Client {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg}
}

// version is spoken to the bridge: 1.5 prints set_field, and has bundles.
const version = "OpenFlow15"

// command prepares a call that ends with ctx, its pipes with it.
func (c *Client) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ovs-ofctl", append([]string{"-O", version, "--no-names"}, args...)...)
	cmd.WaitDelay = time.Second
	if c.cfg.RunDir != "" {
		cmd.Env = append(cmd.Environ(), "OVS_RUNDIR="+c.cfg.RunDir)
	}
	return cmd
}

// Dump returns every flow on the bridge.
func (c *Client) Dump(ctx context.Context) ([]flows.Installed, error) {
	cmd := c.command(ctx, "dump-flows", c.cfg.Bridge)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("dump flows: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, c.failure("dump-flows", err, &complaint)
	}
	list, parseErr := flows.ParseDump(out)
	if parseErr != nil {
		_, _ = io.Copy(io.Discard, out)
	}
	if err := cmd.Wait(); err != nil {
		return nil, c.failure("dump-flows", err, &complaint)
	}
	return list, parseErr
}

// Apply makes the change in one bundle: all of it, or nothing and an error that
// names the flow OVS refused.
func (c *Client) Apply(ctx context.Context, change flows.Delta) error {
	if change.Empty() {
		return nil
	}
	lines, err := change.BundleLines()
	if err != nil {
		return err
	}
	began := time.Now()
	cmd := c.command(ctx, "bundle", c.cfg.Bridge, "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if err := cmd.Run(); err != nil {
		return c.failure("bundle", err, &complaint)
	}
	c.cfg.Logger.Debug("bundle applied", "added", len(change.Add), "deleted", len(change.Delete), "took", time.Since(began))
	return nil
}

// Watch keeps a connection to the bridge and returns when ovs-vswitchd ends it,
// or nil when ctx ends.
func (c *Client) Watch(ctx context.Context) error {
	cmd := c.command(ctx, "monitor", c.cfg.Bridge)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		err = errors.New("the connection ended")
	}
	return c.failure("monitor", err, &complaint)
}

// maxComplaint is how much of ovs-ofctl's words an error carries, in bytes.
const maxComplaint = 2000

// failure tells what did not work, in ovs-ofctl's words.
func (c *Client) failure(what string, err error, complaint *bytes.Buffer) error {
	words := strings.TrimSpace(complaint.String())
	if len(words) > maxComplaint {
		words = words[:maxComplaint] + "…"
	}
	if strings.Contains(words, "is not a bridge or a socket") || strings.Contains(words, "failed to connect") || errors.Is(err, exec.ErrNotFound) {
		refusal := overlay.Refuse(overlay.Unavailable, "ovs-vswitchd", "is openvswitch-switch installed and running?", "bridge %s does not answer: %s", c.cfg.Bridge, words)
		refusal.Err = err
		return refusal
	}
	return fmt.Errorf("ovs-ofctl %s on %s: %w: %s", what, c.cfg.Bridge, err, words)
}
