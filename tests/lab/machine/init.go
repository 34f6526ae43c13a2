package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// runInit is process 1 of a machine. It reads the Spec from standard input, makes the machine, reports on descriptor 3
// and then only reaps what its programs leave behind, until it is killed. It returns only when the machine could not
// be made.
func runInit() error {
	report := os.NewFile(readyFD, "ready")
	var spec Spec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return fmt.Errorf("read the spec: %w", err)
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGTERM)
	if err := makeMachine(spec); err != nil {
		_, _ = fmt.Fprint(report, err)
		return err
	}
	if _, err := fmt.Fprint(report, ready); err != nil {
		return fmt.Errorf("report ready: %w", err)
	}
	report.Close()
	for range children {
		reap()
	}
	return nil
}

func reap() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func makeMachine(spec Spec) error {
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("set the host name %s: %w", spec.Hostname, err)
	}
	// Without this the mounts below would show up on the caller's side too, where / is shared, as systemd makes it.
	if err := mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if err := mountRun(spec.RunDirs); err != nil {
		return err
	}
	if err := mountSys(); err != nil {
		return err
	}
	layers := fmt.Sprintf("lowerdir=/etc,upperdir=%s,workdir=%s", spec.EtcUpper, spec.EtcWork)
	if err := mount("etc", "/etc", "overlay", 0, layers); err != nil {
		return err
	}
	for _, b := range spec.Binds {
		if err := bind(b); err != nil {
			return err
		}
	}
	return nil
}

// mountRun gives the machine an empty /run, at /var/run too where that is no link to it.
func mountRun(dirs []string) error {
	if err := mount("run", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	for _, d := range dirs {
		if err := os.MkdirAll(filepath.Join("/run", d), 0o755); err != nil {
			return fmt.Errorf("make the machine's /run: %w", err)
		}
	}
	if target, err := filepath.EvalSymlinks("/var/run"); err != nil || target == "/run" {
		return err
	}
	return mount("/run", "/var/run", "", unix.MS_BIND, "")
}

// mountSys mounts a /sys that shows the machine's own links, and puts the cgroup tree back into it.
func mountSys() error {
	const cgroups, aside = "/sys/fs/cgroup", "/run/cgroup"
	if err := os.Mkdir(aside, 0o755); err != nil {
		return fmt.Errorf("keep the cgroup tree: %w", err)
	}
	if err := mount(cgroups, aside, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return err
	}
	if err := mount(aside, cgroups, "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	if err := os.Remove(aside); err != nil {
		return fmt.Errorf("put the cgroup tree back: %w", err)
	}
	return nil
}

// bind creates the target only below /etc and /run, which are the machine's own.
func bind(b Bind) error {
	own := within(b.Target, "/etc") || within(b.Target, "/run")
	if err := os.MkdirAll(b.Target, 0o755); own && err != nil {
		return fmt.Errorf("bind %s: %w", b.Target, err)
	}
	return mount(b.Source, b.Target, "", unix.MS_BIND|unix.MS_REC, "")
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}
