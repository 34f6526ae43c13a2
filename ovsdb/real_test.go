package ovsdb

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// realWorld starts ovsdb-server, and ovs-vswitchd with its userspace datapath
// in a network namespace of its own, both with a private run directory.
func realWorld(t *testing.T) *world {
	needOVS(t)
	dir := t.TempDir()
	r := &realSwitch{t: t, dir: dir, socket: filepath.Join(dir, "db.sock")}
	r.create()
	r.startServer()
	r.vswitchd = r.start(true, "ovs-vswitchd", "unix:"+r.socket, "--disable-system",
		"--unixctl="+filepath.Join(dir, "vswitchd.ctl"), "--log-file="+filepath.Join(dir, "vswitchd.log"))
	t.Cleanup(func() {
		r.vswitchd.end()
		r.endServer()
	})
	return &world{
		endpoint: "unix:" + r.socket,
		down:     r.endServer,
		up:       r.startServer,
		upEmpty: func() {
			if err := os.Remove(r.database()); err != nil {
				t.Fatal(err)
			}
			r.create()
			r.startServer()
		},
		freeze: func() { r.stop(r.vswitchd) },
		thaw:   func() { r.proceed(r.vswitchd) },
		stall:  func() { r.stop(r.server) },
		resume: func() { r.proceed(r.server) },
		link:   r.link,
	}
}

// needOVS skips where the test cannot run, but never in CI.
func needOVS(t *testing.T) {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "needs root"
	}
	for _, tool := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = "needs Open vSwitch: " + err.Error()
		}
	}
	if missing == "" {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

type realSwitch struct {
	t                testing.TB
	dir, socket      string
	server, vswitchd *daemon
}

func (r *realSwitch) database() string { return filepath.Join(r.dir, "conf.db") }

func (r *realSwitch) create() {
	out, err := exec.Command("ovsdb-tool", "create", r.database(), "/usr/share/openvswitch/vswitch.ovsschema").CombinedOutput()
	if err != nil {
		r.t.Fatalf("ovsdb-tool create: %v: %s", err, out)
	}
}

func (r *realSwitch) startServer() {
	r.server = r.start(false, "ovsdb-server", r.database(), "--remote=punix:"+r.socket,
		"--unixctl="+filepath.Join(r.dir, "server.ctl"), "--log-file="+filepath.Join(r.dir, "server.log"))
	eventually(r.t, "ovsdb-server's socket", func() bool {
		_, err := os.Stat(r.socket)
		return err == nil
	})
}

// daemon is a process that this test started.
type daemon struct {
	process *os.Process
	gone    chan struct{}
}

// start runs a daemon in the foreground until the test ends, whatever happens
// to this process. The thread is kept, because the signal at the parent's
// death comes when the thread ends that started the child.
func (r *realSwitch) start(ownNetwork bool, name string, args ...string) *daemon {
	r.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+r.dir, "OVS_LOGDIR="+r.dir, "OVS_DBDIR="+r.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if ownNetwork {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
	started, gone := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(gone)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		r.t.Fatalf("start %s: %v", name, err)
	}
	return &daemon{process: cmd.Process, gone: gone}
}

// end kills a daemon and waits until it is gone.
func (d *daemon) end() {
	_ = d.process.Kill()
	<-d.gone
}

func (r *realSwitch) endServer() {
	r.server.end()
	_ = os.Remove(r.socket)
}

// stop stops a daemon and waits until the kernel says so.
func (r *realSwitch) stop(d *daemon) {
	r.signal(d, syscall.SIGSTOP)
	eventually(r.t, "a daemon in state T", func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(d.process.Pid) + "/stat")
		return err == nil && strings.Contains(string(stat), ") T ")
	})
}

func (r *realSwitch) proceed(d *daemon) { r.signal(d, syscall.SIGCONT) }

func (r *realSwitch) signal(d *daemon, s syscall.Signal) {
	if err := d.process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// link makes a veth pair where ovs-vswitchd is.
func (r *realSwitch) link(name string) {
	r.t.Helper()
	ns, err := netns.GetFromPid(r.vswitchd.process.Pid)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = ns.Close() }()
	handle, err := netlink.NewHandleAt(ns)
	if err != nil {
		r.t.Fatal(err)
	}
	defer handle.Close()
	if err := handle.SetSocketTimeout(5 * time.Second); err != nil {
		r.t.Fatal(err)
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "p" + name}
	if err := handle.LinkAdd(veth); err != nil {
		r.t.Fatal(err)
	}
	for _, end := range []string{name, "p" + name} {
		link, err := handle.LinkByName(end)
		if err != nil {
			r.t.Fatal(err)
		}
		if err := handle.LinkSetUp(link); err != nil {
			r.t.Fatal(err)
		}
	}
}
