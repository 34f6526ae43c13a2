//go:build emulated

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// bootPatience is for a machine that others use too.
const bootPatience = 10 * time.Minute

// cache is where scripts/deps-kernel puts the kernel.
const cache = "/var/cache/ovsnet/kernel"

// TestMain makes the test binary its own helper.
func TestMain(m *testing.M) {
	if ours, code, err := Stage(os.Args); ours {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func bootOptions(t *testing.T, script string) (o Options, stdout, stderr *bytes.Buffer) {
	t.Helper()
	kernel, err := FindKernel(cache)
	if err != nil {
		t.Fatal(err)
	}
	helper, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return Options{Kernel: kernel, Helper: helper, Argv: []string{"sh", "-c", script}, Stdout: stdout, Stderr: stderr}, stdout, stderr
}

// One machine shows all that a command sees: booting is what takes long.
func TestCommandRunsAsIfHere(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bootPatience)
	defer cancel()
	// It is in /tmp, which the guest otherwise has for itself, and on a file system of its own.
	work := t.TempDir()
	if err := mount("work", work, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(work, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(work, "file"), []byte("as it is here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const program = `#!/bin/sh
		cat file; echo changed >file; cat file; echo $SETTING; pwd; uname -r
		echo complaint >&2
		modprobe openvswitch && modprobe vport-vxlan && test -d /sys/module/vport_vxlan && echo modules
		stat -f -c %T /var/lib/own; ls -A /var/lib/own; ip -br link show lo | grep -c UP
		ping -c 1 -W 9 127.0.0.1 >/dev/null && echo answered
		grep -qw cx16 /proc/cpuinfo || echo none that QEMU gets wrong
		sleep 3600 & setsid sleep 3600 &
		exit 7`
	if err := os.WriteFile(filepath.Join(work, "program"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	o, stdout, stderr := bootOptions(t, "")
	o.Argv = []string{"./program"}
	o.Dir, o.Env, o.Tmpfs = work, []string{"SETTING=set"}, []string{"/var/lib/own"}
	status, err := Run(ctx, o)
	if err != nil || status != 7 {
		t.Errorf("got status %d, %v; want 7", status, err)
	}
	want := "as it is here\nchanged\nset\n" + work + "\n" + o.Kernel.Version + "\nmodules\ntmpfs\n1\nanswered\nnone that QEMU gets wrong\n"
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Error(diff)
	}
	if stderr.String() != "complaint\n" {
		t.Errorf("standard error is %q", stderr)
	}
	if data, err := os.ReadFile(filepath.Join(work, "file")); string(data) != "as it is here\n" {
		t.Errorf("the file here is %q, %v", data, err)
	}
	if _, err := os.Stat("/var/lib/own"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the guest's directory is here: %v", err)
	}
}

func TestEveryEndIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		argv   []string
		status int
		bad    string
	}{
		"a signal":     {argv: []string{"sh", "-c", "kill -9 $$"}, status: 137},
		"not found":    {argv: []string{"no-such-program"}, bad: "no-such-program"},
		"a dead guest": {argv: []string{"sh", "-c", "echo c >/proc/sysrq-trigger; sleep 60"}, bad: "sysrq triggered crash"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), bootPatience)
			defer cancel()
			o, _, _ := bootOptions(t, "")
			o.Argv = c.argv
			status, err := Run(ctx, o)
			if status != c.status || (err != nil) != (c.bad != "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Errorf("got %d, %v; want %d and %q", status, err, c.status, c.bad)
			}
		})
	}
}

// watcher ends the machine as soon as the command has said something.
type watcher struct{ cancel context.CancelCauseFunc }

func (w watcher) Write(p []byte) (int, error) {
	w.cancel(errors.New("seen enough"))
	return len(p), nil
}

func TestGivenUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), bootPatience)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	o, _, _ := bootOptions(t, "echo up; sleep 3600")
	o.Stdout = watcher{giveUp}
	if _, err := Run(ctx, o); err == nil || !strings.Contains(err.Error(), "seen enough") {
		t.Errorf("got %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), " "+exported+" ") {
		t.Errorf("something is mounted on %s, or %v", exported, err)
	}
}
