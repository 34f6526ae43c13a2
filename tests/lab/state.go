package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ovsnet/ovsnet/tests/lab/machine"
)

// The files directly in a lab's directory. The options come first, before any process runs; upFile is there while the
// lab is complete.
const (
	optionsFile = "lab.json"
	upFile      = "up"
	imageFile   = "tools.tar"
	pkiDir      = "pki"
)

// initRecord is the record of a machine's init, beside those of its daemons.
const initRecord ProcessName = "init"

// lockPatience is how long a lab's lock is waited for: whoever was killed a moment ago may still hold it.
const lockPatience = 3 * time.Second

// pollStep is the shortest pause between two looks at a condition.
const pollStep = 30 * time.Millisecond

// poll looks at a condition until it holds, the context ends, or it fails for good (done with an error). It pauses twice
// as long as a look took, so that on a slow machine looking does not slow down what is waited for. When it gives up the
// error says what the condition last said.
func poll(ctx context.Context, look func(context.Context) (done bool, err error)) error {
	for {
		began := time.Now()
		done, err := look(ctx)
		if done {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(max(pollStep, 2*time.Since(began))):
		}
	}
}

// lock takes the lab's directory for one up or down at a time. It creates the directory when create is set; without a
// directory the answer is fs.ErrNotExist. The kernel frees the lock when its holder ends, however it ends.
func lock(ctx context.Context, dir string, create bool) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	var held *os.File
	err := poll(ctx, func(context.Context) (bool, error) {
		if create {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return true, fmt.Errorf("make the lab's directory: %w", err)
			}
		}
		f, err := os.Open(dir)
		if err != nil {
			return true, fmt.Errorf("open the lab's directory: %w", err)
		}
		if held, err = tryLock(f, dir); err != nil {
			return false, fmt.Errorf("another ovsnet-lab works on the lab in %s: %w", dir, err)
		}
		return held != nil, nil
	})
	return held, err
}

// tryLock locks f unless another has it. It answers nil without an error when dir was removed in the meantime.
func tryLock(f *os.File, dir string) (*os.File, error) {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	mine, err := f.Stat()
	if err == nil {
		var current os.FileInfo
		if current, err = os.Stat(dir); err == nil && os.SameFile(mine, current) {
			return f, nil
		}
	}
	f.Close()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return nil, nil
}

// writeJSON replaces a file in one step.
func writeJSON(path string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path+".new", data, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(path+".new", path)
}

func readJSON(path string, value any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func recordPath(hostDir string, name ProcessName) string {
	return filepath.Join(hostDir, "pid", string(name)+".json")
}

func record(hostDir string, name ProcessName, p machine.Process) error {
	return writeJSON(recordPath(hostDir, name), p)
}

// recorded gives the process that was last started under this name; it may have ended since.
func recorded(hostDir string, name ProcessName) (machine.Process, error) {
	var p machine.Process
	err := readJSON(recordPath(hostDir, name), &p)
	return p, err
}

// running says whether the process that was last started under this name still runs.
func running(hostDir string, name ProcessName) bool {
	p, err := recorded(hostDir, name)
	return err == nil && p.Alive()
}
