package agent

import (
	"context"
	"time"

	"github.com/ovsnet/ovsnet/flows"
)

// watchSwitch follows the flow monitor, and tells gone each time ovs-vswitchd
// went away and each time it is watched again: it may have been replaced in
// between.
func (l *Loop) watchSwitch(ctx context.Context, gone chan<- struct{}) {
	pause := persistent(100*time.Millisecond, 2*time.Second)
	tell := func() {
		select {
		case gone <- struct{}{}:
		default:
		}
	}
	for ctx.Err() == nil {
		began := time.Now()
		err := l.parts.Flows.Watch(ctx, func(e flows.Event) {
			if l.drift.tell(e); e.Kind == flows.Began {
				tell()
			}
		})
		l.drift.ended()
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
