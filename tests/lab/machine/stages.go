package machine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The helper's commands, one for each stage.
const (
	initCommand   = "machine-init"
	enterCommand  = "machine-enter"
	runCommand    = "machine-run"
	daemonCommand = "machine-daemon"
)

// Stage makes a program a helper: when args, which are os.Args with an absolute path first, are a helper's, it does the
// helper's work (ours is true) and gives the exit code for it, else nothing. It must come first in main, before
// anything touches signals. It may not return: a helper inside a machine becomes the program that it was started for.
func Stage(args []string, stdout io.Writer) (ours bool, code int, err error) {
	if len(args) < 2 {
		return false, 0, nil
	}
	switch {
	case args[1] == initCommand:
		return true, ExitCannotRun, runInit()
	case args[1] == enterCommand && len(args) == 3:
		code, err = enter(args[0], args[2], stdout)
	case args[1] == runCommand && len(args) > 3:
		code, err = become(args[2], args[3:])
	case args[1] == daemonCommand && len(args) > 4:
		code, err = startDaemon(args[2], args[3], args[4:])
	default:
		return false, 0, nil
	}
	return true, code, err
}

// numberFD is the descriptor on which a daemon's number is handed out of the machine.
const numberFD = 3

// become is the stage inside the machine: it turns into the program at path with the arguments argv, and sees to it that the
// kernel kills that program when the helper outside ends. It returns only when that fails.
func become(path string, argv []string) (int, error) {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return ExitCannotRun, fmt.Errorf("tie %s to its caller: %w", path, err)
	}
	// A parent outside the PID namespace has number 0; any other number means that it ended before the line above.
	if os.Getppid() != 0 {
		return ExitCannotRun, fmt.Errorf("run %s: the caller has ended", path)
	}
	err := syscall.Exec(path, argv, os.Environ())
	return notRunnable(err), fmt.Errorf("run %s: %w", strings.Join(argv, " "), err)
}

// detached starts a daemon by way of a stage inside and prints the daemon's number as it is outside.
func detached(helper, path string, e Entry, stdout io.Writer) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}
	if err != nil {
		return ExitCannotRun, fmt.Errorf("make a socket for the daemon's number: %w", err)
	}
	cmd := &exec.Cmd{
		Path: helper, Args: append([]string{helper, daemonCommand, e.Log, path}, e.Argv...), Dir: "/",
		Stderr: os.Stderr, ExtraFiles: []*os.File{os.NewFile(uintptr(pair[1]), "number")},
	}
	if err := cmd.Run(); err != nil {
		return exitCode(cmd.ProcessState, err)
	}
	pid, err := receiveNumber(pair[0])
	if err != nil {
		return ExitCannotRun, err
	}
	_, err = fmt.Fprintln(stdout, pid)
	return 0, err
}

// receiveNumber takes the number from the credentials of a message: the kernel translates it between PID namespaces.
func receiveNumber(socket int) (int, error) {
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 1), control, unix.MSG_DONTWAIT)
	if err != nil {
		return 0, fmt.Errorf("receive the daemon's number: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("receive the daemon's number: %d messages: %w", len(messages), err)
	}
	credentials, err := unix.ParseUnixCredentials(&messages[0])
	if err != nil {
		return 0, fmt.Errorf("receive the daemon's number: %w", err)
	}
	return int(credentials.Pid), nil
}

// startDaemon is the stage inside the machine for a daemon: it starts the program in a session of its own, with its output
// appended to the file log, hands its number out, and returns. The daemon's parent having ended inside, the machine's
// init becomes its parent, and reaps it.
func startDaemon(log, path string, argv []string) (int, error) {
	unix.CloseOnExec(numberFD)
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return ExitCannotRun, fmt.Errorf("open the log of %s: %w", path, err)
	}
	cmd := &exec.Cmd{Path: path, Args: argv, Dir: "/", Stdout: output, Stderr: output}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return notRunnable(err), fmt.Errorf("run %s: %w", strings.Join(argv, " "), err)
	}
	credentials := unix.UnixCredentials(&unix.Ucred{Pid: int32(cmd.Process.Pid)})
	if err := unix.Sendmsg(numberFD, []byte{0}, credentials, nil, 0); err != nil {
		return ExitCannotRun, errors.Join(fmt.Errorf("hand out the number of %s: %w", path, err), cmd.Process.Kill())
	}
	return 0, nil
}

func notRunnable(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return ExitNotFound
	}
	return ExitCannotRun
}
