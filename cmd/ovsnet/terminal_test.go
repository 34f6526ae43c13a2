package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// What cannot be written is said once.
func TestToPeopleWhereNothingCanBeWritten(t *testing.T) {
	for _, text := range []string{"line\n", "no end", "line\nno end"} {
		app := &cli.App{Writer: fullDisk{}}
		err := toPeople(cli.NewContext(app, nil, nil), func(w io.Writer) error {
			_, err := fmt.Fprint(w, text)
			return err
		})
		if err == nil || strings.Count(err.Error(), "no space left") != 1 {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

// What another host sent may not move the cursor, set the title or write over what
// stands there; colours and letters of any language stay.
func TestLegible(t *testing.T) {
	for given, shown := range map[string]string{
		"plain ─ text\twith ü\n":             "plain ─ text\twith ü\n",
		"\x1b[1mbold\x1b[0;31m red\x1b[m\n":  "\x1b[1mbold\x1b[0;31m red\x1b[m\n",
		"a\x1b[2Jb\x1b]0;title\x07c\rd\n":    "a�[2Jb�]0;title�c�d\n",
		"c1 \u009b2J \xff and bidi \u202e\n": "c1 �2J � and bidi �\n",
		"no end\x00":                         "no end�",
		"":                                   "",
		"\x1b[31":                            "�[31",
	} {
		for _, size := range []int{1, 3, 1000} {
			var out strings.Builder
			l := &legible{to: &out}
			for rest := given; rest != ""; {
				n := min(size, len(rest))
				if written, err := l.Write([]byte(rest[:n])); err != nil || written != n {
					t.Fatal(written, err)
				}
				rest = rest[n:]
			}
			if err := l.end(); err != nil {
				t.Fatal(err)
			}
			if out.String() != shown {
				t.Errorf("%q in portions of %d is shown as %q, not %q", given, size, out.String(), shown)
			}
		}
	}
}
