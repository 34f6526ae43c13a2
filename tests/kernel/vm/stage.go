package vm

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The helper's commands: the stage before QEMU on this side, and process 1 of the guest.
const (
	hostCommand  = "vm-host"
	guestCommand = "vm-guest"
)

// exitStage is the helper's exit status when it could not do its part.
const exitStage = 1

// Stage makes a program a helper: when args, which are os.Args, are a helper's, it does the helper's work (ours is true)
// and gives the exit code for it. It must come first in main.
func Stage(args []string) (ours bool, code int, err error) {
	switch {
	case len(args) > 3 && args[1] == hostCommand:
		return true, exitStage, becomeQEMU(strings.Split(args[2], mountSeparator), args[3:])
	case len(args) == 2 && args[1] == guestCommand && unix.Getpid() == 1:
		return true, exitStage, beInit()
	}
	return false, 0, nil
}

// mountSeparator is between mount points, in whose names there is no NUL, but not in an argument either.
const mountSeparator = "\n"

// hostArgs are the helper's arguments for the stage on this side: the mounts to export, the root first, and QEMU.
func hostArgs(mounts, qemu []string) []string {
	return append([]string{hostCommand, strings.Join(mounts, mountSeparator)}, qemu...)
}

// mountsOf gives the mount points that show the paths: the root, and those below it that any of the paths is on.
func mountsOf(paths ...string) ([]string, error) {
	mounts := []string{"/"}
	for _, path := range paths {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return nil, err
		}
		if rel, err := filepath.Rel(exported, real); err == nil && filepath.IsLocal(rel) {
			return nil, fmt.Errorf("%s is in %s, by which the guest gets its files: move it elsewhere", path, exported)
		}
		for real != "/" {
			if real, err = mountPoint(real); err != nil {
				return nil, err
			}
			if !slices.Contains(mounts, real) {
				mounts = append(mounts, real)
			}
			real = filepath.Dir(real)
		}
	}
	// A mount comes after the one that it is in.
	slices.Sort(mounts)
	return mounts, nil
}

// mountPoint gives the directory above path, which has no symbolic links, or path, where what it is on is mounted
// (statx(2), since Linux 5.8).
func mountPoint(path string) (string, error) {
	mountID := func(path string) (uint64, error) {
		var s unix.Statx_t
		if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &s); err != nil {
			return 0, fmt.Errorf("look at %s: %w", path, err)
		}
		return s.Mnt_id, nil
	}
	own, err := mountID(path)
	for err == nil && path != "/" {
		var above uint64
		if above, err = mountID(filepath.Dir(path)); above != own {
			return path, err
		}
		path = filepath.Dir(path)
	}
	return path, err
}

// becomeQEMU binds the mounts, of which the first is the root, where QEMU exports them from, in the mount namespace that
// the process was started in, and turns into QEMU. It returns only when that fails.
func becomeQEMU(mounts, argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	if err := mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, at := range mounts {
		if err := mount(at, filepath.Join(exported, at), "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	err = syscall.Exec(path, argv, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"})
	return fmt.Errorf("run %s: %w", path, err)
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}
