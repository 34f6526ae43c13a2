package lab

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ovsnet/ovsnet/tests/lab/machine"
)

// TestMain makes the test binary the helper for its machines, and adds -update, which writes the golden files anew.
func TestMain(m *testing.M) {
	if ours, code, err := machine.Stage(os.Args, os.Stdout); ours {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}
	flag.Bool("update", false, "write the golden files anew")
	flag.Parse()
	os.Exit(m.Run())
}

func TestLockIsForOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	if _, err := lock(t.Context(), dir, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the directory: %v", err)
	}
	first, err := lock(t.Context(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 5*pollStep)
	defer cancel()
	if _, err := lock(short, dir, true); err == nil || !strings.Contains(err.Error(), "another ovsnet-lab works") {
		t.Errorf("the second: %v", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	again, err := lock(t.Context(), dir, true)
	if err != nil {
		t.Fatalf("after the directory was removed: %v", err)
	}
	if err := errors.Join(first.Close(), again.Close()); err != nil {
		t.Error(err)
	}
}

func TestOpenWhatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, ""); err == nil || !strings.Contains(err.Error(), "there is no lab lab; make it with: ovsnet-lab up") {
		t.Errorf("open: %v", err)
	}
	if _, err := Open(dir, "../x"); err == nil {
		t.Error("a name with a slash opens")
	}
	if err := Down(t.Context(), dir, "none", nil); err != nil {
		t.Errorf("down: %v", err)
	}
	if names, err := List(filepath.Join(dir, "none")); err != nil || len(names) != 0 {
		t.Errorf("list: %q, %v", names, err)
	}
}

