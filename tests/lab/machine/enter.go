package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exit codes of a [Command] that are not the program's own, as docker exec and the shell have them. A program that a
// signal ended counts as 128 plus the signal's number.
const (
	ExitNoMachine  = 125
	ExitCannotRun  = 126
	ExitNotFound   = 127
	exitSignalBase = 128
)

// waitDelay bounds how long a command's output is read after its end.
const waitDelay = 5 * time.Second

// Entry says what to run in which machine.
type Entry struct {
	// Init is the machine's init.
	Init Process `json:"init"`
	// Argv is the program, looked up in PATH inside the machine, and its arguments.
	Argv []string `json:"argv"`
	// Log makes the program a daemon: a session of its own, no input, output appended to this file, its number outside
	// printed, and the helper does not wait for it.
	Log string `json:"log,omitempty"`
}

// Command gives a command that runs argv in the machine with exactly the environment env. It behaves as if the program
// ran here: its exit code, its standard streams and terminal, signals sent to it; when it is killed, so is the program.
// The working directory is the caller's where the machine has it, else /.
func Command(ctx context.Context, helper string, e Entry, env []string) (*exec.Cmd, error) {
	arg, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode the entry into the machine: %w", err)
	}
	cmd := exec.CommandContext(ctx, helper, enterCommand, string(arg))
	cmd.Env = env
	// A program may leave children that hold its output open; nobody must wait for them forever.
	cmd.WaitDelay = waitDelay
	return cmd, nil
}

// Start runs a program as a daemon in the machine (Entry.Log must be set) and returns once it is started.
func Start(ctx context.Context, helper string, e Entry, env []string) (Process, error) {
	cmd, err := Command(ctx, helper, e, env)
	if err != nil {
		return Process{}, err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return Process{}, fmt.Errorf("start %s: %w: %s", e.Argv[0], err, strings.TrimSpace(stderr.String()))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return Process{}, fmt.Errorf("start %s: the helper answered %q: %w", e.Argv[0], out, err)
	}
	p, err := Identify(pid)
	if err != nil {
		return Process{}, fmt.Errorf("start %s: it ended at once, see %s: %w", e.Argv[0], e.Log, err)
	}
	return p, nil
}

// enter joins the machine, runs the program and returns its exit code. It must be called from a process of its own:
// the thread that calls it stays in the machine. With an error the code is one of the Exit constants.
func enter(helper, entry string, stdout io.Writer) (int, error) {
	var e Entry
	if err := json.Unmarshal([]byte(entry), &e); err != nil || len(e.Argv) == 0 {
		return ExitNoMachine, fmt.Errorf("enter a machine: bad entry %q: %w", entry, err)
	}
	runtime.LockOSThread()
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	if err := join(e.Init); err != nil {
		return ExitNoMachine, err
	}
	path, err := exec.LookPath(e.Argv[0])
	if err != nil {
		return notRunnable(err), fmt.Errorf("run in the machine: %w", err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		dir = "/"
	}
	if e.Log != "" {
		return detached(helper, path, e, stdout)
	}
	return attached(helper, path, dir, e.Argv)
}

// join moves the calling thread into the machine; children that it starts from now on are born there.
func join(init Process) error {
	fd, err := init.open()
	if err != nil {
		return fmt.Errorf("enter the machine: its init is gone: %w", err)
	}
	defer unix.Close(fd)
	// A mount namespace can only be joined by a thread that shares its file system state with no other.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("enter the machine: unshare the file system state: %w", err)
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWPID|unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("enter the machine: setns: %w (root is needed, and Linux 5.8)", err)
	}
	return nil
}

func attached(helper, path, dir string, argv []string) (int, error) {
	cmd := &exec.Cmd{
		Path: helper,
		Args: append([]string{helper, runCommand, path}, argv...),
		Dir:  dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	// A process group of its own keeps the terminal's signals from arriving twice, once directly and once forwarded.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	terminal := foreground()
	if terminal {
		cmd.SysProcAttr.Foreground = true
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals)
	if err := cmd.Start(); err != nil {
		return ExitCannotRun, fmt.Errorf("run in the machine: %w", err)
	}
	go forward(signals, cmd.Process)
	err := cmd.Wait()
	if terminal {
		// Not being in the foreground any more, taking the terminal back would stop this process.
		signal.Ignore(unix.SIGTTOU)
		_ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, unix.Getpgrp())
	}
	return exitCode(cmd.ProcessState, err)
}

// foreground says whether standard input is a terminal whose foreground job is this process.
func foreground() bool {
	group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// forward passes signals on, except those that concern only the helper itself or its terminal.
func forward(signals <-chan os.Signal, to *os.Process) {
	for s := range signals {
		switch s {
		case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, unix.SIGWINCH:
		default:
			_ = to.Signal(s)
		}
	}
}

func exitCode(state *os.ProcessState, err error) (int, error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return ExitCannotRun, fmt.Errorf("run in the machine: %w", err)
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignalBase + int(status.Signal()), nil
	}
	return state.ExitCode(), nil
}
