package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/ovsnet/ovsnet/flows/inspect"
	"github.com/ovsnet/ovsnet/overlay"
)

// hostReport is a report with that many differences.
func hostReport(node string, differences int) inspect.Report {
	r := inspect.Report{Head: inspect.Head{Node: node, Installed: 7, Desired: 7}}
	for range differences {
		r.Differences = append(r.Differences, inspect.Difference{Line: inspect.Line{State: inspect.Missing, Reason: "missing on " + node}, Desired: "x->y"})
	}
	return r
}

// diffed runs a command that prints in that format what do prints.
func diffed(t *testing.T, format string, out, errs io.Writer, do func(c *cli.Context) error) int {
	t.Helper()
	app := &cli.App{Name: "ovsnet", Writer: out, ErrWriter: errs, Flags: []cli.Flag{outputFlag()}, Action: do, ExitErrHandler: func(*cli.Context, error) {}}
	err := app.RunContext(t.Context(), []string{"ovsnet", "-o", format})
	if err == nil {
		return 0
	}
	return exitStatus(err)
}

// Every host's report is printed before the next one is waited for; a silent host is told, and keeps nothing back.
func TestDiffOfAllHosts(t *testing.T) {
	away := overlay.Refuse(overlay.Unavailable, `node "h2"`, "see systemctl status ovsnet on that host", "its agent shows no sign of life")
	for name, tt := range map[string]struct {
		differences int
		silent      error
		status      int
	}{"all agree": {0, nil, 0}, "some differ": {2, nil, 5}, "one is silent": {0, away, 4}, "one is silent, and some differ": {2, away, 4}} {
		for _, format := range []string{"text", "wide", "json"} {
			var out, errs bytes.Buffer
			status := diffed(t, format, &out, &errs, func(c *cli.Context) error {
				return printAll(c, func(yield func(inspect.Report, error) bool) {
					if !yield(hostReport("h1", tt.differences), nil) {
						return
					}
					if tt.differences > 0 && !strings.Contains(out.String(), "missing on h1") {
						t.Errorf("%s as %s: h2 is waited for before h1 is printed", name, format)
					}
					if !yield(hostReport("h2", 0), tt.silent) {
						return
					}
					yield(hostReport("h3", tt.differences), nil)
				})
			})
			if status != tt.status || (errs.Len() > 0) != (tt.silent != nil) {
				t.Errorf("%s as %s: status %d, want %d; said %q", name, format, status, tt.status, errs.String())
			}
			if format != "json" {
				if got := strings.Count(out.String(), "+x->y"); got != 2*tt.differences {
					t.Errorf("%s as %s: %d flows in\n%s", name, format, got, out.String())
				}
				continue
			}
			var list []inspect.Report
			want := 3
			if tt.silent != nil {
				want = 2
			}
			if err := json.Unmarshal(out.Bytes(), &list); err != nil || len(list) != want || list[0].Node != "h1" || len(list[0].Differences) != tt.differences || list[0].Differences == nil {
				t.Errorf("%s: error %v, printed\n%s", name, err, out.String())
			}
		}
	}
}

// Where nobody answers the list is empty, and where the list breaks off it ends as JSON, and says so.
func TestDiffIsAlwaysJSON(t *testing.T) {
	var out bytes.Buffer
	status := diffed(t, "json", &out, io.Discard, func(c *cli.Context) error {
		return printAll(c, func(yield func(inspect.Report, error) bool) { yield(inspect.Report{}, errors.New("away")) })
	})
	if out.String() != "[]\n" || status != 1 {
		t.Errorf("status %d, printed %q", status, out.String())
	}
	out.Reset()
	status = diffed(t, "json", &out, io.Discard, func(c *cli.Context) error {
		p := reports{c: c}
		return errors.Join(p.print(inspect.Comparison{Head: inspect.Head{Node: "h1"}, Differences: func(yield func(inspect.Difference, error) bool) {
			_ = yield(inspect.Difference{Desired: "x"}, nil) && yield(inspect.Difference{}, errors.New("torn"))
		}}), p.end())
	})
	var list []struct {
		Differences []inspect.Difference
		BrokenOff   string `json:"broken_off"`
	}
	if err := json.Unmarshal(out.Bytes(), &list); err != nil || len(list) != 1 || len(list[0].Differences) != 1 || list[0].BrokenOff != "torn" || status != 1 {
		t.Errorf("status %d, error %v, printed\n%s", status, err, out.String())
	}
}

// Hosts are asked at once, and told in their order, each as soon as those before it are there.
func TestAskEach(t *testing.T) {
	h1, h3 := make(chan struct{}), make(chan struct{})
	var got []string
	for answer, err := range askEach([]string{"h1", "h2", "h3"}, func(host string) (string, error) {
		switch host {
		case "h2":
			<-h3 // is asked although h2 has not answered
			<-h1 // and not waited for before h1 is told
			return "", errors.New("late")
		case "h3":
			close(h3)
		}
		return host, nil
	}) {
		if err != nil {
			answer = err.Error()
		}
		if got = append(got, answer); answer == "h1" {
			close(h1)
		}
	}
	if strings.Join(got, " ") != "h1 late h3" {
		t.Errorf("answers %q", got)
	}
}
