package ui_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows/journey"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
	"github.com/ovsnet/ovsnet/ui"
)

// fake is a Cluster of two hosts that counts what it is asked.
type fake struct {
	maps, traffics, traces int
	asked                  ui.Question
	// during is what happens while the map is made.
	during func(context.Context)
}

func (f *fake) Map(ctx context.Context) (topology.Map, error) {
	f.maps++
	if f.during != nil {
		f.during(ctx)
	}
	edit := overlay.NewSnapshot().Edit()
	edit.SetNode(overlay.Node{Name: "h1", VTEPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	edit.SetNode(overlay.Node{Name: "h2", VTEPs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}})
	return topology.New(topology.Facts{Snapshot: edit.Snapshot()}), nil
}

func (f *fake) Traffic(_ context.Context, host string) (topology.Traffic, error) {
	f.traffics++
	if host == "h2" {
		return topology.Traffic{}, overlay.Refuse(overlay.Unavailable, "node h2", "", "does not answer")
	}
	return topology.Traffic{Node: host}, nil
}

func (f *fake) Trace(_ context.Context, q ui.Question) (journey.Trace, error) {
	f.traces++
	f.asked = q
	return journey.Trace{Verdict: journey.Verdict{Text: "delivered"}}, nil
}

// request is one that is made up, as a browser on this host would send it.
type request struct {
	method, path, body, host string
	header                   map[string]string
}

func (r request) to(h http.Handler) *httptest.ResponseRecorder {
	if r.method == "" {
		r.method = http.MethodGet
	}
	q := httptest.NewRequest(r.method, r.path, strings.NewReader(r.body))
	q.Host = "127.0.0.1:8480"
	if r.host != "" {
		q.Host = r.host
	}
	for name, value := range r.header {
		q.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, q)
	return w
}

func handler(f *fake, g ui.Gate) http.Handler {
	return ui.Handler(f, "h1", g, slog.New(slog.DiscardHandler))
}

func TestPageAndAnswers(t *testing.T) {
	f := &fake{}
	h := handler(f, ui.Gate{Loopback: true})
	for path, kind := range map[string]string{"/": "text/html; charset=utf-8", "/v1/map": "application/json", "/v1/picture?form=wide": "image/svg+xml", "/v1/picture?form=narrow": "image/svg+xml", "/v1/traffic?host=h1": "application/json"} {
		w := request{path: path}.to(h)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != kind {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || !strings.HasSuffix(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %s", path, policy)
		}
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s", path, name)
			}
		}
	}
	for path, status := range map[string]int{"/v1/picture": 400, "/v1/traffic?host=h9": 404, "/v1/traffic?host=h2": 503, "/etc/passwd": 404, "/v1/trace": 405, "/v1/../": 307} {
		if w := (request{path: path}).to(h); w.Code != status {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
	}
	if f.maps != 1 || f.traffics != 2 {
		t.Errorf("the cluster was asked %d times for its map and %d times for traffic", f.maps, f.traffics)
	}
}

// Who asks and goes away does not make the cluster be asked anew, and no answer is
// waited for longer than there is time to tell it.
func TestAskersWhoGoAway(t *testing.T) {
	gone, goAway := context.WithCancel(t.Context())
	f := &fake{during: func(ctx context.Context) {
		goAway()
		if deadline, bounded := ctx.Deadline(); ctx.Err() != nil || !bounded || time.Until(deadline) > 25*time.Second {
			t.Errorf("after who asked went: %v, until %s", ctx.Err(), deadline)
		}
	}}
	h := handler(f, ui.Gate{Loopback: true})
	q := httptest.NewRequestWithContext(gone, http.MethodGet, "/v1/map", nil)
	q.Host = "localhost"
	h.ServeHTTP(httptest.NewRecorder(), q)
	if w := (request{path: "/v1/map"}).to(h); w.Code != http.StatusOK || f.maps != 1 {
		t.Errorf("%d, and the cluster was asked %d times", w.Code, f.maps)
	}
}

func TestTrace(t *testing.T) {
	f := &fake{}
	h := handler(f, ui.Gate{Loopback: true})
	asks := request{method: http.MethodPost, path: "/v1/trace", header: map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8480"},
		body: `{"from":{"network":"web","endpoint":"1"},"to":{"network":"web","endpoint":"2"},"proto":"tcp","dport":443}`}
	w := asks.to(h)
	var told journey.Trace
	if err := json.NewDecoder(w.Body).Decode(&told); err != nil || w.Code != 200 || told.Verdict.Text != "delivered" || f.asked.To.Endpoint != "2" || f.asked.DPort != 443 {
		t.Errorf("%d, %+v, %v; asked %+v", w.Code, told, err, f.asked)
	}
	for name, bad := range map[string]func(*request){
		"a form of another site": func(r *request) { r.header = map[string]string{"Content-Type": "text/plain"} },
		"another origin": func(r *request) {
			r.header = map[string]string{"Content-Type": "application/json", "Origin": "http://evil.example"}
		},
		"another site": func(r *request) {
			r.header = map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}
		},
		"unknown fields": func(r *request) { r.body = `{"what":1}` },
		"no JSON":        func(r *request) { r.body = "x" },
		"too much":       func(r *request) { r.body = `{"proto":"` + strings.Repeat("x", 1<<20) + `"}` },
	} {
		ask := asks
		bad(&ask)
		if w := ask.to(h); w.Code != http.StatusForbidden && w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
	if f.traces != 1 {
		t.Errorf("%d traces", f.traces)
	}
}

// A name that leads here is no way to read the page from another site.
func TestHostsAndSites(t *testing.T) {
	for _, tt := range []struct {
		gate ui.Gate
		host string
		want int
	}{
		{ui.Gate{Loopback: true}, "127.0.0.1:8480", 200}, {ui.Gate{Loopback: true}, "localhost:9999", 200}, {ui.Gate{Loopback: true}, "[::1]:8480", 200},
		{ui.Gate{Loopback: true}, "LOCALHOST", 200}, {ui.Gate{Loopback: true}, "192.0.2.1:8480", 421}, {ui.Gate{Loopback: true}, "evil.example:8480", 421},
		{ui.Gate{Loopback: true}, "localhost.evil.example", 421}, {ui.Gate{Loopback: true}, "127.0.0.1.evil.example", 421},
		{ui.Gate{Loopback: true, Names: []string{"ui.example"}}, "ui.example:8480", 200}, {ui.Gate{}, "192.0.2.1:8480", 200}, {ui.Gate{}, "[2001:db8::1]", 200},
		{ui.Gate{}, "localhost", 421}, {ui.Gate{}, "evil.example", 421},
	} {
		for _, path := range []string{"/", "/v1/map"} {
			if w := (request{path: path, host: tt.host}).to(handler(&fake{}, tt.gate)); w.Code != tt.want {
				t.Errorf("%+v asked as %s: %d, want %d", tt.gate, tt.host, w.Code, tt.want)
			}
		}
	}
	for site, want := range map[string]int{"": 200, "none": 200, "same-origin": 200, "same-site": 403, "cross-site": 403} {
		if w := (request{path: "/v1/map", header: map[string]string{"Sec-Fetch-Site": site}}).to(handler(&fake{}, ui.Gate{Loopback: true})); w.Code != want {
			t.Errorf("from %q: %d, want %d", site, w.Code, want)
		}
	}
}

// The page has nothing in it that is not told to everybody; who serves it is told
// with the map.
func TestPageIsEmpty(t *testing.T) {
	h := ui.Handler(&fake{}, "the-serving-host", ui.Gate{Loopback: true}, slog.New(slog.DiscardHandler))
	if page := (request{path: "/"}).to(h).Body.String(); strings.Contains(page, "the-serving-host") {
		t.Error("the page names the host that serves it")
	}
	var told struct {
		Here  string
		Hosts []topology.Host
	}
	if err := json.NewDecoder((request{path: "/v1/map"}).to(h).Body).Decode(&told); err != nil || told.Here != "the-serving-host" || len(told.Hosts) != 2 {
		t.Errorf("%+v, %v", told, err)
	}
}

func TestToken(t *testing.T) {
	f := &fake{}
	h := handler(f, ui.Gate{Token: "abcdefghijklmnop"})
	for given, want := range map[string]int{"": 401, "Bearer ": 401, "Bearer x": 401, "Bearer abcdefghijklmno": 401, "abcdefghijklmnop": 401, "Basic abcdefghijklmnop": 401, "Bearer abcdefghijklmnop": 200} {
		for _, path := range []string{"/v1/map", "/v1/picture?form=wide", "/v1/traffic?host=h1"} {
			w := request{path: path, host: "192.0.2.1", header: map[string]string{"Authorization": given}}.to(h)
			if w.Code != want {
				t.Errorf("%s with %q: %d, want %d", path, given, w.Code, want)
			}
		}
	}
	w := request{path: "/", host: "192.0.2.1"}.to(h)
	if page, err := io.ReadAll(w.Body); err != nil || w.Code != 200 || strings.Contains(string(page), "abcdefghijklmnop") || strings.Contains(string(page), "192.0.2.2") {
		t.Errorf("the page without a token: %d, or it tells what it should not", w.Code)
	}
	if w := (request{method: http.MethodPost, path: "/v1/trace", host: "192.0.2.1", body: "{}", header: map[string]string{"Content-Type": "application/json"}}).to(h); w.Code != 401 || f.traces != 0 {
		t.Errorf("a trace without a token: %d", w.Code)
	}
}
