package inspect

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"
)

// Style is how text looks.
type Style struct {
	// Wide shows match, actions, cookie and state beside the rest.
	Wide bool `json:"wide,omitempty"`
	// Color marks with ANSI colours (ECMA-48) what is wrong and what was dropped.
	Color bool `json:"color,omitempty"`
}

// The colours.
const (
	plain = ""
	red   = "31"
	green = "32"
	amber = "33"
	dim   = "2"
	bold  = "1"
)

func (s Style) paint(color, text string) string {
	if !s.Color || color == plain {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// WriteLines writes lines for people as they come: grouped by table, one line
// each, in columns of fixed width.
func WriteLines(w io.Writer, lines iter.Seq2[Line, error], style Style) error {
	out := bufio.NewWriter(w)
	group, any := "", false
	for line, err := range lines {
		if err != nil {
			_ = out.Flush()
			return err
		}
		if title := style.title(line); !any || title != group {
			if any {
				_, _ = out.WriteString("\n")
			}
			group, any = title, true
			_, _ = fmt.Fprintln(out, style.paint(bold, title))
			_, _ = fmt.Fprintln(out, style.paint(dim, style.heading()))
		}
		_, _ = fmt.Fprintln(out, style.paint(colorOf(line), style.row(line)))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return nil
}

func (s Style) title(l Line) string {
	return fmt.Sprintf("%d %s: %s", l.Table, l.TableName, l.Table.Meaning())
}

func (s Style) heading() string {
	text := fmt.Sprintf("%8s %10s %12s %8s  ", "PRIORITY", "PACKETS", "BYTES", "AGE")
	if s.Wide {
		text += fmt.Sprintf("%-9s  %-18s  ", "STATE", "COOKIE")
	}
	text += "REASON"
	if s.Wide {
		text += "  |  MATCH  |  ACTIONS"
	}
	return text
}

func (s Style) row(l Line) string {
	packets, bytes, age := strconv.FormatUint(l.Packets, 10), strconv.FormatUint(l.Bytes, 10), ago(l.Age)
	if l.State == Missing {
		packets, bytes, age = "-", "-", "-"
	}
	text := fmt.Sprintf("%8d %10s %12s %8s  ", l.Priority, packets, bytes, age)
	if s.Wide {
		text += fmt.Sprintf("%-9s  %-18s  ", l.State, l.Cookie)
	}
	text += l.Reason
	if l.State == Foreign && !s.Wide {
		text += ": " + l.matched() + " actions=" + l.Actions
	}
	if s.Wide {
		text += "  |  " + l.matched() + "  |  " + l.Actions
	}
	return text
}

// matched is the match as people read it.
func (l Line) matched() string {
	if l.Match == "" {
		return "every packet"
	}
	return l.Match
}

func colorOf(l Line) string {
	switch {
	case l.State != Installed:
		return red
	case l.Drops && l.Packets > 0:
		return amber
	case l.Packets == 0:
		return dim
	}
	return plain
}

// ago writes a time in seconds in two units.
func ago(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	if d < 24*time.Hour {
		return d.String()
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}
