package docker

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

// SocketPath is where Docker finds the plugin; the file's name without its
// ending is the name of the driver.
const SocketPath = "/run/docker/plugins/ovsnet.sock"

// Listen opens the plugin's socket at path, readable and writable by its owner
// only, and makes its directory where that is missing. What a dead agent left
// behind is replaced; a socket on which somebody answers is refused. Closing
// the listener removes the file.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make the plugin socket's directory: %w", err)
	}
	if err := refuseLive(ctx, path); err != nil {
		return nil, err
	}
	// The socket gets its name only when its mode is right and it is listening,
	// so that nobody ever finds it otherwise. Docker looks for names that end in
	// ".sock".
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the plugin socket of an earlier start: %w", err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", fresh)
	if err != nil {
		return nil, fmt.Errorf("listen on the plugin socket: %w", err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(fresh, 0o600), os.Rename(fresh, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("open the plugin socket %s: %w", path, err), listener.Close(), os.Remove(fresh))
	}
	made, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the plugin socket %s: %w", path, err), listener.Close())
	}
	return &socket{Listener: listener, path: path, made: made}, nil
}

// refuseLive refuses a path that is taken by something other than a socket that
// nobody listens on.
func refuseLive(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the plugin socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return overlay.Refuse(overlay.Conflict, "plugin socket "+path, "move the file away, or choose another path", "a file that is no socket is in its place")
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case err != nil:
		return fmt.Errorf("find out whether the plugin socket %s is in use: %w", path, err)
	}
	return errors.Join(
		overlay.Refuse(overlay.Conflict, "plugin socket "+path, "stop the other agent first", "another process answers on it"),
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
