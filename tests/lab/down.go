package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
)

// Down ends the lab and removes everything of it: processes, namespaces, links, mounts, control groups and files. It
// works on a lab in any state, also a half-made one, and without a lab it does nothing. Empty arguments are the
// defaults; progress may be nil.
func Down(ctx context.Context, stateDir, name string, progress io.Writer) error {
	name = or(name, DefaultName)
	if err := checkName(name); err != nil {
		return err
	}
	dir := filepath.Join(or(stateDir, DefaultStateDir), name)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := checkRoot(); err != nil {
		return fmt.Errorf("take lab %s down: %w", name, err)
	}
	held, err := lock(ctx, dir, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer held.Close()
	return newProgress(progress).step("", "lab "+name+" taken down", func() error { return clean(ctx, dir, name) })
}

// clean removes all of the lab whose locked directory is dir.
func clean(ctx context.Context, dir, name string) error {
	// From here on nobody must take the lab for complete.
	if err := os.Remove(filepath.Join(dir, upFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take lab %s down: %w", name, err)
	}
	if err := endMachines(ctx, dir); err != nil {
		return fmt.Errorf("take lab %s down: %w", name, err)
	}
	if err := removeCgroups(ctx, cgroupMount, name); err != nil {
		return fmt.Errorf("take lab %s down: %w", name, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("take lab %s down: %w", name, err)
	}
	// The directory of all labs goes with the last one.
	_ = os.Remove(filepath.Dir(dir))
	return nil
}

// endMachines kills the init of every machine that ever was in the lab. When an init is gone, so is all inside it.
func endMachines(ctx context.Context, dir string) error {
	records, err := filepath.Glob(recordPath(filepath.Join(dir, "*"), initRecord))
	if err != nil {
		return fmt.Errorf("list the machines: %w", err)
	}
	var group errgroup.Group
	for _, path := range records {
		hostDir := filepath.Dir(filepath.Dir(path))
		group.Go(func() error {
			init, err := recorded(hostDir, initRecord)
			if err != nil {
				return err
			}
			err = init.Signal(syscall.SIGKILL)
			if errors.Is(err, os.ErrProcessDone) || errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("end %s: %w", filepath.Base(hostDir), err)
			}
			return init.Wait(ctx)
		})
	}
	return group.Wait()
}

// State is how a lab or one of its hosts stands, for lists.
type State string

// The states: everything runs; something that should run does not; up did not finish, or the machine crashed.
const (
	StateUp      State = "up"
	StatePartial State = "partial"
	StateBroken  State = "broken"
)

// List gives the names of the labs below stateDir, in order.
func List(stateDir string) ([]string, error) {
	entries, err := os.ReadDir(or(stateDir, DefaultStateDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the labs: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
