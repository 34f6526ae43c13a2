package ofctl

import (
	"context"
	"errors"
	"runtime"
	"syscall"
)

// Watch keeps a connection to the bridge and returns when ovs-vswitchd ends it:
// it went away, or the bridge was removed. That is always an error, at once
// where nobody answered to begin with; nil means that ctx ended. The flows may
// then be gone, so a caller dumps them once a new Watch holds.
func (c *Client) Watch(ctx context.Context) error {
	run := c.prepare(ctx, "monitor")
	// ovs-ofctl goes with this process, however that ends. Linux ties the signal
	// to the thread that started it (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	run.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := run.Run()
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		err = errors.New("the connection ended")
	}
	return run.failed(ctx, err)
}
