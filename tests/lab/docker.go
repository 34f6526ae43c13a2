package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// ImageName is the image that every dockerd of a lab has. Its default command sleeps until it is told to stop.
const ImageName = "ovsnet/tools"

// imageCommand sleeps as a shell, which reaps what `docker exec` leaves behind and ends at once on SIGTERM.
const imageCommand = `CMD ["/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"]`

// engine is the API of one host's dockerd, in the few words that the lab needs.
type engine struct {
	client http.Client
}

func (h *Host) docker() engine {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, err := h.Path(dockerSocket)
		if err != nil {
			return nil, err
		}
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return engine{client: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// dockerTries bounds how often dockerd is started on the way up, containerdLate is what it says when it has given up on
// its containerd. It waits 15 s for that, which a machine that starts many hosts at once may not keep; a real host's
// systemd starts it again too.
const (
	dockerTries    = 5
	containerdLate = "timeout waiting for containerd to start"
)

func (h *Host) startDocker(ctx context.Context) error {
	for try := 1; ; try++ {
		err := h.startReady(ctx, Dockerd)
		if err == nil || try == dockerTries || h.Running(Dockerd) || !strings.Contains(err.Error(), containerdLate) {
			return err
		}
	}
}

func (e engine) ping(ctx context.Context) error {
	_, err := e.call(ctx, http.MethodGet, "/_ping", nil)
	return err
}

// importImage loads the archive as an image, as `docker import` does (Docker Engine API, ImageCreate with fromSrc).
func (e engine) importImage(ctx context.Context, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return fmt.Errorf("import %s: %w", ImageName, err)
	}
	defer f.Close()
	query := url.Values{"fromSrc": {"-"}, "repo": {ImageName}, "tag": {"latest"}, "changes": {imageCommand}}
	answer, err := e.call(ctx, http.MethodPost, "/images/create?"+query.Encode(), f)
	if err != nil {
		return fmt.Errorf("import %s: %w", ImageName, err)
	}
	return importResult(answer)
}

// importResult finds the error in the stream of progress messages that an import answers.
func importResult(answer []byte) error {
	messages := json.NewDecoder(bytes.NewReader(answer))
	for {
		var m struct{ Error string }
		err := messages.Decode(&m)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("import %s: read dockerd's answer %q: %w", ImageName, answer, err)
		}
		if m.Error != "" {
			return fmt.Errorf("import %s: dockerd says: %s", ImageName, m.Error)
		}
	}
}

func (e engine) call(ctx context.Context, method, path string, body io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, body)
	if err != nil {
		return nil, err
	}
	response, err := e.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("dockerd answers %s: %s", response.Status, bytes.TrimSpace(answer))
	}
	return answer, nil
}