// stored makes the files of a lab none of whose processes run.
func stored(t *testing.T) *Lab {
	t.Helper()
	o := complete(t, Options{StateDir: t.TempDir(), Hosts: 2, NoDocker: true})
	p := NewPlan(o)
	if err := writeJSON(filepath.Join(p.Dir, optionsFile), p.Options); err != nil {
		t.Fatal(err)
	}
	l, err := Open(o.StateDir, "")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOptionsSurvive(t *testing.T) {
	l := stored(t)
	if diff := cmp.Diff(NewPlan(l.Plan.Options).Hosts, l.Plan.Hosts, cmp.Comparer(func(a, b HostPlan) bool {
		return describe(Plan{Net: a}) == describe(Plan{Net: b})
	})); diff != "" || l.Plan.Options.Hosts != 2 || !l.Plan.NoDocker {
		t.Errorf("options read back: %+v, plan differs: %s", l.Plan.Options, diff)
	}
}

func TestStates(t *testing.T) {
	l := stored(t)
	me, err := machine.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	expect := func(when string, lab, h1 State) {
		t.Helper()
		if got := l.State(); got != lab || l.Host(1).State() != h1 {
			t.Errorf("%s: the lab is %s, h1 %s, want %s and %s", when, got, l.Host(1).State(), lab, h1)
		}
	}
	start := func(h *Host, names ...ProcessName) {
		t.Helper()
		for _, name := range names {
			if err := record(h.Dir, name, me); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect("nothing runs", StateBroken, StateBroken)
	for _, h := range append(l.Hosts(), l.Net()) {
		start(h, initRecord, OVSDBServer, VSwitchd, Agent)
	}
	expect("all runs, but up did not finish", StateBroken, StateUp)
	if err := writeJSON(filepath.Join(l.Plan.Dir, upFile), "now"); err != nil {
		t.Fatal(err)
	}
	expect("all runs", StateUp, StateUp)
	if err := record(l.Host(1).Dir, Agent, machine.Process{PID: me.PID, Start: me.Start + 1}); err != nil {
		t.Fatal(err)
	}
	expect("an agent has ended", StatePartial, StatePartial)
	if err := record(l.Host(2).Dir, initRecord, machine.Process{PID: me.PID, Start: me.Start + 1}); err != nil {
		t.Fatal(err)
	}
	expect("a machine has ended", StateBroken, StatePartial)
	var table strings.Builder
	if err := PrintTable(&table, l.Status()); err != nil {
		t.Fatal(err)
	}
	want := "LAB   HOST   VTEP        OVS   AGENT   DOCKER   DATAPATH   STATE\n" +
		"lab   h1     192.0.2.1   up    down    -        netdev     partial\n" +
		"lab   h2     192.0.2.2   up    up      -        netdev     broken\n"
	if diff := cmp.Diff(want, table.String()); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
}

func TestHostsThatAreNot(t *testing.T) {
	l := stored(t)
	for _, name := range []string{"h3", "h0", "x"} {
		if _, err := l.Named(name); err == nil || !strings.Contains(err.Error(), "its hosts are h1 to h2, and net") {
			t.Errorf("host %q: %v", name, err)
		}
	}
	if h, err := l.Named("net"); err != nil || h != l.Net() {
		t.Errorf("net: %v", err)
	}
	h := l.Host(1)
	if _, err := h.Run(t.Context(), "true"); err == nil || !strings.Contains(err.Error(), "host h1 of lab lab does not run") {
		t.Errorf("run: %v", err)
	}
	if err := h.Start(t.Context(), Dockerd); err == nil || !strings.Contains(err.Error(), "it has: ovsdb-server, ovs-vswitchd, agent") {
		t.Errorf("start: %v", err)
	}
	if err := h.Stop(t.Context(), Agent, 15); err != nil {
		t.Errorf("stop what does not run: %v", err)
	}
	if err := h.WaitReady(t.Context(), Agent); err == nil || !strings.Contains(err.Error(), "it has ended") {
		t.Errorf("wait: %v", err)
	}
}

func TestSetAgent(t *testing.T) {
	h := stored(t).Host(2)
	if err := h.SetAgent(AgentOptions{Binary: "/other/ovsnet", Args: []string{"--alive-ttl", "2s"}}); err != nil {
		t.Fatal(err)
	}
	plan, err := h.process(Agent)
	if err != nil || plan.Argv[0] != "/other/ovsnet" || !slices.Equal(plan.Argv[len(plan.Argv)-2:], []string{"--alive-ttl", "2s"}) {
		t.Errorf("the agent is run as %q, %v", plan.Argv, err)
	}
}

func TestEnviron(t *testing.T) {
	h := Host{HostPlan: HostPlan{Env: []string{"PATH=/lab", "OVSNET_ETCD=x"}}}
	got := h.environ([]string{"HOME=/root", "PATH=/mine", "DOCKER_HOST=tcp://x", "https_proxy=y", "NO_PROXY=z", "OVS_RUNDIR=/r", "OVSNET_ETCD=old", "EMPTY="})
	if want := []string{"HOME=/root", "EMPTY=", "PATH=/lab", "OVSNET_ETCD=x"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRemoveCgroups(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"cpu/ovsnet-lab/a/h1/c1", "cpu/ovsnet-lab/a/h2", "cpu/ovsnet-lab/b/h1", "memory/ovsnet-lab/a/h1", "other/x", "ovsnet-lab/a"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "cgroup.procs"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := removeCgroups(t.Context(), root, "a"); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if want := []string{filepath.Join(root, "cpu/ovsnet-lab"), filepath.Join(root, "other/x")}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left: %q, %v, want %q", left, err, want)
	}
	if _, err := os.Stat(filepath.Join(root, "cpu/ovsnet-lab/b/h1")); err != nil {
		t.Errorf("another lab's group: %v", err)
	}
}

func TestImportResult(t *testing.T) {
	for answer, want := range map[string]string{
		`{"status":"sha256:1"}` + "\n": "",
		"":                             "",
		`{"status":"x"}{"errorDetail":{"message":"disk full"},"error":"disk full"}`: "disk full",
		"<html>": "read dockerd's answer",
	} {
		err := importResult([]byte(answer))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
	}
}
