package inspect

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/overlay"
)

// However a dump is cut, every line that is to be a flow is asked about once, under its number, and no question is larger
// than it may be.
func TestPortions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dump := rapid.SliceOf(rapid.SampledFrom([]string{"", " ", "NXST_FLOW reply (xid=0x4):", "actions=drop", "garbage", "\x00\xff<->", strings.Repeat("x", 90)})).Draw(rt, "lines")
		size := rapid.IntRange(1, 200).Draw(rt, "size")
		want := map[int]string{}
		for i, line := range dump {
			if !flows.Flowless(line) {
				want[i+1] = line
			}
		}
		got := map[int]string{}
		for q, err := range Portions(strings.NewReader(strings.Join(dump, "\n")), "a test", size) {
			if err != nil {
				if !overlay.IsKind(err, overlay.Invalid) || len(want) > 0 {
					rt.Fatal(err)
				}
				continue
			}
			lines, length := strings.Split(q.Dump, "\n"), 0
			for i, line := range lines {
				length += lengthOf(line)
				if !flows.Flowless(line) {
					got[max(q.Line, 1)+i] = line
				}
			}
			if flows.Flowless(lines[0]) || length > size && len(lines) > 1 {
				rt.Errorf("%d bytes in %q, at most %d", length, q.Dump, size)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Errorf("(-lines +asked about)\n%s", diff)
		}
	})
}

// What cannot be read is told with the name of where it comes from.
func TestPortionsThatCannotBeRead(t *testing.T) {
	for says, from := range map[string]io.Reader{
		"no flow is in it": strings.NewReader("NXST_FLOW reply (xid=0x4):\n\n"),
		"line 2 of a test: it is longer than the 1 MiB that a flow may take": strings.NewReader("\n" + strings.Repeat("x", 2*maxLine)),
		"read the lines to explain from a test: torn":                        io.MultiReader(strings.NewReader("x\n"), torn{}),
	} {
		var failed error
		for _, failed = range Portions(from, "a test", 100) {
			if failed != nil {
				break
			}
		}
		if failed == nil || !strings.Contains(failed.Error(), says) {
			t.Errorf("error %v, want %q", failed, says)
		}
	}
}

// torn is a pipe that broke.
type torn struct{}

func (torn) Read([]byte) (int, error) { return 0, errors.New("torn") }

// Portions are explained as the whole is, and what is garbage stands in the line that the user sees.
func TestPortionsAreExplainedAsOne(t *testing.T) {
	b := broken(t)
	text := "NXST_FLOW reply (xid=0x4):\n" + dump(b.Installed)
	var parts []Explanation
	for q, err := range Portions(strings.NewReader(text), "a test", 1000) {
		if err != nil {
			t.Fatal(err)
		}
		parts = slices.AppendSeq(parts, must(b.Explain(q)))
	}
	whole := explained(t, must(b.Explain(Question{Dump: text})))
	if got := explained(t, slices.Values(parts)); got != whole {
		t.Errorf("in portions it is\n%s\nand at once\n%s", got, whole)
	}
	count, failed := strings.Count(text, "\n"), error(nil)
	for q := range Portions(strings.NewReader(text+"\n table=0, nonsense=1 actions=drop\n"), "a test", 1000) {
		if _, failed = b.Explain(q); failed != nil {
			break
		}
	}
	if want := fmt.Sprintf("line %d, column 11:", count+2); failed == nil || !strings.Contains(failed.Error(), want) {
		t.Errorf("error %v, want %q", failed, want)
	}
}
