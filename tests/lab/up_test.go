package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/ovsnet/ovsnet/tests/lab/machine"
)

const patience = 2 * time.Minute

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

// options are those of a lab with nothing but Open vSwitch, of this test alone.
func options(t *testing.T) Options {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	return Options{Name: "test", StateDir: filepath.Join(dir, "state"), NoDocker: true, NoAgent: true, Binaries: Binaries{Lab: executable()}}
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// bringUp brings a lab up, and down again at the test's end if that is still to be done.
func bringUp(t *testing.T, o Options) *Lab {
	t.Helper()
	l, err := Up(bounded(t), o)
	if err != nil {
		t.Fatal(err)
	}
	takeDownLater(t, o)
	return l
}

func takeDownLater(t *testing.T, o Options) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := Down(ctx, o.StateDir, o.Name, nil); err != nil {
			t.Error(err)
		}
	})
}

func run(t *testing.T, h *Host, argv ...string) string {
	t.Helper()
	out, err := h.Run(bounded(t), argv...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ping(t *testing.T, from *Host, to string) {
	t.Helper()
	run(t, from, "ping", "-q", "-c", "3", "-i", "0.05", "-w", "5", to)
}

// serve runs a web server with the host's /etc in a host, until the test's end.
func serve(t *testing.T, h *Host) {
	t.Helper()
	cmd := h.Command(bounded(t), "busybox", "httpd", "-f", "-p", "8080", "-h", "/etc")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	err := poll(bounded(t), func(ctx context.Context) (bool, error) {
		_, err := h.Run(ctx, "busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/hostname")
		return err == nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// traces is what a lab could leave on the machine: links, namespaces, mounts, processes and control groups. A program
// that is not the lab's may come and go; what counts is what names the lab's directory or program.
func traces(t *testing.T, o Options) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		found["links"] = append(found["links"], l.Attrs().Name)
	}
	found["named namespaces"] = glob(t, "/run/netns/*")
	found["control groups"] = append(glob(t, "/sys/fs/cgroup/"+cgroupTop+"/"+o.Name), glob(t, "/sys/fs/cgroup/*/"+cgroupTop+"/"+o.Name)...)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, o.StateDir) {
			found["mounts"] = append(found["mounts"], line)
		}
	}
	for _, path := range glob(t, "/proc/[0-9]*/cmdline") {
		// A process may end between the list and the look.
		line, _ := os.ReadFile(path)
		if text := string(line); strings.Contains(text, o.StateDir) || strings.Contains(text, o.Binaries.Lab) {
			found["processes"] = append(found["processes"], strings.ReplaceAll(text, "\x00", " "))
		}
	}
	if _, err := os.Lstat(o.StateDir); !errors.Is(err, os.ErrNotExist) {
		found["files"] = append(found["files"], o.StateDir)
	}
	return found
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// inside lists every process of the lab's machines.
func inside(t *testing.T, l *Lab) []machine.Process {
	t.Helper()
	var list []machine.Process
	for _, h := range append(l.Hosts(), l.Net()) {
		init, err := recorded(h.Dir, initRecord)
		if err != nil {
			t.Fatal(err)
		}
		own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", init.PID))
		if err != nil {
			continue
		}
		for _, path := range glob(t, "/proc/[0-9]*/ns/pid") {
			if space, err := os.Readlink(path); err != nil || space != own {
				continue
			}
			var pid int
			if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err != nil {
				t.Fatal(err)
			}
			if p, err := machine.Identify(pid); err == nil {
				list = append(list, p)
			}
		}
	}
	return list
}

func expectNothingLeft(t *testing.T, before map[string][]string, o Options, were []machine.Process) {
	t.Helper()
	if diff := cmp.Diff(before, traces(t, o)); diff != "" {
		t.Errorf("what is left (-before +after):\n%s", diff)
	}
	for _, p := range were {
		if p.Alive() {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
			t.Errorf("process %d still runs:\n%s", p.PID, status)
		}
	}
}

func TestTwoHosts(t *testing.T) {
	o := options(t)
	o.MTU = 1600
	before := traces(t, o)
	l := bringUp(t, o)
	h1, h2 := l.Host(1), l.Host(2)
	ping(t, h1, "h2")
	ping(t, h2, "h1")
	ping(t, h1, "net")
	run(t, h1, "ping", "-c", "1", "-w", "5", "-M", "do", "-s", "1572", "h2")
	if _, err := h1.Run(bounded(t), "ping", "-c", "1", "-w", "1", "-M", "do", "-s", "1573", "h2"); err == nil {
		t.Error("a packet larger than the underlay's MTU crosses it")
	}
	serve(t, h2)
	serve(t, l.Net())
	// TCP takes care of checksums that nobody filled in: such packets are dropped.
	for _, from := range []string{"http://h2:8080/hostname", "http://net:8080/hostname"} {
		if got := run(t, h1, "busybox", "wget", "-q", "-O", "-", from); !strings.Contains(from, "/"+strings.TrimSpace(got)+":") {
			t.Errorf("%s says %q", from, got)
		}
	}
	if _, err := Up(bounded(t), o); !errors.Is(err, ErrUp) {
		t.Errorf("a second up: %v", err)
	}
	if out := run(t, h2, "ovs-vsctl", "show"); l.Plan.Datapath == Netdev && !strings.Contains(out, phyBridge) {
		t.Errorf("ovs-vsctl show on h2 says:\n%s", out)
	}
	again, err := Open(o.StateDir, o.Name)
	if err != nil || again.State() != StateUp {
		t.Fatalf("opened anew: %v", err)
	}
	were := inside(t, l)
	if len(were) < 7 {
		t.Errorf("%d processes in the lab's machines", len(were))
	}
	if err := again.Down(bounded(t)); err != nil {
		t.Fatal(err)
	}
	expectNothingLeft(t, before, o, were)
}

func TestOpenVSwitchComesBack(t *testing.T) {
	o := options(t)
	l := bringUp(t, o)
	h := l.Host(1)
	for _, c := range []struct {
		process ProcessName
		signal  syscall.Signal
	}{{VSwitchd, syscall.SIGTERM}, {VSwitchd, syscall.SIGKILL}, {OVSDBServer, syscall.SIGTERM}, {OVSDBServer, syscall.SIGKILL}} {
		t.Run(fmt.Sprint(c.process, " ", c.signal), func(t *testing.T) {
			if err := h.Stop(bounded(t), c.process, c.signal); err != nil {
				t.Fatal(err)
			}
			if h.Running(c.process) || l.State() != StatePartial {
				t.Errorf("after its end the lab is %s", l.State())
			}
			if err := h.Start(bounded(t), c.process); err != nil {
				t.Fatal(err)
			}
			if err := h.WaitReady(bounded(t)); err != nil {
				t.Fatal(err)
			}
			if err := h.Start(bounded(t), c.process); err == nil {
				t.Error("started twice")
			}
			ping(t, h, "h2")
			ping(t, l.Host(2), "h1")
		})
	}
	if log, err := h.Log(VSwitchd); err != nil || !strings.Contains(log, phyBridge) && l.Plan.Datapath == Netdev {
		t.Errorf("the log of ovs-vswitchd: %v: %s", err, log)
	}
}

// After a crash of everything, or of a half of it, up cleans up first.
func TestUpAfterCrash(t *testing.T) {
	for name, hosts := range map[string][]int{"all": {0, 1, 2}, "one host": {1}, "the underlay": {0}} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			before := traces(t, o)
			l := bringUp(t, o)
			were := inside(t, l)
			machines := append([]*Host{l.Net()}, l.Hosts()...)
			for _, n := range hosts {
				init, err := recorded(machines[n].Dir, initRecord)
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(init.Signal(syscall.SIGKILL), init.Wait(bounded(t))); err != nil {
					t.Fatal(err)
				}
			}
			if l.State() != StateBroken {
				t.Errorf("after the crash the lab is %s", l.State())
			}
			l = bringUp(t, o)
			ping(t, l.Host(1), "h2")
			were = append(were, inside(t, l)...)
			if err := l.Down(bounded(t)); err != nil {
				t.Fatal(err)
			}
			expectNothingLeft(t, before, o, were)
		})
	}
}

