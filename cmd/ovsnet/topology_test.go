package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ovsnet/ovsnet/overlay"
	"github.com/ovsnet/ovsnet/topology"
)

func (r reporter) Report(context.Context) (topology.Report, error) {
	return topology.Report{Ready: true}, r.err
}

func (r reporter) Traffic(context.Context) (topology.Traffic, error) {
	return topology.Traffic{Node: "h1"}, r.err
}

func TestTopologyRefusesBadInput(t *testing.T) {
	loose := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(loose, []byte(strings.Repeat("x", 32)), 0o644); err != nil {
		t.Fatal(err)
	}
	for line, said := range map[string]string{
		"topology web": "takes no argument", "topology -o png": "unknown format", "topology --width 10": "use 320 to 4000", "topology --measure some": "use auto, all, here or none",
		"topology --timeout 1m": "use 3s to 10s", "topology --timeout 2s": "use 3s to 10s", "ui now": "takes no argument", "ui --measure some": "use auto", "ui --token-file " + loose: "chmod 600",
	} {
		var errs bytes.Buffer
		status := run(t.Context(), append([]string{"ovsnet"}, strings.Fields(line)...), io.Discard, &errs)
		if status != 2 || !strings.Contains(errs.String(), said) {
			t.Errorf("%s: exit status %d, says %q, want %q", line, status, errs.String(), said)
		}
	}
}

func TestReadToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for text, good := range map[string]bool{strings.Repeat("x", 16) + "\n": true, "short\n": false, "two words of a long text": false, "": false} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		token, err := readToken(path)
		if good != (err == nil) || good != (token != "") || !good && !overlay.IsKind(err, overlay.Invalid) {
			t.Errorf("%q: %q, %v", text, token, err)
		}
	}
	if _, err := readToken(path + "s"); err == nil {
		t.Error("a token without a file")
	}
	if token, err := readToken(""); token != "" || err != nil {
		t.Errorf("%q, %v", token, err)
	}
}
