package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/overlay"
)

// What is captured goes to a file that its owner alone can read, and to no other place that somebody prepared.
func TestCreatePrivate(t *testing.T) {
	dir := t.TempDir()
	plain, link, second := filepath.Join(dir, "plain"), filepath.Join(dir, "link"), filepath.Join(dir, "second")
	if err := os.WriteFile(plain, []byte("what was there before, and is longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{plain, filepath.Join(dir, "new")} {
		f, err := createPrivate(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("packets")); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 || string(text) != "packets" {
			t.Errorf("%s: mode %v, %q, %v", path, info.Mode(), text, err)
		}
	}
	if err := os.Symlink(plain, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(plain, second); err != nil {
		t.Fatal(err)
	}
	refused := []string{link, second, plain, dir, filepath.Join(dir, "nowhere", "file")}
	if os.Geteuid() == 0 {
		theirs := filepath.Join(dir, "theirs")
		if err := os.WriteFile(theirs, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(theirs, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		refused = append(refused, theirs)
	}
	for _, path := range refused {
		if _, err := createPrivate(path); !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%s: error %v", path, err)
		}
	}
	if text, err := os.ReadFile(plain); err != nil || string(text) != "packets" {
		t.Errorf("a file that was refused has changed: %q, %v", text, err)
	}
}

// What cannot be meant is refused before anybody is asked.
func TestCaptureRefuses(t *testing.T) {
	for line, said := range map[string]string{
		"":                          "name a container, or the word tunnel",
		"one --snap 0":              "use 1 to 262144",
		"one --node h2 --snap 1501": "use 1 to 1500",
		"one --count 0":             "that is nothing",
		"one --node=":               "name a host",
		"tunnel --vxlan-port 0":     "no such port",
		"one --write=":              "name a file",
		"one -o yaml":               "unknown format",
		"one --no-such-flag":        "see ovsnet capture --help",
	} {
		var out, errs bytes.Buffer
		status := run(t.Context(), append([]string{"ovsnet", "capture"}, strings.Fields(line)...), &out, &errs)
		if status != 2 || !strings.Contains(errs.String(), said) || out.Len() > 0 {
			t.Errorf("%q: status %d, printed %q, complained %q", line, status, &out, &errs)
		}
	}
}

// Whoever asks on the right host is not sent there.
func TestUnlinked(t *testing.T) {
	e := overlay.Endpoint{ID: "e1", Node: "h1", Names: []string{"one"}}
	for here, said := range map[string]string{"h1": "start its container again", "h2": "use --node h1, or run ovsnet capture on h1"} {
		if err := unlinked(e, here); !overlay.IsKind(err, overlay.Missing) || !strings.Contains(err.Error(), said) {
			t.Errorf("on %s: %v", here, err)
		}
	}
}

// What another host's agent tells may be anything.
func TestReceived(t *testing.T) {
	for event, good := range map[string]bool{
		`{"at":"2026-11-26T08:00:00Z","out":true,"length":98,"data":"AAAA"}`:                      true,
		`{"length":98,"data":"AAAA","envelope":{"src":"192.0.2.1","dst":"192.0.2.2","vni":4096}}`: true,
		`{"length":2,"data":"AAAA"}`:       false,
		`{"length":-1}`:                    false,
		`{"length":9999999,"data":"AAA="}`: false,
		`{"length":"x"}`:                   false,
		`7`:                                false,
	} {
		i := agent.NewClient(control(t, reporter{events: []string{event}})).Inspector
		f, err := i.Follow(t.Context(), "h1", agent.Wanted{Packets: &agent.Tapping{}})
		if err != nil {
			t.Fatal(err)
		}
		wrapped := strings.Contains(event, "envelope")
		p, e, err := received(t.Context(), f, wrapped)
		if good != (err == nil) || good && (p.Length != 98 || len(p.Data) != 3 || e.Src.IsValid() != wrapped) {
			t.Errorf("%s: %+v, %+v, %v", event, p, e, err)
		}
		if lost, err := (followed{t.Context(), f}).Dropped(); lost != 2 || err != nil {
			t.Errorf("%d lost, %v", lost, err)
		}
	}
	i := agent.NewClient(control(t, reporter{events: []string{`{"length":98}`}})).Inspector
	f, err := i.Follow(t.Context(), "h1", agent.Wanted{Packets: &agent.Tapping{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := received(t.Context(), f, true); err == nil {
		t.Error("a tunnel packet without its envelope is taken")
	}
}

// What the disk has no room for is not there by half: the packets before it are a whole file.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "packets")
	f, err := createPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write(make([]byte, 2*os.Getpagesize())); n != 0 || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%d bytes of a packet are said to be written, error %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 100 {
		t.Errorf("the file has %d bytes, want 100, %v", info.Size(), err)
	}
}
