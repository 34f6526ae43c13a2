package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ovsnet/ovsnet/overlay"
)

// shortly is a deadline for tests of calls that hang.
const shortly = 50 * time.Millisecond

// TestAnswersWithNothingElseUp asks what Docker asks first, when every other
// part hangs.
func TestAnswersWithNothingElseUp(t *testing.T) {
	r := newRig()
	r.store.hang, r.host.fail = true, errors.New("down")
	for method, want := range map[string]string{
		"Plugin.Activate":                           `{"Implements":["NetworkDriver","IpamDriver"]}`,
		"NetworkDriver.GetCapabilities":             `{"Scope":"local","ConnectivityScope":"global"}`,
		"NetworkDriver.AllocateNetwork":             `{"Options":{}}`,
		"NetworkDriver.FreeNetwork":                 `{}`,
		"NetworkDriver.DiscoverNew":                 `{}`,
		"NetworkDriver.DiscoverDelete":              `{}`,
		"NetworkDriver.ProgramExternalConnectivity": `{}`,
		"NetworkDriver.RevokeExternalConnectivity":  `{}`,
		"IpamDriver.GetCapabilities":                `{"RequiresMACAddress":false}`,
		"IpamDriver.GetDefaultAddressSpaces":        `{"LocalDefaultAddressSpace":"ovsnet","GlobalDefaultAddressSpace":"ovsnet"}`,
	} {
		if got := r.must(t, method, ""); got != want {
			t.Errorf("%s answers %s, want %s", method, got, want)
		}
	}
}

// TestDeadlines has every part hang in turn.
func TestDeadlines(t *testing.T) {
	calls := map[string]string{
		"NetworkDriver.CreateNetwork": createNet, "NetworkDriver.DeleteNetwork": theEndpoint,
		"NetworkDriver.CreateEndpoint": createEnd,
		"NetworkDriver.DeleteEndpoint": theEndpoint, "NetworkDriver.Join": theEndpoint,
		"IpamDriver.RequestPool": `{}`, "IpamDriver.ReleasePool": `{"PoolID":"default|10.40.0.0/24"}`,
		"IpamDriver.RequestAddress": `{"PoolID":"default|10.40.0.0/24"}`,
		"IpamDriver.ReleaseAddress": `{"PoolID":"default|10.40.0.0/24","Address":"10.40.0.9"}`,
	}
	for method, request := range calls {
		t.Run(method, func(t *testing.T) {
			r := newRig(func(c *Config) { c.Timeout = shortly })
			r.store.hang = true
			r.refused(t, method, request, "etcd: no answer within 50ms", "ovsnet status")
		})
	}
	t.Run("loop", func(t *testing.T) {
		r := joinReady(t)
		r.Timeout = shortly
		r.loop.hang = true
		r.refused(t, "NetworkDriver.Join", theEndpoint, "Open vSwitch: no answer within 50ms")
		if len(r.links.links) > 0 {
			t.Errorf("left behind after the deadline: %v", r.links.links)
		}
	})
}

func TestMalformed(t *testing.T) {
	r := newRig()
	for method := range r.networkCalls() {
		if _, answer := r.call("NetworkDriver."+method, ``); strings.Contains(answer, "panic") {
			t.Errorf("%s panics on an empty body: %s", method, answer)
		}
	}
	for _, c := range []struct {
		method, body string
		status       int
		words        string
	}{
		{"NetworkDriver.CreateNetwork", `{`, http.StatusBadRequest, `"Err":"the request is not the JSON`},
		{"NetworkDriver.CreateNetwork", `[]`, http.StatusBadRequest, `cannot unmarshal array`},
		{"NetworkDriver.CreateNetwork", `{"NetworkID":7}`, http.StatusBadRequest, `NetworkID`},
		{"NetworkDriver.CreateNetwork", ``, http.StatusBadRequest, `NetworkID is missing`},
		{"NetworkDriver.CreateNetwork", `null`, http.StatusBadRequest, `NetworkID is missing`},
		{"NetworkDriver.CreateNetwork", createNet + "x", http.StatusBadRequest, `invalid character`},
		{"NetworkDriver.CreateEndpoint", `{"NetworkID":"n1","EndpointID":""}`, http.StatusBadRequest, `EndpointID is missing`},
		{"IpamDriver.RequestPool", `{"Pool":`, http.StatusBadRequest, `"Error":"the request is not the JSON`},
		{"IpamDriver.RequestPool", `"` + strings.Repeat("x", maxBody) + `"`, http.StatusRequestEntityTooLarge, "too large"},
		{"NetworkDriver.Unheard", `{}`, http.StatusNotFound, "not found"},
	} {
		status, answer := r.call(c.method, c.body)
		if status != c.status || !strings.Contains(answer, c.words) {
			t.Errorf("%s %.40s: status %d, answer %s; want %d with %q", c.method, c.body, status, answer, c.status, c.words)
		}
	}
	get := httptest.NewRecorder()
	r.Handler().ServeHTTP(get, httptest.NewRequest(http.MethodGet, "/Plugin.Activate", nil))
	if get.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET answers %d", get.Code)
	}
	r.store.empty(t)
}

