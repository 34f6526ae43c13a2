package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary its own helper.
func TestMain(m *testing.M) {
	if ours, code, err := Stage(os.Args, os.Stdout); ours {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

const patience = 10 * time.Second

type guest struct {
	t      *testing.T
	helper string
	init   Process
	dir    string
}

func testSpec(t *testing.T) Spec {
	t.Helper()
	dir := t.TempDir()
	s := Spec{Hostname: "guest", EtcUpper: filepath.Join(dir, "etc"), EtcWork: filepath.Join(dir, "work"), RunDirs: []string{"a/b"}}
	for _, d := range []string{s.EtcUpper, s.EtcWork, filepath.Join(dir, "bound")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.Binds = []Bind{{Source: filepath.Join(dir, "bound"), Target: "/etc/guest"}}
	return s
}

func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0 && !testing.Short():
	case os.Getenv("CI") == "true":
		t.Fatal("needs root")
	default:
		t.Skip("needs root")
	}
}

func helper(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func boot(t *testing.T) guest {
	t.Helper()
	needRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g := guest{t: t, helper: helper(t), dir: t.TempDir()}
	var recorded Process
	init, err := Boot(ctx, g.helper, testSpec(t), os.Stderr, func(p Process) error { recorded = p; return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := init.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		if err := init.Wait(ctx); err != nil {
			t.Error(err)
		}
	})
	if recorded != init {
		t.Errorf("recorded %v, init is %v", recorded, init)
	}
	g.init = init
	return g
}

func (g guest) command(argv ...string) *exec.Cmd {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	g.t.Cleanup(cancel)
	cmd, err := Command(ctx, g.helper, Entry{Init: g.init, Argv: argv}, os.Environ())
	if err != nil {
		g.t.Fatal(err)
	}
	return cmd
}

func (g guest) output(argv ...string) string {
	g.t.Helper()
	out, err := g.command(argv...).CombinedOutput()
	if err != nil {
		g.t.Fatalf("%v: %v: %s", argv, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestMachineIsItsOwn(t *testing.T) {
	g := boot(t)
	for name, c := range map[string]struct {
		argv []string
		want string
	}{
		"host name": {argv: []string{"hostname"}, want: "guest"},
		"processes": {argv: []string{"sh", "-c", "cat /proc/1/comm"}, want: filepath.Base(g.helper)[:min(15, len(filepath.Base(g.helper)))]},
		"links":     {argv: []string{"ls", "/sys/class/net"}, want: "lo"},
		"run":       {argv: []string{"find", "/run", "/var/run/", "-mindepth", "1"}, want: "/run/a\n/run/a/b\n/var/run/a\n/var/run/a/b"},
		"etc":       {argv: []string{"sh", "-c", "echo x >/etc/guest-file && echo y >/etc/guest/file && cat /etc/guest-file"}, want: "x"},
		"cgroups":   {argv: []string{"sh", "-c", "mountpoint -q /sys/fs/cgroup && echo there"}, want: "there"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := g.output(c.argv...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	for _, path := range []string{"/etc/guest-file", "/etc/guest", "/run/a"} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s shows outside: %v", path, err)
		}
	}
	if data, err := os.ReadFile(filepath.Join(g.init.Root(), "etc/guest/file")); err != nil || string(data) != "y\n" {
		t.Errorf("a file of the machine from outside: %q, %v", data, err)
	}
}

func TestCommandPassesOn(t *testing.T) {
	g := boot(t)
	for name, c := range map[string]struct {
		argv []string
		want int
	}{
		"success":        {argv: []string{"true"}, want: 0},
		"exit code":      {argv: []string{"sh", "-c", "exit 42"}, want: 42},
		"signal":         {argv: []string{"sh", "-c", "kill -USR1 $$"}, want: 128 + int(syscall.SIGUSR1)},
		"not found":      {argv: []string{"no-such-program"}, want: ExitNotFound},
		"not executable": {argv: []string{"/etc/passwd"}, want: ExitCannotRun},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := g.command(c.argv...)
			_ = cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
		})
	}
	cmd := g.command("sh", "-c", "cat; pwd; echo $GREETING >&2")
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env = g.dir, append(cmd.Env, "GREETING=hello")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("in\n"), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if want := "in\n" + g.dir + "\n"; out.String() != want || errs.String() != "hello\n" {
		t.Errorf("got %q and %q, want %q", out.String(), errs.String(), want)
	}
}

func TestCommandForwardsSignals(t *testing.T) {
	g := boot(t)
	cmd := g.command("sh", "-c", "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.01; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("ready\n"))
	if _, err := out.Read(line); err != nil || string(line) != "ready\n" {
		t.Fatalf("read %q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if n, err := out.Read(line); err != nil || !strings.HasPrefix("caught\n", string(line[:n])) {
		t.Errorf("read %q, %v", line[:n], err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
}

func TestKilledCommandTakesItsProgramAlong(t *testing.T) {
	g := boot(t)
	fifo := filepath.Join(g.dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := g.command("sh", "-c", "echo $$ >"+fifo+"; exec sleep 60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	inner, err := os.ReadFile(fifo)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	g.output("sh", "-c", "for i in $(seq 500); do kill -0 "+strings.TrimSpace(string(inner))+" 2>/dev/null || exit 0; sleep 0.01; done; ps -ef; exit 1")
}

func TestDaemonBelongsToInit(t *testing.T) {
	g := boot(t)
	log := filepath.Join(g.dir, "log")
	p, err := Start(t.Context(), g.helper, Entry{Init: g.init, Log: log, Argv: []string{"sh", "-c", "echo $PPID $GREETING; exec sleep 60"}},
		[]string{"PATH=/usr/bin:/bin", "GREETING=hello"})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Alive() {
		t.Error("the daemon does not run")
	}
	said := g.output("sh", "-c", "for i in $(seq 500); do test -s "+log+" && cat "+log+" && exit 0; sleep 0.01; done; exit 1")
	// The stage that starts the daemon may still be there when the daemon looks; afterwards init is its parent.
	if !strings.HasSuffix(said, " hello") {
		t.Errorf("the daemon's log says %q", said)
	}
	if got := g.output("ps", "-o", "ppid=", "-C", "sleep"); strings.TrimSpace(got) != "1" {
		t.Errorf("the daemon's parent is %q, want 1", got)
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	g.output("sh", "-c", "for i in $(seq 500); do ps -C sleep -o stat= | grep -q . || exit 0; sleep 0.01; done; echo not reaped; exit 1")
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	g := boot(t)
	for name, argv := range map[string][]string{"not found": {"no-such-program"}, "no program": {"/etc/passwd"}} {
		t.Run(name, func(t *testing.T) {
			_, err := Start(t.Context(), g.helper, Entry{Init: g.init, Log: filepath.Join(g.dir, "log"), Argv: argv}, os.Environ())
			if err == nil || !strings.Contains(err.Error(), argv[0]) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestInitTakesAllAlong(t *testing.T) {
	g := boot(t)
	p, err := Start(t.Context(), g.helper, Entry{Init: g.init, Log: filepath.Join(g.dir, "log"), Argv: []string{"sh", "-c", "setsid sleep 60 & exec sleep 60"}}, os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.init.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := g.init.Wait(t.Context()); err != nil || p.Alive() {
		t.Errorf("after init's end: %v, the daemon is alive: %v", err, p.Alive())
	}
	cmd := g.command("true")
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != ExitNoMachine {
		t.Errorf("entering a machine that is gone: exit code %d", code)
	}
}

func TestBootFailsClean(t *testing.T) {
	needRoot(t)
	bad := testSpec(t)
	bad.Binds = append(bad.Binds, Bind{Source: "/no/such/directory", Target: "/etc/x"})
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		spec   Spec
		record error
		want   string
	}{
		"bad bind":      {spec: bad, want: "/no/such/directory"},
		"not recorded":  {spec: testSpec(t), record: refused, want: refused.Error()},
		"unusable etc":  {spec: Spec{Hostname: "guest", EtcUpper: "/nowhere", EtcWork: "/nowhere"}, want: "/etc"},
		"no host name.": {spec: Spec{Hostname: strings.Repeat("x", 100)}, want: "host name"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var init Process
			_, err := Boot(ctx, helper(t), c.spec, nil, func(p Process) error { init = p; return c.record })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want one that says %q", err, c.want)
			}
			if init.Alive() {
				t.Error("init still runs")
			}
		})
	}
}

func TestInitEndsWithoutASpec(t *testing.T) {
	needRoot(t)
	cmd := exec.Command(helper(t), initCommand)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "read the spec") {
		t.Errorf("got %v: %s", err, out)
	}
}
