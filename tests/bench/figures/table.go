package figures

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Table is a table for people. Head and every row have as many cells.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

// add appends a row of values, each written by its own format.
func (t *Table) add(formats string, values ...any) {
	t.Rows = append(t.Rows, strings.Split(fmt.Sprintf(strings.ReplaceAll(formats, " ", "\t"), values...), "\t"))
}

// Print shows the tables on a terminal.
func Print(out io.Writer, tables []Table) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, t := range tables {
		fmt.Fprintf(w, "\n%s\n", t.Title)
		for _, row := range append([][]string{t.Head}, t.Rows...) {
			fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
		}
		if err := w.Flush(); err != nil {
			return fmt.Errorf("print the tables: %w", err)
		}
	}
	return nil
}

// Markdown writes the tables as docs/performance.md has them.
func Markdown(out io.Writer, tables []Table) error {
	w := bufio.NewWriter(out)
	for _, t := range tables {
		_, _ = fmt.Fprintf(w, "\n%s:\n\n| %s |\n|%s\n", t.Title, strings.Join(t.Head, " | "), strings.Repeat(" --- |", len(t.Head)))
		for _, row := range t.Rows {
			_, _ = fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the tables: %w", err)
	}
	return nil
}