// panicking is a store that a bug runs through.
type panicking struct{ Networks }

func (panicking) Detach(context.Context, string, string) error { panic("index out of range") }

func TestPanicIsOneCallsError(t *testing.T) {
	r := newRig(func(c *Config) { c.Networks = panicking{c.Networks} })
	r.refused(t, "NetworkDriver.DeleteNetwork", `{"NetworkID":"n1"}`, "internal error", "index out of range")
	if log := r.log.String(); !strings.Contains(log, "server_test.go") {
		t.Errorf("the log lacks the stack:\n%s", log)
	}
	r.must(t, "NetworkDriver.CreateNetwork", createNet)
}

func TestLog(t *testing.T) {
	r := newRig()
	r.must(t, "NetworkDriver.CreateNetwork", strings.ReplaceAll(createNet, "n1", "0123456789abcdef"))
	r.refused(t, "NetworkDriver.CreateEndpoint", createEnd, "not known")
	for _, words := range []string{"level=INFO", "method=NetworkDriver.CreateNetwork", "took=", "docker_network=0123456789ab\n", "level=WARN", "endpoint=e1", "error="} {
		if !strings.Contains(r.log.String(), words) {
			t.Errorf("%q is missing in the log:\n%s", words, r.log)
		}
	}
}

// TestServe ends with its context, after the call that still runs.
func TestServe(t *testing.T) {
	defer goleak.VerifyNone(t)
	r := joinReady(t)
	path := filepath.Join(t.TempDir(), "ovsnet.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	r.Loop = &gate{Loop: r.Loop, entered: entered, release: release}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, listener) }()

	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	answered := make(chan string, 1)
	go func() {
		response, err := (&http.Client{Transport: transport}).Post("http://plugin/NetworkDriver.Join", "application/json", strings.NewReader(theEndpoint))
		if err != nil {
			answered <- err.Error()
			return
		}
		body, err := io.ReadAll(response.Body)
		answered <- string(body) + errorText(errors.Join(err, response.Body.Close()))
	}()
	<-entered
	stop()
	await(t, "the socket to close", func() (string, bool) {
		_, err := os.Lstat(path)
		return fmt.Sprint(err), os.IsNotExist(err)
	})
	close(release)
	if answer := <-answered; !strings.Contains(answer, "InterfaceName") {
		t.Errorf("the call that ran was answered %s", answer)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// gate is a loop whose WaitEndpoint says when it was entered and returns when
// it may.
type gate struct {
	Loop
	entered, release chan struct{}
}

func (g *gate) WaitEndpoint(context.Context, overlay.Endpoint, int) error {
	close(g.entered)
	<-g.release
	return nil
}

// FuzzCalls sends any bytes to any method: an answer comes, and no
// panic.
func FuzzCalls(f *testing.F) {
	for _, name := range []string{"full", "foreign", "refused"} {
		for _, e := range readTranscript(f, filepath.Join("testdata", name+".transcript")) {
			f.Add(e.method, []byte(e.request))
		}
	}
	f.Add("NetworkDriver.CreateNetwork", []byte(`{"NetworkID":"n","IPv4Data":[null],"Options":{"com.docker.network.generic":{"a":null}}}`))
	f.Fuzz(func(t *testing.T, method string, body []byte) {
		r := newRig()
		network, isNetwork := r.networkCalls()[strings.TrimPrefix(method, "NetworkDriver.")]
		ipam, isIPAM := r.ipamCalls()[strings.TrimPrefix(method, "IpamDriver.")]
		if !isNetwork && !isIPAM {
			return
		}
		r.must(t, "NetworkDriver.CreateNetwork", createNet)
		for _, c := range []call{network, ipam} {
			if c == nil {
				continue
			}
			answer, err := c(t.Context(), body)
			if _, jsonErr := json.Marshal(answer); err == nil && jsonErr != nil {
				t.Errorf("%s %q: the answer is no JSON: %v", method, body, jsonErr)
			}
		}
	})
}
