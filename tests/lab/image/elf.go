package image

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// object is what an ELF file says about the other files that it needs.
type object struct {
	machine elf.Machine
	interp  string
	needed  []string
	runpath []string
}

// closure returns the program and all files that it needs to run, each once.
func closure(program string, dirs []string) ([]string, error) {
	var files []string
	seen := map[string]bool{}
	queue := []string{program}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		files = append(files, path)
		o, err := readObject(path)
		if err != nil {
			return nil, err
		}
		if o.interp != "" {
			queue = append(queue, o.interp)
		}
		for _, name := range o.needed {
			lib, err := locate(name, o, dirs)
			if err != nil {
				return nil, fmt.Errorf("find what %s needs: %w", path, err)
			}
			queue = append(queue, lib)
		}
	}
	return files, nil
}

func readObject(path string) (object, error) {
	f, err := elf.Open(path)
	if err != nil {
		return object{}, fmt.Errorf("read %s as an ELF file: %w", path, err)
	}
	defer f.Close()
	o := object{machine: f.Machine}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name := make([]byte, p.Filesz)
		if _, err := p.ReadAt(name, 0); err != nil {
			return object{}, fmt.Errorf("read the interpreter of %s: %w", path, err)
		}
		o.interp = strings.TrimRight(string(name), "\x00")
	}
	// A static program has no dynamic section, and these answer nothing.
	if o.needed, err = f.ImportedLibraries(); err != nil {
		return object{}, fmt.Errorf("read the libraries of %s: %w", path, err)
	}
	for _, tag := range []elf.DynTag{elf.DT_RUNPATH, elf.DT_RPATH} {
		paths, err := f.DynString(tag)
		if err != nil {
			return object{}, fmt.Errorf("read the library path of %s: %w", path, err)
		}
		for _, p := range paths {
			expanded := strings.ReplaceAll(p, "$ORIGIN", filepath.Dir(path))
			o.runpath = append(o.runpath, filepath.SplitList(expanded)...)
		}
	}
	return o, nil
}

// locate finds the library called name for the object o, as the dynamic linker does: own paths, then the system's.
func locate(name string, o object, dirs []string) (string, error) {
	search := append(append([]string{}, o.runpath...), dirs...)
	for _, dir := range search {
		path := filepath.Join(dir, name)
		f, err := elf.Open(path)
		if err != nil {
			continue
		}
		machine := f.Machine
		f.Close()
		if machine == o.machine {
			return path, nil
		}
	}
	return "", fmt.Errorf("library %s is in none of %s", name, strings.Join(search, ", "))
}

// libraryDirs lists where the dynamic linker looks: the directories of conf (ld.so.conf(5) form), then the built-in ones.
func libraryDirs(conf string) ([]string, error) {
	dirs, err := readConf(conf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the linker's directories: %w", err)
	}
	return append(dirs, "/lib", "/usr/lib", "/lib64", "/usr/lib64"), nil
}

func readConf(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var dirs []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line = strings.TrimSpace(line)
		pattern, isInclude := strings.CutPrefix(line, "include ")
		switch {
		case line == "":
		case !isInclude:
			dirs = append(dirs, line)
		default:
			more, err := included(path, strings.TrimSpace(pattern))
			if err != nil {
				return nil, err
			}
			dirs = append(dirs, more...)
		}
	}
	return dirs, lines.Err()
}

func included(from, pattern string) ([]string, error) {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(from), pattern)
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("include %s: %w", pattern, err)
	}
	var dirs []string
	for _, p := range paths {
		more, err := readConf(p)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, more...)
	}
	return dirs, nil
}
