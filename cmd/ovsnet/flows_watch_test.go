package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/agent"
	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/sockets"
)

// seen calls then at the first thing that is written to it.
type seen struct {
	bytes.Buffer
	then func()
}

// Write keeps what is written.
func (s *seen) Write(p []byte) (int, error) {
	defer s.then()
	return s.Buffer.Write(p)
}

// A watch ends well when the user ends it, and says so when the agent goes.
func TestWatchEnds(t *testing.T) {
	for _, args := range [][]string{nil, {"-o", "json"}, {"--counters", "--every", "200ms"}} {
		path := control(t, reporter{})
		ctx, cancel := context.WithCancel(t.Context())
		out, errs := &seen{then: cancel}, &bytes.Buffer{}
		status := run(ctx, append([]string{"ovsnet", "flows", "watch", "--socket", path}, args...), out, errs)
		if status != 0 || out.Len() == 0 || errs.Len() > 0 {
			t.Errorf("%v: status %d, printed %q, complained %q", args, status, out, errs)
		}
	}
	for _, args := range [][]string{nil, {"--counters", "--every", "200ms"}} {
		path := filepath.Join(t.TempDir(), "run", "ovsnet.sock")
		l, err := sockets.Listen(t.Context(), "control socket", path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- agent.ServeControl(ctx, l, reporter{}, slog.New(slog.DiscardHandler)) }()
		out, errs := &seen{then: stop}, &bytes.Buffer{}
		status := run(t.Context(), append([]string{"ovsnet", "flows", "watch", "--socket", path}, args...), out, errs)
		if status != 4 || !strings.Contains(errs.String(), "agent at "+path) {
			t.Errorf("%v: status %d, complained %q", args, status, errs)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestWatchThatCannotBegin(t *testing.T) {
	path := control(t, reporter{err: overlay.Refuse(overlay.Unavailable, "agent", "see ovsnet status", "it has not begun")})
	for _, args := range [][]string{nil, {"--counters"}} {
		var errs bytes.Buffer
		if status := run(t.Context(), append([]string{"ovsnet", "flows", "watch", "--socket", path}, args...), io.Discard, &errs); status != 4 || !strings.Contains(errs.String(), "it has not begun") {
			t.Errorf("%v: status %d, complained %q", args, status, errs.String())
		}
	}
	if status := run(t.Context(), []string{"ovsnet", "flows", "watch", "--socket", path, "--counters", "--every", "1ms"}, io.Discard, io.Discard); status != 2 {
		t.Errorf("status %d", status)
	}
}

// With --node what happens is told in the same words, and that its agent was started anew is an error.
func TestWatchOther(t *testing.T) {
	r := reporter{status: agent.Status{Node: "h1"}, events: []string{
		`{"change":"removed","by":"other","table_name":"Forward","match":"metadata=0x1000","reason":"delivery to \u001b[2Jweb-1"}`,
		`{"change":"missed","lost":7}`,
	}}
	path := control(t, r)
	for format, words := range map[string][]string{
		"text": {"other   removed", "delivery to \ufffd[2Jweb-1\n", "7 changes came faster"},
		"wide": {"[cookie= actions=]"},
		"json": {`"match":"metadata=0x1000"`, `"lost":7`},
	} {
		var out, errs bytes.Buffer
		status := run(t.Context(), []string{"ovsnet", "flows", "watch", "--socket", path, "--node", "h1", "-o", format}, &out, &errs)
		if status != 4 || !strings.Contains(errs.String(), `node "h1": its agent has ended this`) {
			t.Errorf("status %d, complained %q", status, &errs)
		}
		for _, word := range words {
			if !strings.Contains(out.String(), word) {
				t.Errorf("%s: %q has no %q", format, &out, word)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	out, errs := &seen{then: cancel}, &bytes.Buffer{}
	if status := run(ctx, []string{"ovsnet", "flows", "watch", "--socket", path, "--node", "h1"}, out, errs); status != 0 || errs.Len() > 0 {
		t.Errorf("ended by the user: status %d, complained %q", status, errs)
	}
	path = control(t, reporter{status: r.status, err: overlay.Refuse(overlay.Unavailable, "following h1", "try again", "4 others follow")})
	errs.Reset()
	if status := run(t.Context(), []string{"ovsnet", "flows", "watch", "--socket", path, "--node", "h1"}, io.Discard, errs); status != 4 || !strings.Contains(errs.String(), "4 others follow") {
		t.Errorf("where it is refused: status %d, complained %q", status, errs)
	}
}

// What a flow does is told where it is not as ovsnet made it, and to who asks for more.
func TestChangeLine(t *testing.T) {
	c := agent.FlowChange{Change: "removed", By: "other", Table: 60, TableName: "Forward", Match: "dl_vlan=7", Actions: "drop", Cookie: "0x5", Reason: "delivery to web-1"}
	altered, own := c, c
	altered.Change, own.Change, own.By = "altered", "added", "ovsnet"
	for _, tt := range []struct {
		change agent.FlowChange
		wide   bool
		want   string
	}{
		{c, false, "other   removed  60 Forward       dl_vlan=7                                       delivery to web-1"},
		{altered, false, "delivery to web-1 [actions=drop]"},
		{own, false, "delivery to web-1"},
		{own, true, "delivery to web-1 [cookie=0x5 actions=drop]"},
		{agent.FlowChange{Change: "missed", Lost: 3}, false, "3 changes came faster than they were shown"},
		{agent.FlowChange{Change: "missed", Reason: "OVS left changes out"}, false, "OVS left changes out"},
	} {
		if got := changeLine(tt.change, tt.wide); !strings.HasSuffix(got, tt.want) {
			t.Errorf("%+v is told as\n%s, want\n%s", tt.change, got, tt.want)
		}
	}
}
