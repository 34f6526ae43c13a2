package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"
)

// column is one column of a list: its title, what it shows of a row, and
// whether only -o wide has it.
type column[T any] struct {
	title string
	cell  func(T) string
	wide  bool
}

// printList prints rows as a table, or as a JSON array.
func printList[T any](c *cli.Context, rows []T, columns []column[T]) error {
	if c.String("output") == "json" {
		if rows == nil {
			rows = []T{}
		}
		return printJSON(c.App.Writer, rows)
	}
	if c.String("output") != "wide" {
		columns = slices.DeleteFunc(columns, func(col column[T]) bool { return col.wide })
	}
	t := newTable()
	var head table.Row
	for _, col := range columns {
		head = append(head, col.title)
	}
	t.AppendHeader(head)
	for _, row := range rows {
		var cells table.Row
		for _, col := range columns {
			cells = append(cells, col.cell(row))
		}
		t.AppendRow(cells)
	}
	return toPeople(c, func(w io.Writer) error { return printTable(w, t) })
}

// field is one line of an object shown to people.
type field struct {
	name  string
	value any
}

// printObject prints one object: its fields for people, the object as JSON.
func printObject(c *cli.Context, object any, fields []field) error {
	if c.String("output") == "json" {
		return printJSON(c.App.Writer, object)
	}
	t := newTable()
	for _, f := range fields {
		t.AppendRow(table.Row{f.name, f.value})
	}
	return toPeople(c, func(w io.Writer) error { return printTable(w, t) })
}

// newTable is columns parted by blanks, which people read and scripts cut.
func newTable() table.Writer {
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "   "
	style.Format.Header = text.FormatUpper
	t := table.NewWriter()
	t.SetStyle(style)
	return t
}

// printTable writes a table without the blanks that pad its last column.
func printTable(w io.Writer, t table.Writer) error {
	lines := strings.Split(t.Render(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// ago says how long something has been so.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := now.Sub(t)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
