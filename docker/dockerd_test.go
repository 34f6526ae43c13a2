package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideVariable tells the test's second process that it is in namespaces of
// its own.
const insideVariable = "OVSNET_TEST_DOCKERD_INSIDE"

// TestDockerd runs a real dockerd against the plugin on fakes, with real links,
// in mount, network and process namespaces of its own: whatever happens, all of
// it ends with the namespaces. With -update the calls become the transcripts.
func TestDockerd(t *testing.T) {
	needRoot(t)
	if os.Getenv(insideVariable) == "" {
		runInside(t)
		return
	}
	d := startDockerd(t)
	t.Run("full", d.full)
	t.Run("plain", d.plain)
	t.Run("internal", d.internal)
	t.Run("foreign", d.foreign)
	t.Run("refused", d.refused)
}

// runInside runs this test again, as the first process of new namespaces.
func runInside(t *testing.T) {
	for _, program := range []string{"dockerd", "docker", "busybox", "iptables"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: install Debian's docker.io, busybox-static and iptables", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	args := []string{"-test.run=^TestDockerd$", "-test.v"}
	if *update {
		args = append(args, "-update")
	}
	dir := t.TempDir()
	t.Cleanup(func() { removeGroups(t, filepath.Base(cgroupParent(dir))) })
	again := exec.CommandContext(ctx, "/proc/self/exe", args...)
	again.Env = append(os.Environ(), insideVariable+"="+dir)
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := again.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// cgroupParent is where the containers' control groups go, which have no
// namespace here.
func cgroupParent(dir string) string {
	return "/ovsnet-" + strings.ReplaceAll(strings.Trim(dir, "/"), "/", "-")
}

// removeGroups removes a control group, empty by now, from every hierarchy.
func removeGroups(t *testing.T, name string) {
	for _, pattern := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		parents, err := filepath.Glob(filepath.Join(pattern, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, parent := range parents {
			left, err := filepath.Glob(parent + "/*/")
			if err != nil {
				t.Fatal(err)
			}
			for _, group := range append(left, parent) {
				if err := os.Remove(group); err != nil {
					t.Errorf("a control group stays: %v", err)
				}
			}
		}
	}
}

// dockerHost is a dockerd with the plugin beside it.
type dockerHost struct {
	*rig
	calls *recorder
	log   string
}

func startDockerd(t *testing.T) *dockerHost {
	dir := os.Getenv(insideVariable)
	enterHost(t, dir)
	links := &HostLinks{Offload: func() bool { return false }}
	d := &dockerHost{rig: newRig(func(c *Config) { c.Links = links }), log: filepath.Join(dir, "dockerd.log")}
	d.calls = &recorder{next: d.Handler()}
	if err := os.MkdirAll(filepath.Dir(SocketPath), 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: SocketPath, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: d.calls, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	out, err := os.Create(d.log)
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.CommandContext(t.Context(), "dockerd", "--data-root", filepath.Join(dir, "data"), "--exec-root", "/run/docker-exec", "--pidfile", "/run/dockerd.pid",
		"--cgroup-parent", cgroupParent(dir), "--debug")
	daemon.Stdout, daemon.Stderr = out, out
	daemon.Cancel = func() error { return daemon.Process.Signal(syscall.SIGTERM) }
	daemon.WaitDelay = 20 * time.Second
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(daemon.Wait(), out.Close()); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("dockerd ended with %v", err)
		}
	})
	await(t, "dockerd to answer", func() (string, bool) {
		conn, err := net.Dial("unix", "/run/docker.sock")
		if err != nil {
			log, _ := os.ReadFile(d.log)
			return fmt.Sprintf("%v\n%s", err, log), false
		}
		return "", conn.Close() == nil
	})
	d.importImage(t, dir)
	d.calls.take()
	return d
}

// enterHost makes the new namespaces look like a host of its own.
func enterHost(t *testing.T, dir string) {
	etc := filepath.Join(dir, "etc")
	if err := os.Mkdir(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"none", "/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		{"tmpfs", "/run", "tmpfs", 0},
		{etc, "/etc/docker", "", syscall.MS_BIND},
	} {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			t.Fatalf("mount %s: %v", m.target, err)
		}
	}
	run(t, "ip", "link", "set", "lo", "up")
}

// importImage makes an image of busybox, since no registry can be asked.
func (d *dockerHost) importImage(t *testing.T, dir string) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	archive := tar.NewWriter(&image)
	if err := archive.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write(program); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sleep", "ip", "true", "sh"} {
		if err := archive.WriteHeader(&tar.Header{Name: "bin/" + name, Linkname: "busybox", Typeflag: tar.TypeSymlink}); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "image.tar")
	if err := os.WriteFile(file, image.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	docker(t, "import", file, "box")
}

// run runs a program that must succeed, and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := command(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func command(t *testing.T, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

// docker runs Debian's client, which speaks to this dockerd in its own version.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "/usr/bin/docker", args...)
}

// done checks that nothing is left, and keeps the calls with -update.
func (d *dockerHost) done(t *testing.T, name string) {
	t.Helper()
	if *update {
		writeTranscript(t, name+".transcript", d.calls.take())
	}
	links, err := (&HostLinks{}).List(t.Context())
	if err != nil || len(links) > 0 {
		t.Errorf("links left behind: %v %v", links, err)
	}
	d.store.empty(t)
	if t.Failed() {
		log, _ := os.ReadFile(d.log)
		t.Logf("dockerd:\n%s", log)
	}
}

