package inspect

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// maxLine bounds one line of a dump, in bytes; no flow takes as many.
const maxLine = 1 << 20

// dumpRemedy is what to do about lines that are no dump.
const dumpRemedy = "give lines as ovs-ofctl dump-flows prints them"

// Portions cuts a dump, however long, into questions about some of its lines each,
// which are not read before they are asked for. A question is at most size bytes in
// JSON, but for one line that is longer itself. Every one begins with a line that is
// to be a flow. A dump without any is refused (Invalid), as is a line of more than
// 1 MiB; name says in a refusal where the lines come from.
func Portions(from io.Reader, name string, size int) iter.Seq2[Question, error] {
	return func(yield func(Question, error) bool) {
		lines := bufio.NewScanner(from)
		lines.Buffer(nil, maxLine)
		p := portion{}
		n, any := 0, false
		for lines.Scan() {
			n++
			text := lines.Text()
			if p.lines == nil && flows.Flowless(text) {
				continue
			}
			length := lengthOf(text)
			if p.lines != nil && p.size+length > size {
				if !yield(p.question(), nil) {
					return
				}
				p = portion{}
				if flows.Flowless(text) {
					continue
				}
			}
			any = true
			p.add(n, text, length)
		}
		switch err := lines.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(Question{}, overlay.Refuse(overlay.Invalid, fmt.Sprintf("line %d of %s", n+1, name), dumpRemedy, "it is longer than the %d MiB that a flow may take", maxLine>>20))
		case err != nil:
			yield(Question{}, fmt.Errorf("read the lines to explain from %s: %w", name, err))
		case !any:
			yield(Question{}, overlay.Refuse(overlay.Invalid, "flow dump", dumpRemedy, "no flow is in it"))
		case p.lines != nil:
			yield(p.question(), nil)
		}
	}
}

// portion is a question that is being put together.
type portion struct {
	lines []string
	// first is the number of the first line in the dump, size the bytes in JSON.
	first, size int
}

func (p *portion) add(number int, text string, length int) {
	if p.lines == nil {
		p.first = number
	}
	p.lines = append(p.lines, text)
	p.size += length
}

func (p portion) question() Question {
	q := Question{Dump: strings.Join(p.lines, "\n")}
	if p.first > 1 {
		q.Line = p.first
	}
	return q
}

// lengthOf is how long a line is among others in JSON.
func lengthOf(text string) int {
	raw, err := json.Marshal(text)
	if err != nil {
		return len(text) // a string always becomes JSON
	}
	return len(raw)
}
