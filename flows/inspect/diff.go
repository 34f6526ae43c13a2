package inspect

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
)

// Report is how one host's installed flows differ from the desired ones.
type Report struct {
	// Node is the host's name.
	Node string `json:"node"`
	// Installed and Desired are the numbers of flows.
	Installed int `json:"installed"`
	Desired   int `json:"desired"`
	// Note says what keeps the desired flows from being all that the cluster's
	// records ask for; usually empty.
	Note string `json:"note,omitempty"`
	// Differences are in the order of flows; empty where they agree.
	Differences []Difference `json:"differences"`
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

// Diff compares the host's flows.
func (b Bridge) Diff() Report {
	r := Report{Node: b.Host.Node, Differences: []Difference{}}
	if b.Host.Tunnel == 0 {
		r.Note = b.Host.Node + " has no tunnel port, so no flow should lead to or from another host; see ovsnet status"
	}
	for p := range b.pairs() {
		if p.has != nil {
			r.Installed++
		}
		if p.want != nil {
			r.Desired++
		}
		if p.state() == Installed {
			continue
		}
		d := Difference{Line: b.line(p), Changes: p.changes(), At: r.Installed, To: r.Desired}
		if p.has != nil {
			d.Installed = written(*p.has)
		}
		if p.want != nil {
			d.Desired = p.want.String()
		}
		r.Differences = append(r.Differences, d)
	}
	return r
}

// written is an installed flow as it compares with a desired one.
func written(f flows.Installed) string {
	if f.Unread != nil {
		return f.String()
	}
	return strings.Replace(f.String(), ", ", ", "+strings.ReplaceAll(f.Options, " ", ", "), 1)
}

// WriteUnified writes the report as a unified diff from the installed flows to
// the desired ones; nothing where they agree. Where style is wide more lines with
// "#" say what the installed flow counted, whose it is, and what of it differs.
func (r Report) WriteUnified(w io.Writer, style Style) error {
	if len(r.Differences) == 0 {
		return nil
	}
	out := bufio.NewWriter(w)
	_, _ = fmt.Fprintln(out, style.paint(bold, fmt.Sprintf("--- installed on %s: %d flows", r.Node, r.Installed)))
	_, _ = fmt.Fprintln(out, style.paint(bold, fmt.Sprintf("+++ desired on %s: %d flows", r.Node, r.Desired)))
	if r.Note != "" {
		_, _ = fmt.Fprintln(out, "# "+r.Note)
	}
	for _, d := range r.Differences {
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
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the diff: %w", err)
	}
	return nil
}

// span is a hunk's place in one of the lists: one line, or none after another.
func span(line int, flow string) string {
	if flow == "" {
		return fmt.Sprintf("%d,0", line)
	}
	return fmt.Sprint(line)
}
