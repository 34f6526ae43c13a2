package vm

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// entry is a file of the initramfs, by its path without a leading slash.
type entry struct {
	path string
	mode uint32
	data []byte
}

// The types of files in an entry's mode (inode(7)).
const (
	modeDir  = 0o040000
	modeFile = 0o100000
)

// writeArchive writes files in the cpio format "newc", which the kernel unpacks as its first root file system
// (Documentation/driver-api/early-userspace/buffer-format.rst). Directories above the files are added.
func writeArchive(w io.Writer, files []entry) error {
	var all []entry
	made := map[string]bool{".": true}
	for _, f := range files {
		for _, dir := range above(f.path) {
			if !made[dir] {
				made[dir] = true
				all = append(all, entry{path: dir, mode: modeDir | 0o755})
			}
		}
		all = append(all, f)
	}
	for i, f := range append(all, entry{path: "TRAILER!!!"}) {
		if _, err := w.Write(archived(i+1, f)); err != nil {
			return fmt.Errorf("write %s into the initramfs: %w", f.path, err)
		}
	}
	return nil
}

// above gives the directories that a path is in, the outermost first.
func above(name string) []string {
	var dirs []string
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

// archived is one file with its header of 13 hexadecimal fields; name and content are filled up to four bytes each.
func archived(inode int, f entry) []byte {
	var b bytes.Buffer
	b.WriteString("070701")
	for _, field := range []int{inode, int(f.mode), 0, 0, 1, 0, len(f.data), 0, 0, 0, 0, len(f.path) + 1, 0} {
		fmt.Fprintf(&b, "%08x", field)
	}
	b.WriteString(f.path + "\x00")
	fill(&b)
	b.Write(f.data)
	fill(&b)
	return b.Bytes()
}

func fill(b *bytes.Buffer) {
	const align = 4
	b.WriteString(strings.Repeat("\x00", (align-b.Len()%align)%align))
}
