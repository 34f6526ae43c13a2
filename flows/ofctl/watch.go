package ofctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/ovsnet/ovsnet/flows"
)

// maxEvent bounds one event's line, in bytes: the largest flow that fits into
// an OpenFlow message takes about 60,000.
const maxEvent = 1 << 20

// Watch follows the bridge's flow monitor (ovs-ofctl(8), "monitor") and tells
// what happens to flows, one event after the other, until ovs-vswitchd ends the
// connection: it went away, or the bridge was removed. That is always an error,
// at once where nobody answered to begin with; nil means that ctx ended.
//
// The first event is flows.Began: what changes from then on is told, so a
// caller that dumps the flows after it misses nothing. Changes that the switch
// left out, or that cannot be read, are flows.Missed. A tell that takes its time
// holds up the monitor, and the switch then leaves changes out.
func (c *Client) Watch(ctx context.Context, tell func(flows.Event)) error {
	run := c.prepare(ctx, "monitor", "watch:!initial")
	run.Args = slices.Insert(run.Args, 1, "-vofctl:console:dbg")
	// ovs-ofctl goes with this process, however that ends. Linux ties the signal
	// to the thread that started it (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	run.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	run.Stderr = nil
	events, err := run.StderrPipe()
	if err != nil {
		return run.failed(ctx, err)
	}
	if err := run.Start(); err != nil {
		return run.failed(ctx, err)
	}
	unread := run.follow(events, tell)
	if unread != nil {
		_ = run.Process.Kill()
	}
	err = errors.Join(unread, run.Wait())
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		err = errors.New("the connection ended")
	}
	return run.failed(ctx, err)
}

// follow reads what the monitor prints on standard error: events among its
// complaints, and what it does meanwhile.
//
// After the switch's answer to the monitor, ovs-ofctl asks for a format of packets,
// and drops every event that comes before that is answered. It says so only for
// debugging, in words that hold both where it was taken and where not.
func (r call) follow(events io.Reader, tell func(flows.Event)) error {
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, " event="):
			e, err := flows.ParseEvent(line)
			if err != nil {
				e = flows.Event{Kind: flows.Missed}
			}
			tell(e)
		case strings.Contains(line, "|ofctl|DBG|"):
			if strings.Contains(line, " packet in format ") {
				tell(flows.Event{Kind: flows.Began})
			}
		case !strings.HasPrefix(line, "OFP") && !strings.HasPrefix(line, "NXST"):
			_, _ = fmt.Fprintln(r.complaint, line)
		}
	}
	return lines.Err()
}
