package inspect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
)

// Head is what a comparison of one host's flows says before its differences.
type Head struct {
	// Node is the host's name.
	Node string `json:"node"`
	// Installed and Desired are the numbers of flows.
	Installed int `json:"installed"`
	Desired   int `json:"desired"`
	// Note says what keeps the desired flows from being all that the cluster's
	// records ask for; usually empty.
	Note string `json:"note,omitempty"`
}

// Report is how one host's installed flows differ from the desired ones.
type Report struct {
	Head
	// Differences are in the order of flows; empty where they agree.
	Differences []Difference `json:"differences"`
}

// Comparison is a Report whose differences come one after the other; an error is
// the last that comes. They are to be ranged over once.
type Comparison struct {
	Head
	Differences iter.Seq2[Difference, error]
}

// Difference is one flow that is not as desired.
type Difference struct {
	// Line is the flow as it is installed, or as it should be where it is missing.
	// Its State is missing, altered, vanishing or foreign, and its Reason says what
	// it is for and what is wrong with it.
	Line
	// Changes are in what an altered flow differs; empty for others.
	Changes []Change `json:"changes,omitempty"`
	// Installed and Desired are the flow in the words of ovs-ofctl, empty where
	// there is none; At and To are where in the sorted lists of all of them it
	// stands, or comes after, from 1.
	Installed string `json:"installed"`
	Desired   string `json:"desired"`
	At        int    `json:"installed_line"`
	To        int    `json:"desired_line"`
}

// Compare compares the host's flows.
func (b Bridge) Compare() Comparison {
	c := Comparison{Head: Head{Node: b.Host.Node, Installed: len(b.Installed), Desired: len(b.desired())}}
	if b.Host.Tunnel == 0 {
		c.Note = b.Host.Node + " has no tunnel port, so no flow should lead to or from another host; see ovsnet status"
	}
	c.Differences = func(yield func(Difference, error) bool) {
		at, to := 0, 0
		for p := range b.pairs() {
			if p.has != nil {
				at++
			}
			if p.want != nil {
				to++
			}
			if p.state() != Installed && !yield(b.difference(p, at, to), nil) {
				return
			}
		}
	}
	return c
}

// Differs reports whether any flow is not as desired.
func (b Bridge) Differs() bool {
	for p := range b.pairs() {
		if p.state() != Installed {
			return true
		}
	}
	return false
}

// difference is a pair that stands at, or after, those places of both lists.
func (b Bridge) difference(p pair, at, to int) Difference {
	d := Difference{Line: b.line(p), Changes: p.changes(), At: at, To: to}
	if p.has != nil {
		d.Installed = written(*p.has)
	}
	if p.want != nil {
		d.Desired = p.want.String()
	}
	return d
}

// Report waits for all differences.
func (c Comparison) Report() (Report, error) {
	r := Report{Head: c.Head, Differences: []Difference{}}
	for d, err := range c.Differences {
		if err != nil {
			return r, err
		}
		r.Differences = append(r.Differences, d)
	}
	return r, nil
}

// Comparison is the report as one whose differences come.
func (r Report) Comparison() Comparison {
	return Comparison{Head: r.Head, Differences: func(yield func(Difference, error) bool) {
		for _, d := range r.Differences {
			if !yield(d, nil) {
				return
			}
		}
	}}
}

// written is an installed flow as it compares with a desired one.
func written(f flows.Installed) string {
	if f.Unread != nil {
		return f.String()
	}
	return strings.Replace(f.String(), ", ", ", "+strings.ReplaceAll(f.Options, " ", ", "), 1)
}

// WriteUnified writes the comparison, as its differences come, as a unified diff from
// the installed flows to the desired ones; nothing where they agree. Where style is
// wide more lines with "#" say what the installed flow counted, whose it is, and
// what of it differs.
func (c Comparison) WriteUnified(w io.Writer, style Style) error {
	out := bufio.NewWriter(w)
	any := false
	for d, err := range c.Differences {
		if err != nil {
			_ = out.Flush()
			return err
		}
		if !any {
			c.Head.write(out, style)
		}
		any = true
		d.write(out, style)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the diff: %w", err)
	}
	return nil
}

func (h Head) write(out *bufio.Writer, style Style) {
	_, _ = fmt.Fprintln(out, style.paint(bold, fmt.Sprintf("--- installed on %s: %d flows", h.Node, h.Installed)))
	_, _ = fmt.Fprintln(out, style.paint(bold, fmt.Sprintf("+++ desired on %s: %d flows", h.Node, h.Desired)))
	if h.Note != "" {
		_, _ = fmt.Fprintln(out, "# "+h.Note)
	}
}

func (d Difference) write(out *bufio.Writer, style Style) {
	_, _ = fmt.Fprintln(out, "# "+d.Reason)
	for _, line := range d.details(style) {
		_, _ = fmt.Fprintln(out, "#   "+line)
	}
	_, _ = fmt.Fprintln(out, style.paint(dim, fmt.Sprintf("@@ -%s +%s @@ %d %s", span(d.At, d.Installed), span(d.To, d.Desired), d.Table, d.TableName)))
	if d.Installed != "" {
		_, _ = fmt.Fprintln(out, style.paint(red, "-"+d.Installed))
	}
	if d.Desired != "" {
		_, _ = fmt.Fprintln(out, style.paint(green, "+"+d.Desired))
	}
}

// WriteJSON writes the comparison as a Report, each difference on a line of its own
// as it comes. One that breaks off is ended as JSON all the same, with the reason as
// "broken_off", and the error is returned.
func (c Comparison) WriteJSON(w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<16)
	head, err := compact(c.Head)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, `%s,"differences":[`, bytes.TrimSuffix(head, []byte("}")))
	separator, broken := "\n", error(nil)
	for d, err := range c.Differences {
		var text []byte
		if err == nil {
			text, err = compact(d)
		}
		if err != nil {
			broken = err
			break
		}
		if _, err := fmt.Fprintf(out, "%s%s", separator, text); err != nil {
			break // Flush gives it again
		}
		separator = ",\n"
	}
	_, _ = out.WriteString("]")
	if broken != nil {
		why, _ := compact(broken.Error()) // a string always becomes JSON
		_, _ = fmt.Fprintf(out, `,"broken_off":%s`, why)
	}
	_, _ = out.WriteString("}")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	return broken
}

// compact is a value as JSON on one line, in which "->" stays as it is.
func compact(value any) ([]byte, error) {
	var text bytes.Buffer
	encode := json.NewEncoder(&text)
	encode.SetEscapeHTML(false)
	err := encode.Encode(value)
	return bytes.TrimRight(text.Bytes(), "\n"), err
}

// span is a hunk's place in one of the lists: one line, or none after another.
func span(line int, flow string) string {
	if flow == "" {
		return fmt.Sprintf("%d,0", line)
	}
	return fmt.Sprint(line)
}
