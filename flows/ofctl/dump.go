package ofctl

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/openflow"
)

// read puts a question for flows to the bridge itself. An *openflow.Refusal, or ErrUnknown,
// says that they cannot be had in this way.
func (c *Client) read(ctx context.Context, question []byte) ([]flows.Installed, error) {
	conn, hangUp, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	if _, err := conn.Write(question); err != nil {
		return nil, fmt.Errorf("ask for the flows: %w", err)
	}
	in, reader := bufio.NewReaderSize(conn, 1<<16), openflow.NewFlowReader()
	list := []flows.Installed{}
	for more := true; more; {
		_ = conn.SetReadDeadline(time.Now().Add(c.cfg.Silence))
		if ctx.Err() != nil {
			return nil, ctx.Err() // it ended before that deadline was set, which outlasts it
		}
		reply, err := openflow.ReadReply(in)
		if err != nil {
			return nil, fmt.Errorf("the connection ended: %w", err)
		}
		if reply.Refused != nil {
			return nil, reply.Refused
		}
		if reply.Flows == nil {
			continue
		}
		if list, err = reader.Append(list, reply.Flows); err != nil {
			return nil, err
		}
		more = reply.More
	}
	return list, nil
}
