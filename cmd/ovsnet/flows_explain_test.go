package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

// said is what a host of a test answers: explanations, and then perhaps an error.
type said struct {
	list []string
	err  error
}

func (s said) all() iter.Seq2[inspect.Explanation, error] {
	return func(yield func(inspect.Explanation, error) bool) {
		for _, does := range s.list {
			if !yield(inspect.Explanation{Does: does}, nil) {
				return
			}
		}
		if s.err != nil {
			yield(inspect.Explanation{}, s.err)
		}
	}
}

// A host that says nothing is explained by the records; one that refuses, or breaks off, ends it.
func TestExplainWhereAHostIsSilent(t *testing.T) {
	away := overlay.Refuse(overlay.Unavailable, `node "h2"`, "see systemctl status ovsnet on that host", "its agent shows no sign of life")
	refused := overlay.Refuse(overlay.Missing, "endpoint", "see ovsnet status on that host", "h1 does not know both endpoints yet")
	for name, tt := range map[string]struct {
		h1, h2      said
		want        []string
		err, silent error
	}{
		"both answer":          {said{list: []string{"a"}}, said{list: []string{"b"}}, []string{"a", "b"}, nil, nil},
		"the second is away":   {said{list: []string{"a"}}, said{err: away}, []string{"a", "h2 by records"}, nil, away},
		"the first is away":    {said{err: away}, said{list: []string{"b"}}, []string{"h1 by records", "b"}, nil, away},
		"the first refuses":    {said{err: refused}, said{list: []string{"b"}}, nil, refused, nil},
		"the first breaks off": {said{list: []string{"a"}, err: away}, said{list: []string{"b"}}, []string{"a"}, away, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := &explainedPath{
				patience: time.Minute,
				ask: func(_ context.Context, host string) iter.Seq2[inspect.Explanation, error] {
					return map[string]said{"h1": tt.h1, "h2": tt.h2}[host].all()
				},
				assume: func(host, silent string) (iter.Seq[inspect.Explanation], error) {
					return slices.Values([]inspect.Explanation{{Does: host + " by records", Silent: silent}}), nil
				},
			}
			var got []string
			var failed error
			for e, err := range p.over(t.Context(), []string{"h1", "h2"}) {
				if failed = err; err == nil {
					got = append(got, e.Does)
				}
				if e.Silent != "" && e.Silent != away.Error() {
					t.Errorf("silent because %q", e.Silent)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || !errors.Is(failed, tt.err) || p.silent != tt.silent {
				t.Errorf("error %v, want %v; silent %v, want %v (-want +got):\n%s", failed, tt.err, p.silent, tt.silent, diff)
			}
		})
	}
}

// A host that does not answer in its time is not waited for longer.
func TestExplainWhereAHostHangs(t *testing.T) {
	hangs := func(ctx context.Context, _ string) iter.Seq2[inspect.Explanation, error] {
		return func(yield func(inspect.Explanation, error) bool) {
			<-ctx.Done()
			yield(inspect.Explanation{}, ctx.Err())
		}
	}
	p := &explainedPath{ask: hangs, patience: 1, assume: func(string, string) (iter.Seq[inspect.Explanation], error) {
		return slices.Values([]inspect.Explanation{{Does: "by records"}}), nil
	}}
	told := 0
	for _, err := range p.over(t.Context(), []string{"h1"}) {
		if told++; err != nil {
			t.Error(err)
		}
	}
	if told != 1 || exitStatus(p.silent) != 4 {
		t.Errorf("%d explanations, silent %v, exit status %d", told, p.silent, exitStatus(p.silent))
	}
}

// explainer says of every question what it is, and refuses those with the word.
type explainer struct {
	reporter
	word string
}

func (e explainer) Explain(_ context.Context, q inspect.Question) (iter.Seq[inspect.Explanation], error) {
	if strings.Contains(q.Dump, e.word) {
		return nil, overlay.Refuse(overlay.Invalid, fmt.Sprintf("line %d", q.Line+strings.Count(q.Dump[:strings.Index(q.Dump, e.word)], "\n")), "", "garbage")
	}
	return slices.Values([]inspect.Explanation{{Flow: fmt.Sprintf("%d lines from %d", strings.Count(q.Dump, "\n")+1, q.Line)}}), nil
}

// A dump is explained in portions, however long it is, and its lines are counted over all of them. What is printed
// is an array also where a line is refused.
func TestExplainALongDump(t *testing.T) {
	const count = 60000
	line := "cookie=0x5, table=60, priority=3 actions=" + strings.Repeat("output:1,", 18) + "output:2\n"
	path := filepath.Join(t.TempDir(), "dump")
	for garbage, want := range map[string]string{"": "", "nonsense\n": fmt.Sprintf("ovsnet: line %d: garbage\n", count+2)} {
		if err := os.WriteFile(path, []byte("NXST_FLOW reply (xid=0x4):\n"+strings.Repeat(line, count)+garbage), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		status := run(t.Context(), []string{"ovsnet", "flows", "explain", "--file", path, "-o", "json", "--socket", control(t, explainer{word: "nonsense"})}, &out, &errs)
		var list []inspect.Explanation
		if errs.String() != want || (status == 0) != (want == "") {
			t.Errorf("status %d, said %q, want %q", status, errs.String(), want)
		}
		portions := 2
		if want != "" {
			portions = 1
		}
		if err := json.Unmarshal(out.Bytes(), &list); err != nil || len(list) != portions || !strings.HasSuffix(list[0].Flow, " lines from 2") {
			t.Errorf("printed %q, error %v", out.String(), err)
		}
	}
	if err := os.WriteFile(path, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	status := run(t.Context(), []string{"ovsnet", "flows", "explain", "--file", path, "--socket", control(t, explainer{word: "nonsense"})}, io.Discard, &errs)
	if want := "line 1 of " + path + ": it is longer than the 1 MiB that a flow may take; give lines"; status != 2 || !strings.Contains(errs.String(), want) {
		t.Errorf("status %d, said %q, want %q", status, errs.String(), want)
	}
}

// What cannot be meant is refused before anybody is asked.
func TestExplainRefusesBadInput(t *testing.T) {
	for line, says := range map[string]string{
		"word": "neither a flow", "a b c": "3 words that are no flow", "99999999999999999999": "nor a cookie", "--file /nonexistent": "no such file", "--file /": "it is a directory; name a file",
		"0x77 --file -": "there are arguments to explain as well", "one two --file x": "arguments to explain", "one two --node h2": "both endpoints are asked", "0x77 --network web": "it is for FROM and TO", "-o xml": "unknown format",
	} {
		var errs bytes.Buffer
		status := run(t.Context(), append([]string{"ovsnet", "flows", "explain"}, strings.Fields(line)...), io.Discard, &errs)
		if status != 2 || !strings.Contains(errs.String(), says) {
			t.Errorf("%s: status %d, says %q, want %q", line, status, errs.String(), says)
		}
	}
}
