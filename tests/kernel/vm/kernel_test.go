package vm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Lines as depmod writes them for Debian's kernel.
const (
	testDep = `kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_ring.ko:
kernel/net/9p/9pnet.ko:
kernel/net/9p/9pnet_virtio.ko: kernel/net/9p/9pnet.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/fs/overlayfs/overlay.ko:
kernel/net/openvswitch/vport-vxlan.ko.xz: kernel/net/9p/9pnet.ko
`
	testBuiltin = "kernel/fs/ext4/ext4.ko\n"
)

func TestLoadOrder(t *testing.T) {
	const virtio, ring, net9p = "kernel/drivers/virtio/virtio.ko", "kernel/drivers/virtio/virtio_ring.ko", "kernel/net/9p/9pnet.ko"
	for name, c := range map[string]struct {
		wanted, order []string
		bad           string
	}{
		"nothing":              {},
		"alone":                {wanted: []string{"overlay"}, order: []string{"kernel/fs/overlayfs/overlay.ko"}},
		"what it needs first":  {wanted: []string{"9pnet_virtio"}, order: []string{ring, virtio, net9p, "kernel/net/9p/9pnet_virtio.ko"}},
		"each once":            {wanted: []string{"virtio", "9pnet_virtio"}, order: []string{ring, virtio, net9p, "kernel/net/9p/9pnet_virtio.ko"}},
		"dashes, compressed":   {wanted: []string{"vport_vxlan"}, order: []string{net9p, "kernel/net/openvswitch/vport-vxlan.ko.xz"}},
		"built in":             {wanted: []string{"ext4"}},
		"not in this kernel":   {wanted: []string{"overlay", "9p"}, bad: "no module 9p"},
		"a part of its name":   {wanted: []string{"over"}, bad: "no module over"},
		"built in and modules": {wanted: []string{"ext4", "virtio_ring"}, order: []string{ring}},
	} {
		t.Run(name, func(t *testing.T) {
			order, err := loadOrder(testDep, testBuiltin, c.wanted)
			if (err != nil) != (c.bad != "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Fatalf("got %v, want an error that says %q", err, c.bad)
			}
			if diff := cmp.Diff(c.order, order); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFindKernel(t *testing.T) {
	tree := t.TempDir()
	if _, err := FindKernel(tree); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "deps-kernel") {
		t.Errorf("in an empty tree: %v", err)
	}
	modules := filepath.Join(tree, "lib/modules/6.1.0-9")
	for _, dir := range []string{"boot", "lib/modules/6.1.0-9"} {
		if err := os.MkdirAll(filepath.Join(tree, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"boot/vmlinuz-6.1.0-8", "boot/vmlinuz-6.1.0-9"} {
		if err := os.WriteFile(filepath.Join(tree, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := FindKernel(tree); err == nil || !strings.Contains(err.Error(), "depmod -b") {
		t.Errorf("without depmod's files: %v", err)
	}
	if err := os.WriteFile(filepath.Join(modules, "modules.dep"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	k, err := FindKernel(tree)
	want := Kernel{Version: "6.1.0-9", Image: filepath.Join(tree, "boot/vmlinuz-6.1.0-9"), Modules: modules}
	if err != nil || k != want {
		t.Errorf("got %+v, %v; want %+v", k, err, want)
	}
}
