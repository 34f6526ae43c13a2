package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/ovsnet/ovsnet/tests/bench/figures"
)

func main() {
	docs := flag.String("docs", "docs", "the directory with performance.md, data and plots")
	flag.Parse()
	if err := run(*docs); err != nil {
		fmt.Fprintln(os.Stderr, "plots:", err)
		os.Exit(1)
	}
}

func run(docs string) error {
	if err := os.MkdirAll(filepath.Join(docs, "plots"), 0o755); err != nil {
		return fmt.Errorf("make a place for the plots: %w", err)
	}
	var control figures.Control
	var scale figures.Scale
	var timed, counted, jumbo, userspace figures.Datapath
	var profile figures.Profile
	for _, kept := range []struct {
		name   string
		report report
		draw   func(directory string) error
	}{
		{"control.json", &control, func(directory string) error { return drawControl(control, directory) }},
		{"scale.json", &scale, func(directory string) error { return drawScale(scale, directory) }},
		{"datapath.json", &timed, func(directory string) error { return drawDatapath(timed, filepath.Join(directory, "datapath.svg")) }},
		{"datapath-icount.json", &counted, func(directory string) error {
			return drawDatapath(counted, filepath.Join(directory, "datapath-icount.svg"))
		}},
		{"datapath-jumbo.json", &jumbo, undrawn},
		{"datapath-netdev.json", &userspace, undrawn},
		{"datapath-profile.json", &profile, undrawn},
	} {
		err := figures.Read(filepath.Join(docs, "data", kept.name), kept.report)
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(os.Stderr, "%s is not there: its plots and tables stay as they are\n", kept.name)
			continue
		}
		if err != nil {
			return err
		}
		if err := fill(filepath.Join(docs, "performance.md"), kept.name, kept.report.String(), kept.report.Tables()); err != nil {
			return err
		}
		if err := kept.draw(filepath.Join(docs, "plots")); err != nil {
			return err
		}
	}
	if len(counted.Dumps) == 0 {
		return nil
	}
	return fillMegaflows(docs, counted)
}

// report is what one run of a bench found.
type report interface {
	fmt.Stringer
	Tables() []figures.Table
}

// undrawn has tables only.
func undrawn(string) error { return nil }

// fill puts the tables into the page, between the comments `<!-- data/NAME -->` and `<!-- end -->`.
func fill(path, name, line string, tables []figures.Table) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "\n%s\n", line)
	if err := figures.Markdown(&text, tables); err != nil {
		return err
	}
	text.WriteByte('\n')
	return replace(path, "data/"+name, text.Bytes())
}

// replace puts the text into the page, between the comments `<!-- PLACE -->` and `<!-- end -->`.
func replace(path, name string, text []byte) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	place := regexp.MustCompile(`(?s)(<!-- ` + regexp.QuoteMeta(name) + ` -->\n).*?(<!-- end -->\n)`)
	if !place.Match(page) {
		return fmt.Errorf("%s has no place for %s: it wants the comments <!-- %s --> and <!-- end -->", path, name, name)
	}
	page = place.ReplaceAllFunc(page, func(found []byte) []byte {
		parts := place.FindSubmatch(found)
		return bytes.Join([][]byte{parts[1], text, parts[2]}, nil)
	})
	if err := os.WriteFile(path, page, 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}
