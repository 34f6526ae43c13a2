package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// readyFD is the descriptor on which init reports; ready is what it reports when the machine is made.
const (
	readyFD = 3
	ready   = "ready"
)

// Bind shows the directory Source as Target inside the machine. Target is created when the machine can do that without
// leaving anything behind; otherwise it must exist.
type Bind struct {
	Source, Target string
}

// Spec is what a machine is made of.
type Spec struct {
	// Hostname is the machine's host name.
	Hostname string
	// EtcUpper and EtcWork are the directories of the writable layer over /etc: the upper one may be filled beforehand.
	// Both must be on one file system that can be an overlayfs upper layer.
	EtcUpper, EtcWork string
	// RunDirs are directories created in the machine's fresh /run, as paths relative to it.
	RunDirs []string
	// Binds are applied last, in order.
	Binds []Bind
}

// Boot makes a machine: it starts helper as its init, calls record with init's process before init does anything, and
// returns when the machine is made. Init and its programs write complaints to log. On error nothing is left running.
func Boot(ctx context.Context, helper string, spec Spec, log *os.File, record func(Process) error) (Process, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return Process{}, fmt.Errorf("boot %s: make a pipe: %w", spec.Hostname, err)
	}
	defer reader.Close()
	cmd := exec.Command(helper, initCommand)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, log, log
	cmd.ExtraFiles = []*os.File{writer}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS,
	}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	writer.Close()
	if err != nil {
		return Process{}, fmt.Errorf("boot %s: start %s: %w", spec.Hostname, helper, err)
	}
	p, err := handOver(ctx, cmd, stdin, reader, spec, record)
	if err != nil {
		return Process{}, errors.Join(fmt.Errorf("boot %s: %w", spec.Hostname, err), cmd.Process.Kill(), ended(cmd))
	}
	// Init outlives this call, but it is this process's child: whoever ends it, it must not stay a zombie.
	go func() { _ = cmd.Wait() }()
	return p, nil
}

// handOver records init, gives it its Spec and waits for its answer.
func handOver(ctx context.Context, cmd *exec.Cmd, stdin io.WriteCloser, answer *os.File, spec Spec, record func(Process) error) (Process, error) {
	p, err := Identify(cmd.Process.Pid)
	if err != nil {
		return Process{}, err
	}
	if err := record(p); err != nil {
		return Process{}, fmt.Errorf("record init: %w", err)
	}
	if err := json.NewEncoder(stdin).Encode(spec); err != nil {
		return Process{}, fmt.Errorf("hand the spec to init: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := answer.SetReadDeadline(deadline); err != nil {
			return Process{}, fmt.Errorf("bound the wait for init: %w", err)
		}
	}
	stop := context.AfterFunc(ctx, func() { answer.Close() })
	defer stop()
	said, err := io.ReadAll(answer)
	if err != nil {
		return Process{}, fmt.Errorf("wait for init: %w", errors.Join(err, ctx.Err()))
	}
	if string(said) != ready {
		return Process{}, fmt.Errorf("init says %q", said)
	}
	return p, stdin.Close()
}

// ended reaps a killed init; that it was killed is no news.
func ended(cmd *exec.Cmd) error {
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}
