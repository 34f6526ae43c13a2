package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// Reporter is what the control socket answers from.
type Reporter interface {
	// Status says how the agent stands.
	Status() Status
	// Flows lists this host's flows, installed and desired, with their reasons.
	Flows(ctx context.Context, filter FlowFilter) ([]FlowLine, error)
	// Counters returns the traffic of one local endpoint.
	Counters(ctx context.Context, endpoint overlay.Endpoint) (Counters, error)
	// Drain ends the agent's work on this host: no plugin calls, no rounds. The
	// process stays, and an embedded etcd with it.
	Drain(ctx context.Context) error
}

// ControlTimeout bounds one request on the control socket.
const ControlTimeout = 20 * time.Second

// ServeControl answers on the control socket until ctx ends.
func ServeControl(ctx context.Context, l net.Listener, r Reporter, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, log, r.Status(), nil) })
	mux.HandleFunc("GET /v1/flows", func(w http.ResponseWriter, q *http.Request) {
		lines, err := r.Flows(q.Context(), FlowFilter{Network: q.FormValue("network"), Table: q.FormValue("table")})
		answer(w, log, lines, err)
	})
	mux.HandleFunc("GET /v1/counters", func(w http.ResponseWriter, q *http.Request) {
		counters, err := r.Counters(q.Context(), overlay.Endpoint{ID: q.FormValue("endpoint"), Network: q.FormValue("network")})
		answer(w, log, counters, err)
	})
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, q *http.Request) { answer(w, log, struct{}{}, r.Drain(q.Context())) })
	server := &http.Server{
		Handler:     http.TimeoutHandler(mux, ControlTimeout, `{"cause":"no answer in time"}`),
		ReadTimeout: ControlTimeout, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// fault is how an error travels over the control socket.
type fault struct {
	Kind   overlay.Kind `json:"kind"`
	Object string       `json:"object"`
	Cause  string       `json:"cause"`
	Remedy string       `json:"remedy"`
}

func answer(w http.ResponseWriter, log *slog.Logger, value any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		f := fault{Cause: err.Error()}
		var r *overlay.Refusal
		if errors.As(err, &r) {
			f = fault{Kind: r.Kind, Object: r.Object, Cause: r.Cause, Remedy: r.Remedy}
			if r.Err != nil {
				f.Cause += ": " + r.Err.Error()
			}
		}
		w.WriteHeader(http.StatusInternalServerError)
		value = f
	}
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Debug("control answer not delivered", "error", err)
	}
}
