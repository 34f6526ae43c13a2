package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// postPlugin sends what Docker could send to the host's plugin, and gives status and body of the answer.
func postPlugin(t *testing.T, h *lab.Host, call, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, err := h.Path(pluginSocket)
		if err != nil {
			return nil, err
		}
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://plugin"+call, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// callPlugin is postPlugin for what must succeed.
func callPlugin(t *testing.T, h *lab.Host, call, body string) map[string]any {
	t.Helper()
	status, text := postPlugin(t, h, call, body)
	if status != http.StatusOK {
		t.Fatalf("%s on %s answers %d %s", call, h.Name, status, text)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}
