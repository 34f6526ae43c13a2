package architecture_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/ovsnet/ovsnet"

// pkg is what "go list -json" says of a package.
type pkg struct {
	Dir, ImportPath                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports                            []string
}

// path is the package's import path within the module.
func (p pkg) path() string { return inModule(p.ImportPath) }

// inModule cuts the module's path off; a package of others comes back as "".
func inModule(importPath string) string {
	path, ours := strings.CutPrefix(importPath, module+"/")
	if !ours {
		return ""
	}
	return path
}

// house lists the module's packages.
func house(t *testing.T) []pkg {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=Dir,ImportPath,GoFiles,TestGoFiles,XTestGoFiles,Imports", module+"/...")
	out, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v: %v\n%s", command, err, exit.Stderr)
		}
		t.Fatalf("%v: %v", command, err)
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("%v: %v", command, err)
		}
		packages = append(packages, p)
	}
}

// source is one parsed Go file.
type source struct {
	path string // within the module
	main bool   // belongs to a command
	test bool
	ast  *ast.File
	set  *token.FileSet
}

// dir is the package's path with a slash behind it.
func (s source) dir() string { return s.path[:strings.LastIndex(s.path, "/")+1] }

func (s source) line(p token.Pos) int { return s.set.Position(p).Line }

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	for _, p := range house(t) {
		for i, names := range [][]string{p.GoFiles, p.TestGoFiles, p.XTestGoFiles} {
			for _, name := range names {
				set := token.NewFileSet()
				file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.ParseComments)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, source{path: p.path() + "/" + name, main: file.Name.Name == "main", test: i > 0, ast: file, set: set})
			}
		}
	}
	return list
}
