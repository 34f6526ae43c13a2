package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

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
		"topology --timeout 1m": "use 3s to 10s", "topology --timeout 2s": "use 3s to 10s", "ui now": "takes no argument", "ui --listen nowhere": "name an address of this host and a free port", "ui --measure some": "use auto", "ui --token-file " + loose: "chmod 600",
	} {
		var errs bytes.Buffer
		status := run(t.Context(), append([]string{"ovsnet"}, strings.Fields(line)...), io.Discard, &errs)
		if status != 2 || !strings.Contains(errs.String(), said) {
			t.Errorf("%s: exit status %d, says %q, want %q", line, status, errs.String(), said)
		}
	}
}

// Where this host alone measures, and its agent is away, that is said.
func TestNobodyMeasures(t *testing.T) {
	values := flag.NewFlagSet("", flag.ContinueOnError)
	values.String("measure", "here", "")
	values.String("socket", filepath.Join(t.TempDir(), "none.sock"), "")
	answers, silent := surveyor{c: cli.NewContext(cli.NewApp(), values, nil)}.reports(t.Context(), sampleView())
	if len(answers) > 0 || !overlay.IsKind(silent, overlay.Unavailable) {
		t.Errorf("answers %v, silent because %v", answers, silent)
	}
}

// Where one asks for all addresses of IPv4, those of IPv6 are not listened on.
func TestListenFor(t *testing.T) {
	for address, want := range map[string]string{"0.0.0.0:0": "0.0.0.0", "127.0.0.1:0": "127.0.0.1"} {
		l, err := listenFor(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if host, _, err := net.SplitHostPort(l.Addr().String()); err != nil || host != want {
			t.Errorf("%s: listens on %s", address, l.Addr())
		}
		if err := l.Close(); err != nil {
			t.Error(err)
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
