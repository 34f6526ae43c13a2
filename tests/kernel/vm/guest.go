package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// The files of the initramfs.
const (
	guestInit  = "init"
	taskFile   = "task.json"
	modulesDir = "modules"
)

// task is what process 1 has to do.
type task struct {
	// Load are the modules below modulesDir to load first, in order.
	Load []string `json:"load"`
	// Version and Modules are those of the Kernel.
	Version string   `json:"version"`
	Modules string   `json:"modules"`
	Tmpfs   []string `json:"tmpfs"`
	Argv    []string `json:"argv"`
	Dir     string   `json:"dir"`
	Env     []string `json:"env"`
}

func newTask(o Options, load []string) task {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	return task{
		Load: load, Version: o.Kernel.Version, Modules: o.Kernel.Modules, Tmpfs: o.Tmpfs,
		Argv: o.Argv, Dir: o.Dir, Env: append(env, o.Env...),
	}
}

// beInit is process 1 of the guest. It makes the machine, runs the command, reports and ends the machine. It returns
// only when the machine could not be made or ended, upon which the kernel panics and QEMU ends.
func beInit() error {
	data, err := os.ReadFile("/" + taskFile)
	if err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	var t task
	if err := json.Unmarshal(data, &t); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	if err := makeGuest(t); err != nil {
		return fmt.Errorf("make the guest: %w", err)
	}
	reports, err := openPort(reportPort)
	if err != nil {
		return err
	}
	result := report{}
	if status, err := runTask(t); err != nil {
		result.Error = err.Error()
	} else {
		result.Exit = &status
	}
	if err := json.NewEncoder(reports).Encode(result); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	// QEMU is told to take a restart for the end.
	return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

// runTask runs the command until it ends, and then ends all that it left running.
func runTask(t task) (int, error) {
	// Process 1 finds programs as the command does.
	if err := os.Chdir(t.Dir); err != nil {
		return 0, err
	}
	for _, setting := range t.Env {
		name, value, _ := strings.Cut(setting, "=")
		if err := os.Setenv(name, value); err != nil {
			return 0, fmt.Errorf("set %s: %w", setting, err)
		}
	}
	path, err := exec.LookPath(t.Argv[0])
	if err != nil {
		return 0, err
	}
	input, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	var ends []*os.File
	var group errgroup.Group
	for _, name := range []string{stdoutPort, stderrPort} {
		port, err := openPort(name)
		if err != nil {
			return 0, err
		}
		from, end, err := os.Pipe()
		if err != nil {
			return 0, fmt.Errorf("make a pipe: %w", err)
		}
		ends = append(ends, end)
		group.Go(func() error {
			_, err := io.Copy(port, from)
			return err
		})
	}
	process, err := os.StartProcess(path, t.Argv, &os.ProcAttr{Dir: t.Dir, Env: os.Environ(), Files: []*os.File{input, ends[0], ends[1]}})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", path, err)
	}
	status, err := reapUntil(process.Pid)
	// What still runs would hold the pipes open. Process 1 itself is spared (kill(2)).
	err = errors.Join(err, ignoreNone(unix.Kill(-1, unix.SIGKILL)), ends[0].Close(), ends[1].Close())
	return status, errors.Join(err, group.Wait())
}

// ignoreNone makes it no error that there was no process.
func ignoreNone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// reapUntil reaps every process that ends, being the parent of all whose parent has ended, until pid has, and gives its
// exit status.
func reapUntil(pid int) (int, error) {
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR) || err == nil && ended != pid:
		case err != nil:
			return 0, fmt.Errorf("wait for the command: %w", err)
		case status.Signaled():
			const signalBase = 128
			return signalBase + int(status.Signal()), nil
		default:
			return status.ExitStatus(), nil
		}
	}
}

// openPort opens a virtio-serial port by its name.
func openPort(name string) (*os.File, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return nil, fmt.Errorf("list the ports: %w", err)
	}
	for _, path := range names {
		if data, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(data)) == name {
			return os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(path))), os.O_WRONLY, 0)
		}
	}
	return nil, fmt.Errorf("the guest has no port %s, only %v", name, names)
}
