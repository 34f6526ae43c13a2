package vm

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// report is one line on the guest's report port.
type report struct {
	// Exit is the command's exit status, 128 plus the signal's number when a signal ended it.
	Exit *int `json:"exit,omitempty"`
	// Error says why the command could not be run.
	Error string `json:"error,omitempty"`
}

// messagesKept is how much of the guest's last kernel messages an error quotes, in bytes.
const messagesKept = 4000

// Run boots a machine, runs the command in it and returns its exit status, as a shell gives it. The machine is gone when
// Run returns. Ending ctx kills it, and is an error, as is a guest that ends without a report. It needs root.
func Run(ctx context.Context, o Options) (int, error) {
	o, err := o.complete()
	if err != nil {
		return 0, fmt.Errorf("run a virtual machine: %w", err)
	}
	if err := errors.Join(checkCaller(), checkHelper(o.Helper)); err != nil {
		return 0, fmt.Errorf("run a virtual machine: %w", err)
	}
	mounts, err := mountsOf(o.Dir, o.Kernel.Modules)
	if err != nil {
		return 0, fmt.Errorf("run a virtual machine: %w", err)
	}
	initrd, err := initramfs(o)
	if err != nil {
		return 0, fmt.Errorf("run a virtual machine: %w", err)
	}
	defer initrd.Close()
	var reports, messages bytes.Buffer
	runErr := boot(ctx, o, hostArgs(mounts, qemuArgv(o)), initrd, &reports, &messages)
	status, err := readReports(&reports)
	switch {
	case err == nil:
		return status, nil
	case ctx.Err() != nil:
		err = fmt.Errorf("%s did not end in time, or was given up: %w", strings.Join(o.Argv, " "), context.Cause(ctx))
	}
	last := messages.Bytes()
	last = last[max(0, len(last)-messagesKept):]
	return 0, fmt.Errorf("run a virtual machine: %w\nthe kernel's last messages:\n%s", errors.Join(err, runErr), last)
}

func checkCaller() error {
	if os.Geteuid() != 0 {
		return errors.New("the machine's file system is exported through a bind mount, which needs root: use sudo")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		return fmt.Errorf("%w: run scripts/deps-kernel", err)
	}
	return nil
}

// checkHelper refuses a program that a guest without libraries could not start.
func checkHelper(path string) error {
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("read the helper: %w", err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("the helper %s is dynamically linked: build it with CGO_ENABLED=0", path)
		}
	}
	return nil
}

// initramfs gives the guest's first file system as a file in memory.
func initramfs(o Options) (*os.File, error) {
	dep, err := os.ReadFile(filepath.Join(o.Kernel.Modules, "modules.dep"))
	if err != nil {
		return nil, err
	}
	builtin, err := os.ReadFile(filepath.Join(o.Kernel.Modules, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	order, err := loadOrder(string(dep), string(builtin), rootModules())
	if err != nil {
		return nil, err
	}
	task, err := json.Marshal(newTask(o, order))
	if err != nil {
		return nil, err
	}
	helper, err := os.ReadFile(o.Helper)
	if err != nil {
		return nil, err
	}
	files := []entry{{guestInit, modeFile | 0o755, helper}, {taskFile, modeFile | 0o644, task}}
	for _, path := range order {
		data, err := os.ReadFile(filepath.Join(o.Kernel.Modules, path))
		if err != nil {
			return nil, err
		}
		files = append(files, entry{filepath.Join(modulesDir, path), modeFile | 0o644, data})
	}
	fd, err := unix.MemfdCreate("initramfs", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "initramfs")
	if err := writeArchive(f, files); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// boot runs QEMU, by way of the helper with args, until it ends and passes on what comes out of the guest.
func boot(ctx context.Context, o Options, args []string, initrd *os.File, reports, messages io.Writer) error {
	// The kernel kills QEMU when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, o.Helper, args...)
	var complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &complaints, &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
		// Signals of the terminal are the caller's to handle.
		Setpgid: true,
	}
	cmd.ExtraFiles = []*os.File{initrd}
	var group errgroup.Group
	for _, to := range []io.Writer{io.MultiWriter(o.Messages, messages), o.Stdout, o.Stderr, reports} {
		from, end, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("make a pipe: %w", err)
		}
		defer end.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, end)
		group.Go(func() error {
			_, err := io.Copy(to, from)
			return errors.Join(err, from.Close())
		})
	}
	err := cmd.Run()
	for _, end := range cmd.ExtraFiles[1:] {
		end.Close()
	}
	if err != nil {
		err = fmt.Errorf("qemu: %w: %s", err, bytes.TrimSpace(complaints.Bytes()))
	}
	return errors.Join(err, group.Wait())
}

// readReports finds the exit status in what the guest reported.
func readReports(from io.Reader) (int, error) {
	for decoder := json.NewDecoder(from); ; {
		var r report
		err := decoder.Decode(&r)
		switch {
		case errors.Is(err, io.EOF):
			return 0, errors.New("the guest ended without a report")
		case err != nil:
			return 0, fmt.Errorf("read the guest's report: %w", err)
		case r.Error != "":
			return 0, errors.New(r.Error)
		case r.Exit != nil:
			return *r.Exit, nil
		}
	}
}