func want(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is missing in:\n%s", word, text)
		}
	}
}

func (d *dockerHost) full(t *testing.T) {
	docker(t, "network", "create", "-d", "ovsnet", "--ipam-driver", "ovsnet", "--subnet", "10.40.0.0/24", "--gateway", "10.40.0.254",
		"--ip-range", "10.40.0.128/25", "--aux-address", "router=10.40.0.253", "--ipam-opt", "ovsnet.network=web",
		"-o", "ovsnet.network=web", "-o", "ovsnet.vni=4096", "-o", "com.docker.network.driver.mtu=1400", "web")
	docker(t, "run", "-d", "--name", "c1", "--network", "web", "--ip", "10.40.0.7", "--mac-address", "02:11:22:33:44:55", "-p", "127.0.0.1:8080:80", "box", "/bin/sleep", "600")
	want(t, docker(t, "exec", "c1", "/bin/ip", "addr", "show", "eth0"), "mtu 1400", "02:11:22:33:44:55", "10.40.0.7/24")
	want(t, docker(t, "exec", "c1", "/bin/ip", "route"), "default via 172.18.0.1 dev eth1")
	want(t, docker(t, "port", "c1"), "127.0.0.1:8080")
	docker(t, "rm", "-f", "c1")
	docker(t, "network", "rm", "web")
	d.done(t, "full")
}

func (d *dockerHost) plain(t *testing.T) {
	docker(t, "network", "create", "-d", "ovsnet", "--ipam-driver", "ovsnet", "plain")
	docker(t, "run", "-d", "--name", "c2", "--network", "plain", "box", "/bin/sleep", "600")
	want(t, docker(t, "exec", "c2", "/bin/ip", "addr", "show", "eth0"), "mtu 1450", "02:42:0a:20:00:02", "10.32.0.2/24")
	docker(t, "network", "create", "-d", "ovsnet", "--ipam-driver", "ovsnet", "other")
	docker(t, "network", "connect", "other", "c2")
	d.names(t, "c2", "plain", "other")
	want(t, docker(t, "exec", "c2", "/bin/ip", "addr"), "10.32.1.2/24")
	docker(t, "network", "disconnect", "other", "c2")
	if after := docker(t, "exec", "c2", "/bin/ip", "addr"); strings.Contains(after, "10.32.1.2") {
		t.Errorf("still there after disconnect:\n%s", after)
	}
	docker(t, "restart", "-t", "0", "c2")
	docker(t, "rm", "-f", "c2")
	docker(t, "network", "rm", "plain", "other")
	d.done(t, "plain")
}

// names checks that Docker tells the container's name for its endpoint in each
// of the networks.
func (d *dockerHost) names(t *testing.T, container string, networks ...string) {
	t.Helper()
	ids := []string{"0000"}
	for _, name := range networks {
		ids = append(ids, strings.TrimSpace(docker(t, "network", "inspect", "-f", "{{.Id}}", name)))
	}
	found, err := API("unix:///run/docker.sock").Names(t.Context(), ids)
	if err == nil || !strings.Contains(err.Error(), "0000") || len(found) != len(networks) {
		t.Errorf("found %v (%v)", found, err)
	}
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	for _, n := range found {
		if !slices.Contains(networks, n.Name) || len(n.Containers) != 1 {
			t.Errorf("found %+v", n)
		}
		for id, name := range n.Containers {
			if _, known := d.store.endpoints[id]; !known || name != container {
				t.Errorf("endpoint %s is %q", id, name)
			}
		}
	}
}

func (d *dockerHost) internal(t *testing.T) {
	docker(t, "network", "create", "-d", "ovsnet", "--ipam-driver", "ovsnet", "--internal", "inner")
	if routes := docker(t, "run", "--rm", "--network", "inner", "box", "/bin/ip", "route"); strings.Contains(routes, "default") || strings.Contains(routes, "eth1") {
		t.Errorf("an internal network has a way out:\n%s", routes)
	}
	docker(t, "network", "rm", "inner")
	d.done(t, "internal")
}

func (d *dockerHost) foreign(t *testing.T) {
	docker(t, "network", "create", "-d", "ovsnet", "--subnet", "10.60.0.0/24", "foreign")
	want(t, docker(t, "run", "--rm", "--network", "foreign", "box", "/bin/ip", "addr", "show", "eth0"), "10.60.0.2/24")
	docker(t, "network", "rm", "foreign")
	d.done(t, "foreign")
}

func (d *dockerHost) refused(t *testing.T) {
	for _, c := range []struct{ args, words string }{
		{"-o encrypted=true", "encrypted|" + OptionVNI},
		{"-o ovsnet.vni=16777216", "1 to 16777215"},
		{"-o com.docker.network.driver.mtu=9000", "9000|1450"},
		{"--ipam-opt color=red", "color|" + OptionNetwork},
		{"--ipv6 --subnet fd00:1::/64 --subnet 10.41.0.0/24", "IPv6"},
		{"--subnet 192.0.2.0/25", "192.0.2.0/25|route 192.0.2.0/24 through eth0"},
	} {
		args := append([]string{"network", "create", "-d", "ovsnet", "--ipam-driver", "ovsnet"}, strings.Fields(c.args)...)
		out, err := command(t, "/usr/bin/docker", append(args, "bad")...)
		if err == nil {
			t.Errorf("%s was not refused", c.args)
		}
		want(t, out, strings.Split(c.words, "|")...)
	}
	d.done(t, "refused")
}
