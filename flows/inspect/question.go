package inspect

import (
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// Place names an endpoint by IDs.
type Place struct {
	Network  string `json:"network"`
	Endpoint string `json:"endpoint"`
}

// Question is what is to be explained: one of the three.
type Question struct {
	// Dump is lines as `ovs-ofctl dump-flows` prints them. Line is the number of the
	// first where they are a portion of more lines, from 2.
	Dump string `json:"dump,omitempty"`
	Line int    `json:"line,omitempty"`
	// Cookie is a flow's.
	Cookie *uint64 `json:"cookie,omitempty"`
	// From and To are two endpoints.
	From *Place `json:"from,omitempty"`
	To   *Place `json:"to,omitempty"`
}

// Words are what a user asked to have explained: lines, a cookie, or the words for
// two endpoints.
type Words struct {
	Question
	From, To string
}

// ParseWords tells from the command line's arguments what is meant. Without any
// it is lines that come from elsewhere.
func ParseWords(args []string) (Words, error) {
	text := strings.Join(args, " ")
	switch {
	case strings.Contains(text, "actions="):
		return Words{Question: Question{Dump: text}}, nil
	case len(args) == 1:
		cookie, err := strconv.ParseUint(strings.TrimPrefix(args[0], "cookie="), 0, 64)
		if err != nil {
			return Words{}, overlay.Refuse(overlay.Invalid, fmt.Sprintf("%q", args[0]), "write a dumped line in quotes, a cookie such as 0x6f760301, or two endpoints: FROM TO", "neither a flow, which has actions=, nor a cookie")
		}
		return Words{Question: Question{Cookie: &cookie}}, nil
	case len(args) == 2:
		return Words{From: args[0], To: args[1]}, nil
	case len(args) == 0:
		return Words{}, nil
	}
	return Words{}, overlay.Refuse(overlay.Invalid, fmt.Sprintf("%q", text), "write a dumped line, a cookie, or two endpoints: FROM TO", "%d words that are no flow: actions= is missing", len(args))
}

// Explain answers a question.
func (b Bridge) Explain(q Question) (iter.Seq[Explanation], error) {
	switch {
	case q.Cookie != nil:
		return b.ExplainCookie(*q.Cookie)
	case q.From != nil && q.To != nil:
		from, known := b.Snapshot.Endpoint(q.From.Network, q.From.Endpoint)
		to, knownToo := b.Snapshot.Endpoint(q.To.Network, q.To.Endpoint)
		if !known || !knownToo {
			return nil, overlay.Refuse(overlay.Missing, "endpoint", "see ovsnet status on that host", "%s does not know both endpoints yet", b.Host.Node)
		}
		return b.ExplainPath(from, to)
	}
	dumped, err := b.readDump(q.Dump, max(q.Line, 1)-1)
	if err != nil {
		return nil, err
	}
	return b.ExplainDump(dumped), nil
}

// portName is where ovs-ofctl prints a port by its name, as it does on a terminal.
var portName = regexp.MustCompile(`(in_port=|output:|resubmit\()("?)([A-Za-z][A-Za-z0-9_.-]*)("?)`)

// readDump reads lines in which ports may have their names, and before which there
// were that many.
func (b Bridge) readDump(text string, before int) ([]flows.Installed, error) {
	given := strings.Split(text, "\n")
	lines, shifts := make([]string, len(given)), make([][]shift, len(given))
	for i, line := range given {
		lines[i], shifts[i] = b.numbered(line)
	}
	dumped, err := flows.ParseDump(strings.NewReader(strings.Join(lines, "\n")))
	var syntax *flows.SyntaxError
	if i := slices.IndexFunc(dumped, func(f flows.Installed) bool { return f.Unread != nil && flows.Ours(f.Cookie) }); err == nil && i >= 0 {
		err = dumped[i].Unread // what others do may be beyond ovsnet, its own flows are not
	}
	if errors.As(err, &syntax) {
		at := min(max(syntax.Line, 1), len(given)) - 1
		return nil, overlay.Refuse(overlay.Invalid, fmt.Sprintf("line %d, column %d", before+syntax.Line, original(syntax.Column, shifts[at])),
			dumpRemedy, "%s: %q", shortened(syntax.Cause), shortened(given[at]))
	}
	if err == nil && len(dumped) == 0 {
		err = overlay.Refuse(overlay.Invalid, "flow dump", dumpRemedy, "no flow is in it")
	}
	return dumped, err
}

// mostShown is how much of a line that is no flow is shown, in bytes.
const mostShown = 400

// shortened is text that is short enough for an error.
func shortened(text string) string {
	if len(text) <= mostShown {
		return text
	}
	return strings.ToValidUTF8(text[:mostShown], "") + "…"
}

// shift is by how many bytes a line got longer from a column on.
type shift struct{ column, bytes int }

// numbered replaces port names by their numbers.
func (b Bridge) numbered(line string) (string, []shift) {
	var out strings.Builder
	var shifts []shift
	last := 0
	for _, at := range portName.FindAllStringSubmatchIndex(line, -1) {
		number, known := b.PortNames[line[at[6]:at[7]]]
		if !known {
			continue
		}
		out.WriteString(line[last:at[3]])
		text := strconv.FormatUint(uint64(number), 10)
		out.WriteString(text)
		last = at[9]
		shifts = append(shifts, shift{out.Len(), len(line[at[3]:at[9]]) - len(text)})
	}
	out.WriteString(line[last:])
	return out.String(), shifts
}

// original is the column that it was before the line was changed.
func original(column int, shifts []shift) int {
	moved := 0
	for _, s := range shifts {
		if s.column < column {
			moved += s.bytes
		}
	}
	return column + moved
}
