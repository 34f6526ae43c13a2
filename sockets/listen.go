// Package sockets opens the Unix sockets on which the agent is asked.
//
// A socket appears under its name only when it is listening and has its mode,
// so that nobody ever finds it otherwise. A name that is in use is never taken
// from whoever has it: what answers is refused, what is no socket is refused
// and left alone, and only what a dead process left behind is replaced.
package sockets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/ovsnet/ovsnet/overlay"
)

// Listen opens a socket at path, readable and writable by its owner only, and
// makes its directory where that is missing. what names the socket in errors:
// "plugin socket". One that a dead process left behind is replaced. A socket on
// which somebody answers, and a file that is no socket, are Refusals of kind
// Conflict. Closing the listener removes the file.
func Listen(ctx context.Context, what, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory of %s %s: %w", what, path, err)
	}
	if err := refuseLive(ctx, what, path); err != nil {
		return nil, err
	}
	// The process ID at the end keeps two starts apart, and Docker, which looks for
	// names that end in ".sock", from finding the plugin too early.
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the %s of an earlier start: %w", what, err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", fresh)
	if err != nil {
		return nil, fmt.Errorf("listen on %s %s: %w", what, path, err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(fresh, 0o600), os.Rename(fresh, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s %s: %w", what, path, err), listener.Close(), os.Remove(fresh))
	}
	made, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s %s: %w", what, path, err), listener.Close())
	}
	return &socket{Listener: listener, path: path, made: made}, nil
}

// refuseLive refuses a path that is taken by something other than a socket that
// nobody listens on.
func refuseLive(ctx context.Context, what, path string) error {
	object := what + " " + path
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at %s: %w", object, err)
	case info.Mode().Type() != fs.ModeSocket:
		return overlay.Refuse(overlay.Conflict, object, "move the file away, or choose another path", "a file that is no socket is in its place")
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case err != nil:
		return fmt.Errorf("find out whether %s is in use: %w", object, err)
	}
	return errors.Join(
		overlay.Refuse(overlay.Conflict, object, "stop the other agent first, or choose another path", "another process answers on it"),
		conn.Close())
}

// socket is a listener that removes its file, unless a later agent has replaced
// it by then.
type socket struct {
	net.Listener
	path string
	made os.FileInfo
	once sync.Once
}

// Close stops listening and removes the file.
func (s *socket) Close() error {
	err := s.Listener.Close()
	s.once.Do(func() {
		if now, statErr := os.Lstat(s.path); statErr == nil && os.SameFile(now, s.made) {
			err = errors.Join(err, os.Remove(s.path))
		}
	})
	return err
}
