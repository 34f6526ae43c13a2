package architecture_test

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// The settings file of the package names every setting of the agent, and
// nothing else.
func TestSettingsFileNamesEverySetting(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", "ovsnet.default"))
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, match := range regexp.MustCompile(`(?m)^#OVSNET_([A-Z_]+)=`).FindAllStringSubmatch(string(text), -1) {
		listed = append(listed, match[1])
	}
	var read []string
	for _, s := range sources(t) {
		if s.path == "cmd/ovsnet/agent.go" || s.path == "cmd/ovsnet/flags.go" {
			read = append(read, settings(s.ast)...)
		}
	}
	// How lists are printed is no matter of the agent.
	read = slices.DeleteFunc(read, func(name string) bool { return name == "OUTPUT" })
	slices.Sort(listed)
	slices.Sort(read)
	if len(read) == 0 || !slices.Equal(listed, read) {
		t.Errorf("packaging/ovsnet.default lists\n%v,\nthe agent reads\n%v", listed, read)
	}
}

// settings returns the words in calls like env("WORD").
func settings(file *ast.File) []string {
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return true
		}
		called, isName := call.Fun.(*ast.Ident)
		word, isWord := call.Args[0].(*ast.BasicLit)
		if isName && isWord && called.Name == "env" {
			if name, err := strconv.Unquote(word.Value); err == nil {
				names = append(names, name)
			}
		}
		return true
	})
	return names
}
