package sockets

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
)

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plugins", "ovsnet.sock")
	first, err := Listen(t.Context(), "plugin socket", path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket is %v (%v), want mode 0600", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v (%v), want the socket alone", entries, err)
	}

	_, err = Listen(t.Context(), "plugin socket", path)
	checkConflict(t, err, path, "another process answers")

	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket outlives its listener: %v", err)
	}
}

func TestListenReplacesStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ovsnet.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(t.Context(), "plugin socket", path)
	if err != nil {
		t.Fatal(err)
	}
	// A later agent's socket in the same place is not this one's to remove.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	later, err := Listen(t.Context(), "plugin socket", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the later socket went with the earlier listener: %v", err)
	}
	if err := later.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestListenKeepsOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ovsnet.sock")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Listen(t.Context(), "plugin socket", path)
	checkConflict(t, err, path, "no socket")
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("the file now has %q (%v)", text, err)
	}
}

func checkConflict(t *testing.T, err error, path, cause string) {
	t.Helper()
	if !overlay.IsKind(err, overlay.Conflict) || !strings.Contains(err.Error(), "plugin socket "+path) || !strings.Contains(err.Error(), cause) {
		t.Errorf("got %v, want a conflict of the plugin socket %s because %s", err, path, cause)
	}
}
