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

// send makes the change in one bundle over the bridge's management socket. An
// *openflow.Refusal, or ErrUnknown, says that nothing was changed.
//
// The connection is kept for the next bundle, unless this one failed: its end takes
// along what the switch has of the bundle.
func (c *Client) send(ctx context.Context, change flows.Delta) error {
	s, err := c.session(ctx)
	if err != nil {
		return err
	}
	live := expire(ctx, s.conn)
	err = s.bundle(change)
	if !live() || err != nil {
		_ = s.conn.Close()
		return err
	}
	c.keep(s)
	return nil
}

// session is a connection for one bundle after the other.
type session struct {
	conn    net.Conn
	out     *bufio.Writer
	answers *answers
	// greeted says that the switch has had the greeting.
	greeted bool
	// idle ends the session when it was kept for long enough.
	idle *time.Timer
}

// keptFor is less than the minute after which ovs-vswitchd asks whether somebody is
// there.
const keptFor = 10 * time.Second

// session returns the one that was kept, or a new one.
func (c *Client) session(ctx context.Context) (*session, error) {
	if s := c.kept.Swap(nil); s != nil {
		s.idle.Stop()
		if !s.answers.over() {
			return s, nil
		}
		_ = s.conn.Close()
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.socket())
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, out: bufio.NewWriterSize(conn, 1<<14), answers: listen(conn)}
	s.idle = time.AfterFunc(c.cfg.Kept, func() { c.end(s) })
	return s, nil
}

// keep keeps the session for the next bundle. The time begins last: one that ended
// before the session is there to be ended would leave it for good.
func (c *Client) keep(s *session) {
	if other := c.kept.Swap(s); other != nil { // of a call beside this one
		_ = other.conn.Close()
	}
	s.idle.Reset(c.cfg.Kept)
}

// end ends the session unless a bundle has it.
func (c *Client) end(s *session) {
	if c.kept.CompareAndSwap(s, nil) {
		_ = s.conn.Close()
	}
}

// bundle makes the change in one bundle.
func (s *session) bundle(change flows.Delta) error {
	if err := s.write(change); err != nil {
		return err
	}
	if err := s.answers.await(func(r openflow.Reply) bool { return r.Closed }); err != nil {
		return err
	}
	if _, err := s.conn.Write(openflow.AppendCommit(nil)); err != nil {
		return fmt.Errorf("commit the bundle: %w", err)
	}
	return s.answers.await(func(r openflow.Reply) bool { return r.Committed })
}

// connect opens a connection to the bridge's management socket, on which nothing is
// waited for once ctx has ended; hangUp closes it.
func (c *Client) connect(ctx context.Context) (conn net.Conn, hangUp func(), err error) {
	if conn, err = (&net.Dialer{}).DialContext(ctx, "unix", c.socket()); err != nil {
		return nil, nil, err
	}
	live := expire(ctx, conn)
	return conn, func() {
		live()
		_ = conn.Close()
	}, nil
}

// expire has all that the connection waits for end when ctx does, by a deadline in
// the past. The function that comes back ends that, and reports whether it is still
// good.
func expire(ctx context.Context, conn net.Conn) (live func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
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
func (s *session) write(change flows.Delta) error {
	if len(change.Evict) > 0 {
		return fmt.Errorf("deletes by cookie: %w", openflow.ErrUnknown)
	}
	var message []byte
	put := func(next []byte, unknown error) error {
		message = next
		_, err := s.out.Write(next)
		return errors.Join(unknown, err)
	}
	if !s.greeted {
		s.greeted = true
		message = openflow.AppendHello(message)
	}
	if err := put(openflow.AppendOpen(message), nil); err != nil {
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
	return errors.Join(put(openflow.AppendClose(message[:0]), nil), s.out.Flush())
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

// over reports whether the connection ended, or brought what nobody asked for.
func (a *answers) over() bool {
	select {
	case <-a.replies:
		return true
	default:
		return false
	}
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
