package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Content says what is in an image.
type Content struct {
	// Busybox is the path of a static busybox.
	Busybox string
	// Programs are the paths of real programs; they come before busybox's applets of the same names.
	Programs []string
	// Shell is the name of the program among Programs that is /bin/sh. Busybox's own shell would run its applets in
	// place of real programs.
	Shell string
	// Files are further files by absolute path, with their text.
	Files map[string]string
}

const (
	busyboxPath = "usr/bin/busybox"
	confPath    = "/etc/ld.so.conf"
)

// merged are the directories that are links into /usr in the image, as in Debian since 12.
func merged() []string { return []string{"bin", "sbin", "lib", "lib64"} }

// Write writes the file system as an uncompressed tar archive, the form that `docker import` takes. The same content
// gives the same bytes.
func Write(ctx context.Context, w io.Writer, c Content) error {
	dirs, err := libraryDirs(confPath)
	if err != nil {
		return err
	}
	sources := map[string]string{busyboxPath: c.Busybox}
	taken := map[string]bool{"busybox": true, "sh": true}
	for _, program := range c.Programs {
		files, err := closure(program, dirs)
		if err != nil {
			return err
		}
		for _, f := range files {
			sources[inside(f)] = f
		}
		taken[path.Base(program)] = true
	}
	applets, err := appletNames(ctx, c.Busybox)
	if err != nil {
		return err
	}
	a := archive{out: tar.NewWriter(w), made: map[string]bool{}}
	a.skeleton()
	for _, to := range sorted(sources) {
		a.copy(to, sources[to])
	}
	a.link("usr/bin/sh", c.Shell)
	for _, name := range applets {
		if !taken[name] {
			a.link("usr/bin/"+name, "busybox")
		}
	}
	for _, to := range sorted(c.Files) {
		a.text(strings.TrimPrefix(to, "/"), c.Files[to])
	}
	return errors.Join(a.err, a.out.Close())
}

// inside gives the path in the image of a file of this machine.
func inside(file string) string {
	p := strings.TrimPrefix(filepath.Clean(file), "/")
	first, _, _ := strings.Cut(p, "/")
	if slices.Contains(merged(), first) {
		return "usr/" + p
	}
	return p
}

func appletNames(ctx context.Context, busybox string) ([]string, error) {
	out, err := exec.CommandContext(ctx, busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list the applets of %s: %w", busybox, err)
	}
	names := strings.Fields(string(out))
	slices.Sort(names)
	return names, nil
}

func sorted(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// archive writes entries until the first error, which it keeps.
type archive struct {
	out  *tar.Writer
	made map[string]bool
	err  error
}

func (a *archive) skeleton() {
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "root", "run", "var/log", "proc", "sys", "dev"} {
		a.parents(dir + "/.")
	}
	a.entry(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	for _, dir := range merged() {
		a.link(dir, "usr/"+dir)
	}
	a.link("var/run", "../run")
}

// parents makes the directories above an entry.
func (a *archive) parents(name string) {
	dir := path.Dir(name)
	if dir == "." || a.made[dir] {
		return
	}
	a.parents(dir)
	a.made[dir] = true
	a.entry(tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}, nil)
}

func (a *archive) link(name, target string) {
	a.parents(name)
	a.entry(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, nil)
}

func (a *archive) text(name, content string) {
	a.parents(name)
	a.entry(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, strings.NewReader(content))
}

func (a *archive) copy(name, source string) {
	if a.err != nil {
		return
	}
	f, err := os.Open(source)
	if err != nil {
		a.err = fmt.Errorf("copy into the image: %w", err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		a.err = fmt.Errorf("copy into the image: %w", err)
		return
	}
	a.parents(name)
	a.entry(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: info.Size()}, f)
}

func (a *archive) entry(h tar.Header, content io.Reader) {
	if a.err != nil {
		return
	}
	if a.err = a.out.WriteHeader(&h); a.err != nil || content == nil {
		return
	}
	if _, err := io.Copy(a.out, content); err != nil {
		a.err = fmt.Errorf("write %s into the image: %w", h.Name, err)
	}
}
