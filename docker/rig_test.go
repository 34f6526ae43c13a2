package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/overlay"
)

// rig is a plugin with fakes all round it.
type rig struct {
	*Plugin
	store *fakeStore
	loop  *fakeLoop
	links *fakeLinks
	host  *fakeHost
	log   *bytes.Buffer
}

// newRig returns a rig on whose host eth0 has 192.0.2.0/24 and carries 1450.
func newRig(change ...func(*Config)) *rig {
	r := &rig{store: newFakeStore(), loop: &fakeLoop{}, links: newFakeLinks(), log: &bytes.Buffer{}}
	r.host = &fakeHost{carries: 1450, occupied: []Occupied{{netip.MustParsePrefix("192.0.2.0/24"), "route 192.0.2.0/24 through eth0"}}}
	config := Config{
		Node: "h1", Boot: "boot-1", Pools: r.store, Networks: r.store, Endpoints: r.store,
		Loop: r.loop, Links: r.links, Routes: r.host, Underlay: r.host,
		AddressPool: netip.MustParsePrefix("10.32.0.0/12"), Timeout: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	for _, c := range change {
		c(&config)
	}
	r.Plugin = NewPlugin(config)
	return r
}

// call sends one request, and returns status and answer.
func (r *rig) call(method, body string) (int, string) {
	recorder := httptest.NewRecorder()
	r.Handler().ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/"+method, strings.NewReader(body)))
	answer, _ := io.ReadAll(recorder.Body)
	return recorder.Code, strings.TrimSuffix(string(answer), "\n")
}

// must sends one request that has to succeed.
func (r *rig) must(t *testing.T, method, body string) string {
	t.Helper()
	status, answer := r.call(method, body)
	if text := failureIn(answer); status != http.StatusOK || text != "" {
		t.Fatalf("%s %s: status %d, answer %s", method, body, status, answer)
	}
	return answer
}

// refused sends one request that has to fail, and checks that the error has all
// the words.
func (r *rig) refused(t *testing.T, method, body string, words ...string) {
	t.Helper()
	_, answer := r.call(method, body)
	text := failureIn(answer)
	if text == "" {
		t.Fatalf("%s %s was not refused: %s", method, body, answer)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s: the refusal says\n%s\nand lacks %q", method, text, word)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("%s: the refusal has more than one line:\n%s", method, text)
	}
}

// failureIn returns the error that Docker would read in an answer.
func failureIn(answer string) string {
	var failure struct{ Err, Error string }
	if err := json.Unmarshal([]byte(answer), &failure); err != nil {
		return "not JSON: " + err.Error()
	}
	return failure.Err + failure.Error
}

// needRoot skips a test that only root can run; where tests must be complete
// (CI=true) that is a failure.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root, and CI=true wants every test to run")
	}
	t.Skip("needs root")
}

func mustSubnet(prefix, gateway string) overlay.Subnet {
	return overlay.Subnet{Prefix: netip.MustParsePrefix(prefix), Gateway: netip.MustParseAddr(gateway)}
}

func describe(s overlay.Subnet, foreign bool) string {
	return fmt.Sprintf("%s %s %v %t", s.Prefix, s.Gateway, s.Aux, foreign)
}

// await polls until the condition holds, and says after a minute what it saw
// last.
func await(t *testing.T, what string, holds func() (string, bool)) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		state, ok := holds()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s: %s", what, state)
		}
	}
}
