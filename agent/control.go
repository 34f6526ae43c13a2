package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

// Controller is what the control socket does beside answering inquiries. Only
// this host's root reaches it.
type Controller interface {
	Reporter
	// Watch tells changes of the flows as they happen, until ctx ends or tell
	// fails.
	Watch(ctx context.Context, tell func(FlowChange) error) error
	// Drain ends the agent's work on this host: no plugin calls, no rounds. The
	// process stays, and an embedded etcd with it.
	Drain(ctx context.Context) error
	// Repair makes the installed flows the desired ones, foreign ones included,
	// and returns what differs still.
	Repair(ctx context.Context) (inspect.Report, error)
}

const (
	// ControlTimeout bounds one request on the control socket.
	ControlTimeout = 20 * time.Second
	// maxArguments bounds the arguments of an inquiry there, in bytes.
	maxArguments = 64 << 20
)

// ServeControl answers on the control socket until ctx ends.
func ServeControl(ctx context.Context, l net.Listener, c Controller, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/inquiries/{kind}", func(w http.ResponseWriter, q *http.Request) {
		serve(w, q, log, func(ctx context.Context, arguments []byte, to io.Writer) error {
			return Answer(ctx, c, q.PathValue("kind"), arguments, to)
		})
	})
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, q *http.Request) {
		serve(w, q, log, func(ctx context.Context, _ []byte, _ io.Writer) error { return c.Drain(ctx) })
	})
	mux.HandleFunc("POST /v1/repair", func(w http.ResponseWriter, q *http.Request) {
		serve(w, q, log, func(ctx context.Context, arguments []byte, to io.Writer) error {
			return reply(to, arguments, func(struct{}) (inspect.Report, error) { return c.Repair(ctx) })
		})
	})
	mux.HandleFunc("GET /v1/watch", func(w http.ResponseWriter, q *http.Request) {
		if err := serveWatch(w, q, c); err != nil {
			log.Debug("a watch of the flows ended", "error", err)
			panic(http.ErrAbortHandler)
		}
	})
	mux.Handle("GET /metrics", NewMetrics(c.Status))
	server := &http.Server{
		Handler: mux, ReadTimeout: ControlTimeout, WriteTimeout: ControlTimeout + time.Second, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// serve does one request within ControlTimeout. Its answer goes out as it is
// written; only what fails before that is answered with a fault.
func serve(w http.ResponseWriter, q *http.Request, log *slog.Logger, do func(ctx context.Context, arguments []byte, to io.Writer) error) {
	ctx, cancel := context.WithTimeout(q.Context(), ControlTimeout)
	defer cancel()
	w.Header().Set("Content-Type", "application/json")
	arguments, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxArguments))
	if err != nil {
		err = overlay.Refuse(overlay.Invalid, "request", "ask for less at once", "its arguments cannot be read: %v", err)
	}
	answer := &begun{ResponseWriter: w}
	if err == nil {
		err = do(ctx, arguments, answer)
	}
	switch {
	case err == nil:
	case answer.begun:
		// The asker sees the end of a list that is not whole.
		log.Warn("an answer was broken off", "error", err)
		panic(http.ErrAbortHandler)
	default:
		w.WriteHeader(http.StatusInternalServerError)
		if err := json.NewEncoder(w).Encode(overlay.NewFault(err)); err != nil {
			log.Debug("control answer not delivered", "error", err)
		}
	}
}

// begun notes whether anything of an answer was written.
type begun struct {
	http.ResponseWriter
	begun bool
}

// Write makes begun an io.Writer.
func (b *begun) Write(data []byte) (int, error) {
	b.begun = true
	return b.ResponseWriter.Write(data)
}
