package agent

import (
	"context"
	"time"
)

// watchSettle is how long a new connection to ovs-vswitchd gets until it can be
// relied on to end with it.
const watchSettle = time.Second

// watchSwitch tells gone each time ovs-vswitchd went away, and once more when
// it is watched again: it may have been replaced in between.
func (l *Loop) watchSwitch(ctx context.Context, gone chan<- struct{}) {
	pause := persistent(100*time.Millisecond, 2*time.Second)
	tell := func() {
		select {
		case gone <- struct{}{}:
		default:
		}
	}
	for ctx.Err() == nil {
		settled := time.AfterFunc(watchSettle, tell)
		began := time.Now()
		err := l.parts.Flows.Watch(ctx)
		settled.Stop()
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > 2*time.Second {
			pause.Reset()
		}
		l.cfg.Logger.Debug("connection to ovs-vswitchd ended", "error", err)
		tell()
		select {
		case <-ctx.Done():
		case <-time.After(pause.NextBackOff()):
		}
	}
}
