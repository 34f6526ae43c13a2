package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// releaseTimeout bounds one try to give endpoints back.
const releaseTimeout = 20 * time.Second

// release gives back to etcd the endpoints whose link vanished without a word
// from Docker. What cannot be given back is the object's problem until it is.
func (l *Loop) release(ctx context.Context, endpoints []overlay.Endpoint) error {
	var problems []Problem
	var failed error
	for _, e := range endpoints {
		l.cfg.Logger.Warn("releasing an endpoint whose link vanished", "endpoint", e.ID, "network", e.Network, "address", e.IPv4)
		if err := l.parts.Endpoints.DeleteEndpoint(ctx, l.cfg.Node, e.Network, e.ID); err != nil {
			problems = append(problems, Problem{Object: endpointObject(e.ID), Reason: "its link is gone and it cannot be released: " + err.Error()})
			failed = errors.Join(failed, fmt.Errorf("release endpoint %s: %w", overlay.ShortID(e.ID), err))
		}
	}
	l.board.tell("releases", problems)
	return failed
}
