package docker

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update renews the transcripts: TestTranscripts the answers, TestDockerd (as
// root) also the requests, from the dockerd of this machine.
var update = flag.Bool("update", false, "renew the transcripts in testdata")

// exchange is one call of a transcript: "> method request" and "< answer".
type exchange struct{ method, request, answer string }

// recorder passes calls on and keeps them.
type recorder struct {
	next http.Handler
	mu   sync.Mutex
	kept []exchange
}

func (c *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answered := httptest.NewRecorder()
	c.next.ServeHTTP(answered, r)
	c.mu.Lock()
	c.kept = append(c.kept, exchange{strings.TrimPrefix(r.URL.Path, "/"), strings.TrimSpace(string(body)), strings.TrimSpace(answered.Body.String())})
	c.mu.Unlock()
	w.WriteHeader(answered.Code)
	fmt.Fprint(w, answered.Body)
}

// take returns what was kept since the last take.
func (c *recorder) take() []exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.kept
	c.kept = nil
	return kept
}

func writeTranscript(t *testing.T, name string, exchanges []exchange) {
	t.Helper()
	var text strings.Builder
	for _, e := range exchanges {
		fmt.Fprintf(&text, "> %s %s\n< %s\n", e.method, e.request, e.answer)
	}
	if err := os.WriteFile(filepath.Join("testdata", name), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readTranscript(t testing.TB, path string) []exchange {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var exchanges []exchange
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxBody)
	for lines.Scan() {
		if sent, isRequest := strings.CutPrefix(lines.Text(), "> "); isRequest {
			method, request, _ := strings.Cut(sent, " ")
			exchanges = append(exchanges, exchange{method: method, request: request})
			continue
		}
		exchanges[len(exchanges)-1].answer = strings.TrimPrefix(lines.Text(), "< ")
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return exchanges
}

// TestTranscripts sends what a real dockerd sent, and compares the answers.
func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.transcript")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts in testdata: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			rig := newRig()
			exchanges := readTranscript(t, path)
			for i, e := range exchanges {
				_, answer := rig.call(e.method, e.request)
				if *update {
					exchanges[i].answer = answer
					continue
				}
				if diff := cmp.Diff(e.answer, answer); diff != "" {
					t.Errorf("call %d, %s %s (-golden +now):\n%s", i+1, e.method, e.request, diff)
				}
			}
			if *update {
				writeTranscript(t, filepath.Base(path), exchanges)
			}
			if !strings.HasPrefix(filepath.Base(path), "refused") {
				rig.store.empty(t)
			}
		})
	}
}
