package ofctl

import (
	"context"
	"errors"
	"fmt"

	"github.com/ovsnet/ovsnet/flows/openflow"
)

// Send has the bridge take the packet as if it had come in by the port, through all
// tables, and returns when it has. Errors are those of Dump.
func (c *Client) Send(ctx context.Context, port uint32, packet []byte) error {
	ctx, cancel := context.WithTimeout(ctx, maxQuestion)
	defer cancel()
	message, err := openflow.AppendPacketOut(openflow.AppendHello(nil), port, packet)
	if err != nil {
		return err
	}
	err = c.exchange(ctx, openflow.AppendBarrier(message))
	var refused *openflow.Refusal
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return c.unsent(ctx, "packet", err)
}

// exchange sends messages that end with a barrier, and waits until they are done.
func (c *Client) exchange(ctx context.Context, messages []byte) error {
	conn, hangUp, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp()
	replies := listen(conn)
	if _, err := conn.Write(messages); err != nil {
		return fmt.Errorf("send it: %w", err)
	}
	return replies.await(func(r openflow.Reply) bool { return r.Done })
}
