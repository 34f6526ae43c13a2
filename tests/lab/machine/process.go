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
	_, start, err := stat(pid)
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Start: start}, nil
}

// Alive says whether the process still runs. A process that has ended but was not yet reaped does not.
func (p Process) Alive() bool {
	state, start, err := stat(p.PID)
	return err == nil && start == p.Start && state != "Z" && state != "X"
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
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(waitStep/time.Millisecond))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for process %d: %w", p.PID, err)
		}
		if n > 0 {
			return nil
		}
	}
	return fmt.Errorf("process %d still runs: %w", p.PID, ctx.Err())
}

// open gives a descriptor that stays with this process even when its number is used again.
func (p Process) open() (int, error) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", p.PID, gone(err))
	}
	if !p.Alive() {
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

func stat(pid int) (state string, start uint64, err error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", 0, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return parseStat(data)
}

// parseStat reads the state and the start time of a stat line of proc(5). The name in it may hold spaces and brackets.
func parseStat(line []byte) (state string, start uint64, err error) {
	const afterName, startField = 2, 21
	end := bytes.LastIndexByte(line, ')')
	fields := strings.Fields(string(line[end+1:]))
	if end < 0 || len(fields) <= startField-afterName {
		return "", 0, fmt.Errorf("read a process's stat line: unknown form %q", line)
	}
	start, err = strconv.ParseUint(fields[startField-afterName], 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("read a process's start time from %q: %w", line, err)
	}
	return fields[0], start, nil
}
