package ofctl

import (
	"context"
	"time"
)

// maxQuestion bounds a question to ovs-vswitchd whose context has no nearer
// deadline: one that hangs is told in time to say so.
const maxQuestion = 5 * time.Second

// Trace returns what `ovs-appctl ofproto/trace` says of a packet on the bridge
// (ovs-vswitchd(8)). Nothing is sent, and no counter moves.
func (c *Client) Trace(ctx context.Context, packet string) (string, error) {
	return c.ask(ctx, "ofproto/trace", c.cfg.Bridge, packet)
}

// Ports returns what `ovs-appctl dpif/show` says of all bridges: their ports, with
// both numbers that a port has.
func (c *Client) Ports(ctx context.Context) (string, error) {
	return c.ask(ctx, "dpif/show")
}

// ask puts a question to ovs-vswitchd. One that is away, or has no such bridge,
// is a refusal of kind Unavailable.
func (c *Client) ask(ctx context.Context, command string, operands ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, maxQuestion)
	defer cancel()
	run := c.call(ctx, "ovs-appctl", command, append([]string{"-vconsole:off", command}, operands...))
	out, err := run.Output()
	if err != nil {
		return "", run.failed(ctx, err)
	}
	return string(out), nil
}
