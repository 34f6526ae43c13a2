package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Kernel is a kernel and its modules as files.
type Kernel struct {
	// Version is the kernel's release, as uname -r prints it.
	Version string
	// Image is the path of the bootable file; Modules is the directory of this version, with depmod's files.
	Image, Modules string
}

// FindKernel finds the kernel below tree, which is laid out like a root directory: boot/vmlinuz-VERSION and
// lib/modules/VERSION. A Debian linux-image package unpacked by dpkg-deb is such a tree after depmod. Of several
// kernels the last by name is taken.
func FindKernel(tree string) (Kernel, error) {
	images, err := filepath.Glob(filepath.Join(tree, "boot", "vmlinuz-*"))
	if err != nil {
		return Kernel{}, fmt.Errorf("find a kernel in %s: %w", tree, err)
	}
	if len(images) == 0 {
		return Kernel{}, fmt.Errorf("find a kernel in %s: no boot/vmlinuz-* there; run scripts/deps-kernel: %w", tree, fs.ErrNotExist)
	}
	image := images[len(images)-1]
	version := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
	k := Kernel{Version: version, Image: image, Modules: filepath.Join(tree, "lib", "modules", version)}
	if _, err := os.Stat(filepath.Join(k.Modules, "modules.dep")); err != nil {
		return Kernel{}, fmt.Errorf("find the modules of kernel %s: %w; run depmod -b %s %s", version, err, tree, version)
	}
	return k, nil
}

// rootModules are what process 1 needs to reach the root file system and its caller.
func rootModules() []string {
	return []string{"virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"}
}

// loadOrder reads depmod's modules.dep and gives the files of the wanted modules and of all that they need, relative to
// the directory of modules.dep, in the order in which they must be loaded. builtin is the text of modules.builtin: what
// the kernel has in itself needs no loading.
func loadOrder(dep, builtin string, wanted []string) ([]string, error) {
	needs, file := map[string][]string{}, map[string]string{}
	for line := range strings.Lines(dep) {
		path, rest, found := strings.Cut(strings.TrimSpace(line), ":")
		if !found {
			continue
		}
		file[moduleName(path)] = path
		needs[path] = strings.Fields(rest)
	}
	inside := map[string]bool{}
	for path := range strings.Lines(builtin) {
		inside[moduleName(strings.TrimSpace(path))] = true
	}
	var order []string
	done := map[string]bool{}
	for _, name := range wanted {
		path, found := file[moduleName(name)]
		if !found && inside[moduleName(name)] {
			continue
		}
		if !found {
			return nil, errors.New("the kernel has no module " + name + "; use Debian's generic kernel, not the cloud kernel")
		}
		// modules.dep lists all that a module needs, what must be loaded first at the end.
		for i := len(needs[path]) - 1; i >= -1; i-- {
			next := path
			if i >= 0 {
				next = needs[path][i]
			}
			if !done[next] {
				done[next] = true
				order = append(order, next)
			}
		}
	}
	return order, nil
}

// moduleName is what a module file is called in the kernel, where dashes are underscores.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return strings.ReplaceAll(name, "-", "_")
}
