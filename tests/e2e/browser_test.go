//go:build !emulated

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ovsnet/ovsnet/tests/lab"
)

// browser is a page in a real Chromium without a window, on a host of a lab. It is driven by the Chrome DevTools
// Protocol over pipes, so that nothing listens.
type browser struct {
	t       *testing.T
	to      io.Writer
	session string

	mu      sync.Mutex
	next    int
	waiting map[int]chan message
	// events are what the page did that a test looks at afterwards.
	events []message
	ended  error
}

// message is one message of the protocol, either way.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// openBrowser starts Chromium on the host with one empty page. As root it has no sandbox of its own; it sees
// only what the tests serve.
func openBrowser(t *testing.T, h *lab.Host) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("scripts/deps-browser installs it: %v", err)
	default:
		t.Skip("needs chromium, which scripts/deps-browser installs")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := h.Command(ctx, "sh", "-c", "exec "+program+` "$@" 3<&0 4>&1 </dev/null >/dev/null`, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
		"--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run", "--hide-scrollbars", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, to: in, waiting: map[int]chan message{}}
	read := make(chan struct{})
	go func() { defer close(read); b.read(out) }()
	t.Cleanup(func() {
		cancel()
		<-read
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("chromium said: %s", complaints.String())
		}
	})
	target := call[struct{ TargetID string }](b, "Target.createTarget", map[string]any{"url": "about:blank"})
	b.session = call[struct{ SessionID string }](b, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}).SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		call[struct{}](b, domain+".enable", nil)
	}
	return b
}

// read hands each message to who waits for it.
func (b *browser) read(from io.Reader) {
	messages := bufio.NewReader(from)
	var err error
	for err == nil {
		var text []byte
		if text, err = messages.ReadBytes(0); err == nil {
			var m message
			if err = json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err == nil {
				b.take(m)
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = err
	for _, waiting := range b.waiting {
		close(waiting)
	}
}

func (b *browser) take(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if waiting := b.waiting[m.ID]; m.ID > 0 && waiting != nil {
		delete(b.waiting, m.ID)
		waiting <- m
		return
	}
	switch m.Method {
	case "Log.entryAdded", "Runtime.exceptionThrown", "Network.requestWillBeSent":
		b.events = append(b.events, m)
	}
}

// call calls a method of the page, or of the browser while there is no page.
func call[T any](b *browser, method string, params any) T {
	b.t.Helper()
	var result T
	answer, err := b.ask(method, params)
	if err == nil {
		err = json.Unmarshal(answer, &result)
	}
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	return result
}

func (b *browser) ask(method string, params any) (json.RawMessage, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	waiting := make(chan message, 1)
	b.mu.Lock()
	b.next++
	m := message{ID: b.next, Session: b.session, Method: method}
	if params != nil {
		m.Params = raw
	}
	b.waiting[m.ID] = waiting
	ended := b.ended
	b.mu.Unlock()
	text, err := json.Marshal(m)
	if err = errors.Join(err, ended); err != nil {
		return nil, err
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), commandPatience)
	defer cancel()
	select {
	case answer, open := <-waiting:
		switch {
		case !open:
			return nil, errors.New("the browser has ended")
		case answer.Error != nil:
			return nil, errors.New(answer.Error.Message)
		}
		return answer.Result, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open shows a page in a window of that width, light or dark.
func (b *browser) open(url string, width int, scheme string) {
	b.t.Helper()
	b.window(width, 900)
	call[struct{}](b, "Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}}})
	if to := call[struct{ ErrorText string }](b, "Page.navigate", map[string]any{"url": url}); to.ErrorText != "" {
		b.t.Fatalf("%s: %s", url, to.ErrorText)
	}
}

func (b *browser) window(width, height int) {
	b.t.Helper()
	call[struct{}](b, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false})
}

// value evaluates an expression in the page and returns its value as text.
func (b *browser) value(expression string) string {
	b.t.Helper()
	answer := call[struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Text string }
	}](b, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true})
	if answer.ExceptionDetails != nil {
		return "exception: " + answer.ExceptionDetails.Text
	}
	return fmt.Sprint(answer.Result.Value)
}

// shows waits until an expression of the page is true.
func (b *browser) shows(what, expression string) {
	b.t.Helper()
	within(b.t, 4*statePatience, "the page shows "+what, func() (string, bool) {
		ok := b.value(expression)
		if ok == "true" {
			return "", true
		}
		return ok + "; it says " + b.value("document.body.innerText"), false
	})
}

// click presses and releases the mouse on the middle of the first element that the selector finds.
func (b *browser) click(selector string) {
	b.t.Helper()
	quoted := strconv.Quote(selector)
	at := b.value(`(() => { const e = document.querySelector(` + quoted + `); if (!e) return "none"; e.scrollIntoView({block: "center"});
		const r = e.getBoundingClientRect(); return (r.x + r.width / 2) + " " + (r.y + r.height / 2); })()`)
	var x, y float64
	if _, err := fmt.Sscan(at, &x, &y); err != nil {
		b.t.Fatalf("nothing to click at %s: %s", selector, at)
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		call[struct{}](b, "Input.dispatchMouseEvent", map[string]any{"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1})
	}
}

// picture takes a screenshot of the page down to an element's end, and keeps it in the directory of
// OVSNET_PICTURES where that is set.
func (b *browser) picture(name string, width int, until string) {
	b.t.Helper()
	height, err := strconv.ParseFloat(b.value(`window.scrollTo(0, 0), Math.ceil(document.querySelector(`+strconv.Quote(until)+`).getBoundingClientRect().bottom + 16)`), 64)
	if err != nil || height < 100 {
		b.t.Fatalf("%s ends at %v (%v)", until, height, err)
	}
	b.window(width, int(height))
	shot := call[struct{ Data string }](b, "Page.captureScreenshot", map[string]any{"format": "png", "optimizeForSpeed": false})
	image, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		image, err = smaller(image)
	}
	if err != nil {
		b.t.Fatalf("no picture: %v", err)
	}
	if dir := os.Getenv("OVSNET_PICTURES"); dir != "" {
		if err := os.WriteFile(dir+"/"+name, image, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// behaved checks what the page did: no error, nothing that its policy forbids, and no request but to who served it.
func (b *browser) behaved(origin string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.events {
		text := string(m.Params)
		var asked struct{ Request struct{ URL string } }
		if m.Method != "Network.requestWillBeSent" {
			if !strings.Contains(text, "favicon.ico") {
				b.t.Errorf("%s: %s", m.Method, text)
			}
		} else if err := json.Unmarshal(m.Params, &asked); err != nil || !strings.HasPrefix(asked.Request.URL, origin) && !strings.HasPrefix(asked.Request.URL, "about:") {
			b.t.Errorf("the page asks for %s (%v)", asked.Request.URL, err)
		}
	}
	b.events = nil
}
