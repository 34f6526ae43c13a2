package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeBusybox lists applets, which is all that is asked of it.
func fakeBusybox(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "busybox")
	if err := os.WriteFile(file, []byte("#!/bin/sh\nprintf 'vi\\nls\\nsh\\nbusybox\\n'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func content(t *testing.T) Content {
	t.Helper()
	ls, err := exec.LookPath("ls")
	if err != nil {
		t.Fatal(err)
	}
	return Content{Busybox: fakeBusybox(t), Programs: []string{ls}, Shell: "dash", Files: map[string]string{"/etc/passwd": "root\n"}}
}

func write(t *testing.T, c Content) []byte {
	t.Helper()
	var archive bytes.Buffer
	if err := Write(t.Context(), &archive, c); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func TestWrite(t *testing.T) {
	c := content(t)
	data := write(t, c)
	entries := map[string]*tar.Header{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean(h.Name)
		if entries[name] != nil {
			t.Errorf("%s is there twice", name)
		}
		if dir := path.Dir(name); dir != "." && entries[dir] == nil {
			t.Errorf("%s comes before its directory", name)
		}
		entries[name] = h
	}
	for name, link := range map[string]string{
		"bin": "usr/bin", "lib64": "usr/lib64", "usr/bin/sh": "dash", "usr/bin/vi": "busybox", "usr/bin/ls": "", "usr/bin/busybox": "", "etc/passwd": "",
	} {
		if h := entries[name]; h == nil || h.Linkname != link {
			t.Errorf("%s is %+v, want a link to %q or a file", name, h, link)
		}
	}
	libc := slices.ContainsFunc(slices.Collect(maps.Keys(entries)), func(name string) bool { return strings.HasPrefix(path.Base(name), "libc.") })
	if !libc {
		t.Error("the C library is not there")
	}
	if !bytes.Equal(data, write(t, c)) {
		t.Error("the same content gives different bytes")
	}
}

func TestWriteFails(t *testing.T) {
	for name, change := range map[string]func(*Content){
		"no busybox":         func(c *Content) { c.Busybox = "/no/busybox" },
		"no program":         func(c *Content) { c.Programs = []string{"/no/program"} },
		"not an ELF program": func(c *Content) { c.Programs = []string{"/etc/passwd"} },
	} {
		t.Run(name, func(t *testing.T) {
			c := content(t)
			change(&c)
			if err := Write(t.Context(), io.Discard, c); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestInside(t *testing.T) {
	for file, want := range map[string]string{
		"/bin/ping": "usr/bin/ping", "/usr/bin/ping": "usr/bin/ping", "/lib64/ld-linux-x86-64.so.2": "usr/lib64/ld-linux-x86-64.so.2",
		"/opt/lib/x.so": "opt/lib/x.so", "/lib": "usr/lib", "/usr/../bin/a": "usr/bin/a",
	} {
		if got := inside(file); got != want {
			t.Errorf("inside(%q) is %q, want %q", file, got, want)
		}
	}
}

func TestLibraryDirs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.conf": "# all\ninclude parts/*.conf\n/last # not /this\n", "parts/1.conf": "/one\n/two\n", "parts/2.conf": "\n/three\n", "parts/x.txt": "/never\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	builtIn := []string{"/lib", "/usr/lib", "/lib64", "/usr/lib64"}
	got, err := libraryDirs(filepath.Join(dir, "main.conf"))
	if want := append([]string{"/one", "/two", "/three", "/last"}, builtIn...); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	got, err = libraryDirs(filepath.Join(dir, "missing.conf"))
	if err != nil || !slices.Equal(got, builtIn) {
		t.Errorf("without the file: %q, %v", got, err)
	}
}

func TestLocateNamesWhatIsMissing(t *testing.T) {
	_, err := locate("libnone.so.1", object{runpath: []string{"/own"}}, []string{"/lib"})
	if err == nil || !strings.Contains(err.Error(), "libnone.so.1 is in none of /own, /lib") {
		t.Errorf("got %v", err)
	}
}
