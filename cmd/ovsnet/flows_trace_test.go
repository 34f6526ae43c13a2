package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/flows/journey"
)

func (r reporter) Passage(context.Context, journey.Question) (journey.Passage, error) {
	return journey.Passage{Node: "h1"}, r.err
}

// What cannot be meant is refused before etcd is asked.
func TestTraceRefusesBadInput(t *testing.T) {
	for line, said := range map[string]string{
		"web-1": "takes 2 argument(s)", "web-1 web-2 web-3": "got 3", "web-1 web-2 --dport 0": "no such port", "web-1 web-2 --sport 65536": "no such port",
		"web-1 web-2 --dport x": "--help", "web-1 web-2 --from-ip web": "not an IP address", "web-1 web-2 --from-mac 1": "not a MAC address", "web-1 web-2 -o xml": "unknown format",
		"web-1 web-2 --to-mac 00:00:00:00:00:00": "--to-mac 00:00:00:00:00:00: not a MAC address", "web-1 web-2 --timeout 0s": "use 1s to 10s", "web-1 web-2 --timeout 1m": "use 1s to 10s",
	} {
		var errs bytes.Buffer
		status := run(t.Context(), append([]string{"ovsnet", "flows", "trace"}, strings.Fields(line)...), io.Discard, &errs)
		if status != 2 || !strings.Contains(errs.String(), said) {
			t.Errorf("%s: exit status %d, says %q, want %q", line, status, errs.String(), said)
		}
	}
}

func TestTraceExitStatus(t *testing.T) {
	for _, tt := range []struct {
		v    journey.Verdict
		want int
	}{
		{journey.Verdict{Outcome: journey.Delivered, Agreed: true, Checked: true}, 0},
		{journey.Verdict{Outcome: journey.Answered, Agreed: true, Checked: true}, 0},
		{journey.Verdict{Outcome: journey.Dropped, Agreed: true, Checked: true}, 1},
		{journey.Verdict{Outcome: journey.Delivered, Checked: true}, 1},
		{journey.Verdict{Outcome: journey.Delivered, Agreed: true}, 4},
		{journey.Verdict{Outcome: journey.Dropped, Agreed: true}, 1},
	} {
		err, got := judged(tt.v), 0
		if err != nil {
			got = exitStatus(err)
		}
		if got != tt.want || err != nil && !errors.Is(err, errSaid) {
			t.Errorf("%+v: %v, exit status %d, want %d", tt.v, err, got, tt.want)
		}
	}
}
