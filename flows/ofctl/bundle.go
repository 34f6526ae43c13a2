package ofctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/openflow"
)

// defaultRunDir is where Debian's Open vSwitch has its sockets.
const defaultRunDir = "/var/run/openvswitch"

// send makes the change in one bundle over a connection of its own to the
// bridge's management socket. An *openflow.Refusal, or ErrUnknown, says that
// nothing was changed.
func (c *Client) send(ctx context.Context, change flows.Delta) error {
	conn, hangUp, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp()
	replies := listen(conn)
	if err := write(conn, change); err != nil {
		return err
	}
	if err := replies.await(func(r openflow.Reply) bool { return r.Closed }); err != nil {
		return err
	}
	if _, err := conn.Write(openflow.AppendCommit(nil)); err != nil {
		return fmt.Errorf("commit the bundle: %w", err)
	}
	return replies.await(func(r openflow.Reply) bool { return r.Committed })
}

// connect opens a connection to the bridge's management socket, on which nothing is
// waited for once ctx has ended; hangUp closes it.
func (c *Client) connect(ctx context.Context) (conn net.Conn, hangUp func(), err error) {
	if conn, err = (&net.Dialer{}).DialContext(ctx, "unix", c.socket()); err != nil {
		return nil, nil, err
	}
	// A past deadline ends what is waited for when ctx does.
	forget := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return conn, func() {
		forget()
		_ = conn.Close()
	}, nil
}

// socket is the bridge's management socket, as ovs-ofctl(8) finds it.
func (c *Client) socket() string {
	dir := c.cfg.RunDir
	if dir == "" {
		dir = os.Getenv("OVS_RUNDIR")
	}
	if dir == "" {
		dir = defaultRunDir
	}
	return filepath.Join(dir, c.cfg.Bridge+".mgmt")
}

// write sends the change as an open bundle that is complete, deletes first, and
// numbered as Delta.Nth has them. The switch looks at each flow as it comes, and
// does nothing yet.
func write(conn net.Conn, change flows.Delta) error {
	if len(change.Evict) > 0 {
		return fmt.Errorf("deletes by cookie: %w", openflow.ErrUnknown)
	}
	out := bufio.NewWriterSize(conn, 1<<14)
	var message []byte
	put := func(next []byte, unknown error) error {
		message = next
		_, err := out.Write(next)
		return errors.Join(unknown, err)
	}
	if err := put(openflow.AppendOpen(openflow.AppendHello(message)), nil); err != nil {
		return err
	}
	n := uint32(0)
	for _, k := range change.Delete {
		n++
		if err := put(openflow.AppendDelete(message[:0], n, k)); err != nil {
			return err
		}
	}
	for _, f := range change.Add {
		n++
		if err := put(openflow.AppendAdd(message[:0], n, f)); err != nil {
			return err
		}
	}
	return errors.Join(put(openflow.AppendClose(message[:0]), nil), out.Flush())
}

// answers are what a connection brings.
type answers struct {
	replies chan openflow.Reply
	// ended is why nothing more comes; it is read after replies is closed.
	ended error
}

// listen reads all that comes until the connection ends. Meanwhile the switch
// can be written to: it stops reading while its answers are not taken. Of
// refusals, of which there can be one for each flow, the first counts.
func listen(conn net.Conn) *answers {
	a := &answers{replies: make(chan openflow.Reply, 3)}
	go func() {
		defer close(a.replies)
		in := bufio.NewReader(conn)
		refused := false
		for {
			reply, err := openflow.ReadReply(in)
			if err != nil {
				a.ended = err
				return
			}
			if reply.Unasked() || refused {
				continue
			}
			refused = reply.Refused != nil
			select {
			case a.replies <- reply:
			default: // more than was asked for
			}
		}
	}()
	return a
}

// await waits for one answer. Whatever was refused ends it.
func (a *answers) await(expected func(openflow.Reply) bool) error {
	for reply := range a.replies {
		if reply.Refused != nil {
			return reply.Refused
		}
		if expected(reply) {
			return nil
		}
	}
	return fmt.Errorf("the connection ended: %w", a.ended)
}
