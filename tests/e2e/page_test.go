package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/tests/lab"
)

var update = flag.Bool("update", false, "write what a lab prints into the pages of docs anew")

// page is a page of docs, parts of which a lab prints: each between a line that names it and a line that ends it.
type page struct {
	path  string
	parts map[string]string
}

const partEnd = "<!-- end -->\n"

func partBegin(name string) string { return "<!-- printed by a lab: " + name + " -->\n" }

func newPage(name string) page { return page{path: "../../docs/" + name, parts: map[string]string{}} }

// hold holds the page against what the lab printed, or writes that into it.
func (p page) hold(t *testing.T) {
	t.Helper()
	raw, err := os.ReadFile(p.path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for name, part := range p.parts {
		before, rest, begun := strings.Cut(text, partBegin(name))
		_, after, ended := strings.Cut(rest, partEnd)
		if !begun || !ended {
			t.Errorf("%s has no place for %q, between %q and %q", p.path, name, partBegin(name), partEnd)
			continue
		}
		text = before + partBegin(name) + part + partEnd + after
	}
	if places := strings.Count(text, partEnd); places != len(p.parts) {
		t.Errorf("%s has %d places, and the lab printed %d parts", p.path, places, len(p.parts))
	}
	if *update {
		if err := os.WriteFile(p.path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(string(raw), text); diff != "" {
		t.Errorf("%s is not what the lab prints; renew it with `go test ./tests/e2e -run %s -update` and look at the difference (-page +lab):\n%s", p.path, t.Name(), diff)
	}
}

// maxColumns is where a page cuts a line, with an ellipsis.
const maxColumns = 230

// unstable is what differs from lab to lab: the hash in a cookie, how long ago something was, an ID, a request's number.
var unstable = []struct {
	was *regexp.Regexp
	is  string
}{
	{regexp.MustCompile(`(0x6f76[0-9a-f]{2})[0-9a-f]{10}`), "$1…"},
	{regexp.MustCompile(`\b[0-9.]+m?s ago`), "2s ago"},
	{regexp.MustCompile(` \(xid=0x[0-9a-f]+\)`), ""},
	{regexp.MustCompile(`ovsn[0-9a-f]{11}`), "ovsn…"},
}

// shown is what a command prints, as a page shows it.
func shown(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		for _, u := range unstable {
			line = u.was.ReplaceAllString(line, u.is)
		}
		if runes := []rune(line); len(runes) > maxColumns {
			line = string(runes[:maxColumns]) + " …"
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}

// typed runs a line of shell on the host and gives both, as a terminal shows it. How it ends is not looked at.
func typed(t *testing.T, h *lab.Host, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandPatience)
	defer cancel()
	text, err := h.Run(ctx, "sh", "-c", "("+line+") 2>&1")
	if ctx.Err() != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s$ %s\n%s", h.Name, line, shown(text))
}

// block is what was typed, as a page shows it.
func block(parts ...string) string { return "\n```\n" + strings.Join(parts, "\n") + "```\n\n" }
