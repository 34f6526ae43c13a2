package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
)

// Cluster is what the page shows. Its methods are called from several goroutines.
type Cluster interface {
	// Map is the cluster now, with what its hosts measure.
	Map(ctx context.Context) (topology.Map, error)
	// Traffic is what the endpoints of a host have sent and received.
	Traffic(ctx context.Context, host string) (topology.Traffic, error)
	// Trace follows a packet from one endpoint to another.
	Trace(ctx context.Context, q Question) (journey.Trace, error)
}

// Question asks for a trace.
type Question struct {
	From journey.EndpointName `json:"from"`
	To   journey.EndpointName `json:"to"`
	// Proto and DPort are those of journey.Wish.
	Proto string `json:"proto"`
	DPort uint16 `json:"dport"`
}

const (
	// mapFor, hereFor and thereFor are how long a Map, the traffic of this host and
	// that of others are kept.
	mapFor, hereFor, thereFor = 10 * time.Second, time.Second, 4 * time.Second
	// patience bounds one request, and most the bytes of a question.
	patience = 30 * time.Second
	most     = 4 << 10
	// traces is how many are followed at once.
	traces = 2
)

// server is the Handler's state.
type server struct {
	cluster Cluster
	here    string
	html    func() ([]byte, error)
	log     *slog.Logger
	latest  *kept[topology.Map]
	tracing chan struct{}

	mu      sync.Mutex
	traffic map[string]*kept[topology.Traffic]
}

// Handler serves the page of the cluster to whom the Gate lets in. here is the
// host that serves it.
func Handler(c Cluster, here string, g Gate, log *slog.Logger) http.Handler {
	s := &server{
		cluster: c, here: here, html: sync.OnceValues(render), log: log, latest: newKept[topology.Map](), tracing: make(chan struct{}, traces),
		traffic: map[string]*kept[topology.Traffic]{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /v1/map", g.known(s.mapped))
	mux.HandleFunc("GET /v1/picture", g.known(s.picture))
	mux.HandleFunc("GET /v1/traffic", g.known(s.counted))
	mux.HandleFunc("POST /v1/trace", g.known(s.traced))
	return g.guard(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		ctx, cancel := context.WithTimeout(q.Context(), patience)
		defer cancel()
		mux.ServeHTTP(w, q.WithContext(ctx))
	}))
}

// Serve runs a server with the Handler; the caller closes it.
func Serve(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: patience + 10*time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// render makes the page, which has nothing of the cluster in it.
func render() ([]byte, error) {
	var p topology.Page
	for _, t := range flows.Tables() {
		p.Tables = append(p.Tables, topology.Table{ID: int(t), Name: t.String(), Meaning: t.Meaning()})
	}
	var html bytes.Buffer
	err := p.WriteHTML(&html)
	return html.Bytes(), err
}

func (s *server) page(w http.ResponseWriter, _ *http.Request) {
	html, err := s.html()
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write(html)
	s.sent(err)
}

// seen is the Map and the host that serves it, whose counters the page asks for
// more often.
type seen struct {
	topology.Map
	Here string `json:"here"`
}

func (s *server) mapped(w http.ResponseWriter, q *http.Request) {
	m, err := s.latest.get(q.Context(), mapFor, s.cluster.Map)
	s.reply(w, seen{m, s.here}, err)
}

func (s *server) picture(w http.ResponseWriter, q *http.Request) {
	widths := map[string]int{"wide": topology.Wide, "narrow": topology.Narrow}
	width, known := widths[q.URL.Query().Get("form")]
	if !known {
		refuse(w, http.StatusBadRequest, "form is wide or narrow")
		return
	}
	m, err := s.latest.get(q.Context(), mapFor, s.cluster.Map)
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	s.sent(m.WriteInline(w, width))
}

func (s *server) counted(w http.ResponseWriter, q *http.Request) {
	host := q.URL.Query().Get("host")
	m, err := s.latest.get(q.Context(), mapFor, s.cluster.Map)
	if err != nil {
		s.fail(w, err)
		return
	}
	if !slices.ContainsFunc(m.Hosts, func(h topology.Host) bool { return h.Name == host }) {
		refuse(w, http.StatusNotFound, "no such host")
		return
	}
	keep := thereFor
	if host == s.here {
		keep = hereFor
	}
	t, err := s.trafficOf(host).get(q.Context(), keep, func(ctx context.Context) (topology.Traffic, error) { return s.cluster.Traffic(ctx, host) })
	s.reply(w, m.Own(host, t), err)
}

// trafficOf is what is kept of a host that exists.
func (s *server) trafficOf(host string) *kept[topology.Traffic] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.traffic[host] == nil {
		s.traffic[host] = newKept[topology.Traffic]()
	}
	return s.traffic[host]
}

func (s *server) traced(w http.ResponseWriter, q *http.Request) {
	var question Question
	decode := json.NewDecoder(http.MaxBytesReader(w, q.Body, most))
	decode.DisallowUnknownFields()
	if q.Header.Get("Content-Type") != "application/json" {
		refuse(w, http.StatusBadRequest, "no question in JSON")
		return
	}
	if err := decode.Decode(&question); err != nil {
		refuse(w, http.StatusBadRequest, "the question cannot be read: "+err.Error())
		return
	}
	select {
	case s.tracing <- struct{}{}:
		defer func() { <-s.tracing }()
	case <-q.Context().Done():
		s.fail(w, q.Context().Err())
		return
	}
	t, err := s.cluster.Trace(q.Context(), question)
	s.reply(w, t, err)
}

func (s *server) reply(w http.ResponseWriter, value any, err error) {
	if err != nil {
		s.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	s.sent(json.NewEncoder(w).Encode(value))
}

// fail answers with why there is no answer.
func (s *server) fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var r *overlay.Refusal
	if errors.As(err, &r) {
		switch r.Kind {
		case overlay.Missing:
			status = http.StatusNotFound
		case overlay.Unavailable:
			status = http.StatusServiceUnavailable
		default:
			status = http.StatusBadRequest
		}
	}
	refuse(w, status, err.Error())
}

// sent notes an answer that did not get through.
func (s *server) sent(err error) {
	if err != nil && !errors.Is(err, io.ErrClosedPipe) {
		s.log.Debug("an answer was not delivered", "error", err)
	}
}
