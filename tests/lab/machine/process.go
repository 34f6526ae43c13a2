package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process names one process for good: a number that the kernel gives to another process later has another start time.
type Process struct {
	// PID is the number in the caller's PID namespace.
	PID int `json:"pid"`
	// Start is the start time in clock ticks since boot, field 22 of /proc/PID/stat (proc(5)).
	Start uint64 `json:"start"`
}

// waitStep bounds how long one look at a process lasts before the context is looked at again.
const waitStep = 100 * time.Millisecond

// Identify gives the name of the process that has the number pid now.
func Identify(pid int) (Process, error) {
	start, err := startTime(pid)
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Start: start}, nil
}

// Alive says whether the process still runs. One that has ended but was not yet reaped does not; one with a thread left
// does, also when its first thread has ended.
func (p Process) Alive() bool {
	fd, err := p.open()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	ended, err := hasEnded(fd, 0)
	return err == nil && !ended
}

// Root is the directory through which the process's file system is reachable from outside.
func (p Process) Root() string {
	return filepath.Join("/proc", strconv.Itoa(p.PID), "root")
}

// NetNS is the path of the process's network namespace.
func (p Process) NetNS() string {
	return filepath.Join("/proc", strconv.Itoa(p.PID), "ns", "net")
}

// Signal sends sig. It returns os.ErrProcessDone when the process has ended.
func (p Process) Signal(sig syscall.Signal) error {
	fd, err := p.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		return fmt.Errorf("send %s to process %d: %w", sig, p.PID, gone(err))
	}
	return nil
}

// Wait returns when the process has ended, or with the context's error. It need not be a child of the caller.
func (p Process) Wait(ctx context.Context) error {
	fd, err := p.open()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for ctx.Err() == nil {
		ended, err := hasEnded(fd, waitStep)
		if err != nil {
			return fmt.Errorf("wait for process %d: %w", p.PID, err)
		}
		if ended {
			return nil
		}
	}
	return fmt.Errorf("process %d still runs: %w", p.PID, ctx.Err())
}

// hasEnded waits at most patience for the end of the process behind a descriptor (pidfd_open(2): it is readable when
// the last thread has ended).
func hasEnded(fd int, patience time.Duration) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(patience/time.Millisecond))
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return n > 0, err
}

// open gives a descriptor that stays with this process even when its number is used again.
func (p Process) open() (int, error) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", p.PID, gone(err))
	}
	if start, err := startTime(p.PID); err != nil || start != p.Start {
		unix.Close(fd)
		return -1, fmt.Errorf("open process %d: %w", p.PID, os.ErrProcessDone)
	}
	return fd, nil
}

func gone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return parseStart(data)
}

// parseStart reads the start time from a stat line of proc(5). The name in the line may hold spaces and brackets.
func parseStart(line []byte) (uint64, error) {
	const afterName, startField = 3, 22
	end := bytes.LastIndexByte(line, ')')
	fields := strings.Fields(string(line[end+1:]))
	if end < 0 || len(fields) <= startField-afterName {
		return 0, fmt.Errorf("read a process's stat line: unknown form %q", line)
	}
	start, err := strconv.ParseUint(fields[startField-afterName], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read a process's start time from %q: %w", line, err)
	}
	return start, nil
}
