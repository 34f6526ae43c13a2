package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// cgroupTop is the control group below which all containers of all labs are.
const cgroupTop = "ovsnet-lab"

// cgroupMount is where the control groups are: one tree (version 2), or one for each controller (version 1).
const cgroupMount = "/sys/fs/cgroup"

// removeCgroups removes the empty control groups that dockerd made for a lab, in every tree.
func removeCgroups(ctx context.Context, mountPoint, name string) error {
	trees, err := filepath.Glob(filepath.Join(mountPoint, "*"))
	if err != nil {
		return fmt.Errorf("list the control group trees: %w", err)
	}
	var errs []error
	for _, tree := range append(trees, mountPoint) {
		top := filepath.Join(tree, cgroupTop)
		errs = append(errs, removeGroups(ctx, filepath.Join(top, name)))
		// The directory of all labs goes with the last one.
		if err := os.Remove(top); err != nil && !errors.Is(err, fs.ErrNotExist) && !inUse(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func inUse(err error) bool {
	return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.ENOTDIR)
}

// removeGroups removes a group and those below it, the deepest first. The kernel may need a moment to see that a
// group's last process has ended.
func removeGroups(ctx context.Context, top string) error {
	var groups []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the control groups below %s: %w", top, err)
	}
	for _, group := range slices.Backward(groups) {
		err := poll(ctx, func(context.Context) (bool, error) {
			err := unix.Rmdir(group)
			return !errors.Is(err, unix.EBUSY), err
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove the control group %s: %w", group, err)
		}
	}
	return nil
}
