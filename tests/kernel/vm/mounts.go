package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// makeGuest turns the bare kernel into a machine: modules, root file system, the file systems of the kernel, loopback.
func makeGuest(t task) error {
	for _, path := range t.Load {
		if err := loadModule(filepath.Join("/", modulesDir, path)); err != nil {
			return err
		}
	}
	if err := mountRoot(); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return mountKernels(t.Dir) },
		func() error { return mountTmpfs(t.Tmpfs) },
		func() error { return showModules(t) },
		raiseLimits,
		loopbackUp,
		func() error { return unix.Sethostname([]byte("vm")) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return nil
}

// mountRoot makes the exported file system with a writable layer the root of process 1, and with it of the kernel's own
// calls of modprobe.
func mountRoot() error {
	const lower, memory, root = "/lower", "/memory", "/root.new"
	upper, work := filepath.Join(memory, "upper"), filepath.Join(memory, "work")
	if err := makeDirs(lower, memory, root); err != nil {
		return err
	}
	// The export does not change, so what was read once may be kept.
	err := mount(rootTag, lower, "9p", unix.MS_RDONLY, "trans=virtio,version=9p2000.L,msize=512000,cache=loose")
	if err == nil {
		err = mount("memory", memory, "tmpfs", 0, "mode=755,size=90%")
	}
	if err == nil {
		err = makeDirs(upper, work)
	}
	if err == nil {
		err = mount("root", root, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work)
	}
	if err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	return os.Chdir("/")
}

// mountKernels mounts what an init system mounts before anything else, but for a /tmp that has the working directory in
// it.
func mountKernels(dir string) error {
	for _, m := range []struct {
		kind, target, options string
		flags                 uintptr
	}{
		{"proc", "/proc", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"sysfs", "/sys", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"cgroup2", "/sys/fs/cgroup", "", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"devtmpfs", "/dev", "mode=755", unix.MS_NOSUID},
		{"devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"tmpfs", "/dev/shm", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
		{"tmpfs", "/run", "mode=755", unix.MS_NOSUID | unix.MS_NODEV},
		{"tmpfs", "/tmp", "mode=1777", unix.MS_NOSUID | unix.MS_NODEV},
	} {
		if strings.HasPrefix(dir, "/tmp/") && m.target == "/tmp" {
			continue
		}
		if err := makeDirs(m.target); err != nil {
			return err
		}
		if err := mount(m.kind, m.target, m.kind, m.flags, m.options); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{"fd": "self/fd", "stdin": "self/fd/0", "stdout": "self/fd/1", "stderr": "self/fd/2"} {
		if err := os.Symlink("/proc/"+target, "/dev/"+link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return makeDirs("/run/lock")
}

func mountTmpfs(dirs []string) error {
	for _, dir := range dirs {
		if err := makeDirs(dir); err != nil {
			return err
		}
		if err := mount("tmpfs", dir, "tmpfs", 0, "mode=755,size=90%"); err != nil {
			return err
		}
	}
	return nil
}

// showModules puts the modules where modprobe looks for them.
func showModules(t task) error {
	usual := filepath.Join("/lib/modules", t.Version)
	if t.Modules == usual {
		return nil
	}
	if err := makeDirs(usual); err != nil {
		return err
	}
	return mount(t.Modules, usual, "", unix.MS_BIND, "")
}

// raiseLimits allows the many files that daemons are allowed by systemd elsewhere.
func raiseLimits() error {
	const files = 1 << 20
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: files}); err != nil {
		return fmt.Errorf("allow %d open files: %w", files, err)
	}
	return nil
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

func makeDirs(paths ...string) error {
	for _, path := range paths {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	return nil
}
