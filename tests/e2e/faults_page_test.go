package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The table of faults in docs/operating.md has a row for each part of docs/faults.md, in its order and with a link to
// it; what the row says in code was typed or printed there, up to an ellipsis.
func TestFaultsTable(t *testing.T) {
	parts := strings.Split(readPage(t, "faults.md"), "\n## ")[1:]
	rows := regexp.MustCompile(`(?m)^\| \[([^\]]*)\]\(faults\.md#([^)]*)\) \| (.*) \| (.*) \| (.*) \|$`).FindAllStringSubmatch(readPage(t, "operating.md"), -1)
	if len(rows) != len(parts) {
		t.Fatalf("docs/operating.md has %d rows of faults, and docs/faults.md %d parts", len(rows), len(parts))
	}
	for i, part := range parts {
		name, _, _ := strings.Cut(part, "\n")
		row := rows[i]
		if row[1] != name || row[2] != anchor(name) {
			t.Errorf("row %d is of %q at #%s, want %q at #%s", i+1, row[1], row[2], name, anchor(name))
			continue
		}
		for _, code := range codes(row[3]) {
			if !strings.Contains(part, code) {
				t.Errorf("%s: with Open vSwitch's tools: nobody typed or saw %q", name, code)
			}
		}
		command, said := codes(row[4]), codes(row[5])
		if len(command) != 1 || len(said) != 1 || !prints(part, command[0], said[0]) {
			t.Errorf("%s: %q does not print %q", name, command, said)
		}
	}
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(newPage(name).path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anchor is by what a heading is linked to.
func anchor(heading string) string {
	return strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// codes are what a cell has between backticks.
func codes(cell string) []string {
	var list []string
	for i, word := range strings.Split(cell, "`") {
		if i%2 == 1 {
			list = append(list, word)
		}
	}
	return list
}

// prints reports whether a command that was typed in the part, there perhaps with a pipe behind it, printed the line.
func prints(part, command, line string) bool {
	line, _ = strings.CutSuffix(line, " …")
	for _, typed := range regexp.MustCompile(`(?m)^h\d\$ `).Split(part, -1)[1:] {
		first, printed, _ := strings.Cut(typed, "\n")
		if first != command && !strings.HasPrefix(first, command+" | ") {
			continue
		}
		for at := range strings.Lines(printed) {
			if strings.HasPrefix(strings.TrimSpace(at), line) {
				return true
			}
		}
	}
	return false
}
