package main

import (
	"context"
	"errors"
	"iter"
	"slices"
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
	if told != 1 || p.silent == nil {
		t.Errorf("%d explanations, silent %v", told, p.silent)
	}
}