// ovsnet-lab itself may be killed at any moment of up: what it recorded by then is enough for down, or the next up.
func TestKilledUp(t *testing.T) {
	o := options(t)
	o.Binaries = BinariesIn(t.TempDir())
	out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", o.Binaries.Lab, "../../cmd/ovsnet-lab").CombinedOutput()
	if err != nil {
		t.Fatalf("build ovsnet-lab: %v: %s", err, out)
	}
	before := traces(t, o)
	takeDownLater(t, o)
	for n := range 12 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*25*time.Millisecond)
		cmd := exec.CommandContext(ctx, o.Binaries.Lab, "up", "--name", o.Name, "--state-dir", o.StateDir, "--no-docker", "--no-agent")
		err := cmd.Run()
		cancel()
		if err != nil && ctx.Err() == nil {
			t.Fatalf("up: %v", err)
		}
		if n%2 == 0 {
			continue
		}
		if err := Down(bounded(t), o.StateDir, o.Name, nil); err != nil {
			t.Fatal(err)
		}
		expectNothingLeft(t, before, o, nil)
	}
}

func TestCancelledUp(t *testing.T) {
	o := options(t)
	before := traces(t, o)
	ctx, cancel := context.WithCancelCause(bounded(t))
	o.Progress = writerFunc(func(line []byte) (int, error) {
		if strings.Contains(string(line), "machine on the underlay") {
			cancel(errors.New("changed my mind"))
		}
		return len(line), nil
	})
	if _, err := Up(ctx, o); err == nil || !strings.Contains(err.Error(), "changed my mind") {
		t.Errorf("up: %v", err)
	}
	expectNothingLeft(t, before, o, nil)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestTwoLabs(t *testing.T) {
	one := options(t)
	other := one
	other.Name, other.Hosts = "other", 1
	first, second := bringUp(t, one), bringUp(t, other)
	names, err := List(one.StateDir)
	if want := []string{"other", "test"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("the labs are %q, %v, want %q", names, err, want)
	}
	if _, err := second.Host(1).Run(bounded(t), "ping", "-c", "1", "-w", "1", "192.0.2.2"); err == nil {
		t.Error("one lab reaches a host of the other")
	}
	if err := second.Down(bounded(t)); err != nil {
		t.Fatal(err)
	}
	ping(t, first.Host(1), "h2")
}

func TestDocker(t *testing.T) {
	o := options(t)
	o.NoDocker, o.Hosts = false, 1
	before := traces(t, o)
	l := bringUp(t, o)
	h := l.Host(1)
	run(t, h, "docker", "run", "-d", "--name", "sleeper", ImageName)
	for _, tool := range imagePrograms() {
		run(t, h, "docker", "exec", "sleeper", "sh", "-c", "ldconfig -p 2>/dev/null; command -v "+tool.name)
	}
	if out := run(t, h, "docker", "exec", "sleeper", "ping", "-V"); !strings.Contains(out, "iputils") {
		t.Errorf("the image's ping says %q", out)
	}
	run(t, h, "docker", "stop", "sleeper")
	if code := run(t, h, "docker", "inspect", "-f", "{{.State.ExitCode}}", "sleeper"); strings.TrimSpace(code) == "137" {
		t.Error("the image's command ignores SIGTERM, and was killed")
	}
	run(t, h, "docker", "start", "sleeper")
	if err := h.Stop(bounded(t), Dockerd, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(h.Start(bounded(t), Dockerd), h.WaitReady(bounded(t), Dockerd)); err != nil {
		t.Fatal(err)
	}
	run(t, h, "docker", "run", "--rm", ImageName, "true")
	were := inside(t, l)
	if err := l.Down(bounded(t)); err != nil {
		t.Fatal(err)
	}
	expectNothingLeft(t, before, o, were)
}

// The hosts find programs beside the project's own first, so a dockerd there stands in for the engine's.
func TestDockerThatGivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		says  string
		tries int
	}{
		"on its containerd": {says: "failed to start containerd: " + containerdLate, tries: dockerTries},
		"on anything else":  {says: "no space left", tries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.Hosts, o.NoDocker = 1, false
			dir := t.TempDir()
			o.Binaries.Ovsnet = filepath.Join(dir, "ovsnet")
			script := "#!/bin/sh\necho try >>" + dir + "/tries\necho '" + c.says + "'\nexit 1\n"
			if err := os.WriteFile(filepath.Join(dir, "dockerd"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			takeDownLater(t, o)
			_, err := Up(bounded(t), o)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			tries, err := os.ReadFile(filepath.Join(dir, "tries"))
			if err != nil || strings.Count(string(tries), "try") != c.tries {
				t.Errorf("started %d times, %v; want %d", strings.Count(string(tries), "try"), err, c.tries)
			}
		})
	}
}
