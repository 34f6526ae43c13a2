package agent

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ovsnet/ovsnet/flows/inspect"
)

// flood tells differences without end, or until it breaks, or that many.
type flood struct {
	*told
	made         *atomic.Int64
	breaks, ends int64
}

func (f flood) Differences(ctx context.Context) (inspect.Comparison, error) {
	return inspect.Comparison{Head: inspect.Head{Node: "h1", Installed: 7}, Differences: func(yield func(inspect.Difference, error) bool) {
		for ctx.Err() == nil {
			if f.made.Add(1) == f.breaks {
				yield(inspect.Difference{}, errors.New("broken"))
				return
			}
			if f.ends > 0 && f.made.Load() > f.ends {
				return
			}
			if !yield(inspect.Difference{Desired: strings.Repeat("x", 1000)}, nil) {
				return
			}
		}
	}}, nil
}

// Differences come as they are made, and no more of them are made than may wait for who reads; who has read enough leaves.
func TestDifferencesCome(t *testing.T) {
	f := flood{told: &told{}, made: &atomic.Int64{}}
	c, err := serveControl(t, f).Differences(t.Context())
	if err != nil || c.Node != "h1" || c.Installed != 7 {
		t.Fatalf("head %+v, error %v", c.Head, err)
	}
	read := 0
	for _, err := range c.Differences {
		if read++; err != nil {
			t.Fatal(err)
		}
		if read == 100 {
			break
		}
	}
	if made := f.made.Load(); made > mostAhead/1000+10000 {
		t.Errorf("%d differences were made for %d that were read", made, read)
	}
}

// An answer that breaks off is never taken for a whole one.
func TestDifferencesThatBreakOff(t *testing.T) {
	f := flood{told: &told{}, made: &atomic.Int64{}, breaks: 200}
	c, err := serveControl(t, f).Differences(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Report()
	if err == nil || !strings.Contains(err.Error(), "not whole") || len(r.Differences) > 200 {
		t.Errorf("%d differences, error %v", len(r.Differences), err)
	}
	for answer, whole := range map[string]bool{
		`{"node":"h1","installed":7,"desired":7,"note":"x","differences":[{"desired":"a"},{"desired":"b"}]}`:                     true,
		`{"node":"h1","installed":7,"desired":7,"note":"x","differences":[{"desired":"a"},{"desired":"b"}],"broken_off":"torn"}`: false,
		`{"node":"h1","installed":7,"desired":7,"note":"x","differences":[{"desired":"a"},{"desired":"b"}`:                       false,
		`{"node":"h1","installed":7,"desired":7,"note":"x","differences":[{"desired":"a"},{"desired":"b"}]`:                      false,
		`{"node":"h1","installed":7,"desired":7,"note":"x","differences":[`:                                                      false, `{"node":"h1"}`: false, `{"node":`: false, `[]`: false, ``: false, `null`: false,
	} {
		r, err := reported(NewInspector(letter(answer)).Differences(t.Context()))
		if (err == nil) != whole || err != nil && !strings.Contains(err.Error(), "not whole") || whole && (len(r.Differences) != 2 || r.Note != "x" || r.Desired != 7) {
			t.Errorf("%s: %+v, error %v", answer, r, err)
		}
	}
}

// letter is a Carrier that brings always this.
type letter string

func (l letter) Carry(context.Context, string, []byte) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(l))), nil
}
