package main

import (
	"bytes"
	"io"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// color is what may stand in a line besides printable text: the colours and weights of
// ECMA-48 (SGR), which change nothing but how the text looks.
var color = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// legible writes text that is shown to people, some of which other hosts sent: what a
// terminal would obey is replaced, but for colours. It keeps a line until it is whole.
// Several goroutines may write.
type legible struct {
	to   io.Writer
	mu   sync.Mutex
	rest []byte
}

// Write makes legible an io.Writer.
func (l *legible) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, data...)
	end := bytes.LastIndexByte(l.rest, '\n') + 1
	if end == 0 {
		return len(data), nil
	}
	var whole strings.Builder
	for line := range strings.Lines(string(l.rest[:end])) {
		whole.WriteString(plainLine(strings.TrimSuffix(line, "\n")))
		whole.WriteByte('\n')
	}
	l.rest = append(l.rest[:0], l.rest[end:]...)
	_, err := io.WriteString(l.to, whole.String())
	return len(data), err
}

// end writes what is left of a last line.
func (l *legible) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := io.WriteString(l.to, plainLine(string(l.rest)))
	l.rest = nil
	return err
}

// plainLine replaces what is neither printable nor a colour.
func plainLine(line string) string {
	if !strings.ContainsFunc(line, obeyed) {
		return line
	}
	var plain strings.Builder
	for {
		at := color.FindStringIndex(line)
		if at == nil {
			break
		}
		plain.WriteString(printable(line[:at[0]]))
		plain.WriteString(line[at[0]:at[1]])
		line = line[at[1]:]
	}
	plain.WriteString(printable(line))
	return plain.String()
}

// obeyed reports whether a terminal might do something else than show it.
func obeyed(r rune) bool { return r != '\t' && !unicode.IsPrint(r) || r == utf8.RuneError }

// printable is text that may have come from another host, without what a terminal
// would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if obeyed(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// toPeople shows what write writes, made legible. Where that did not end well, what is
// left of the last line is shown all the same.
func toPeople(c *cli.Context, write func(io.Writer) error) error {
	l := &legible{to: c.App.Writer}
	err := write(l)
	if unfinished := l.end(); err == nil {
		err = unfinished
	}
	return err
}
