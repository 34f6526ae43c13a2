package docker

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// subject is what a request is about, for the log.
type subject struct{ NetworkID, EndpointID, PoolID, Pool, Address string }

// logCall writes one record about a call that was answered.
func (p *Plugin) logCall(ctx context.Context, method string, body []byte, took time.Duration, err error) {
	var s subject
	// A body that is no JSON has no subject; its error says so already.
	_ = json.Unmarshal(body, &s)
	attrs := []slog.Attr{slog.String("method", method), slog.Duration("took", took)}
	for _, a := range []struct{ key, value string }{
		{"docker_network", overlay.ShortID(s.NetworkID)}, {"endpoint", overlay.ShortID(s.EndpointID)},
		{"pool_id", s.PoolID}, {"pool", s.Pool}, {"address", s.Address},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
		p.Logger.LogAttrs(ctx, slog.LevelWarn, "Docker's call was refused", attrs...)
		return
	}
	p.Logger.LogAttrs(ctx, slog.LevelInfo, "Docker's call was answered", attrs...)
}
