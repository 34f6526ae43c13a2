package vm

import (
	"fmt"
	"os/exec"
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
	case len(args) > 2 && args[1] == hostCommand:
		return true, exitStage, becomeQEMU(args[2:])
	case len(args) == 2 && args[1] == guestCommand && unix.Getpid() == 1:
		return true, exitStage, beInit()
	}
	return false, 0, nil
}

// becomeQEMU binds the root file system where QEMU exports it from, in the mount namespace that the process was started
// in, and turns into QEMU. It returns only when that fails.
func becomeQEMU(argv []string) error {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	if err := mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := mount("/", exported, "", unix.MS_BIND, ""); err != nil {
		return err
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
