package ofctl_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows/ofctl"
)

// realSwitch is an Open vSwitch of a test's own: its files in a temporary
// directory, its links in a network namespace of its own.
type realSwitch struct {
	t        testing.TB
	dir      string
	vswitchd *daemon
	client   *ofctl.Client
}

// bridge is the name of the bridge under test.
const bridge = "br0"

// needOVS ends tests that cannot run here.
func needOVS(t testing.TB) {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "needs root: it makes a network namespace"
	}
	for _, tool := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = "needs Open vSwitch: " + err.Error()
		}
	}
	if missing != "" && os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	if missing != "" {
		t.Skip(missing)
	}
}

// newSwitch starts one with a bridge, a tunnel port numbered 1 and an underlay
// of 192.0.2.0/24, in which this host is 192.0.2.1.
func newSwitch(t testing.TB) *realSwitch {
	needOVS(t)
	s := &realSwitch{t: t, dir: t.TempDir()}
	s.client = ofctl.New(ofctl.Config{Bridge: bridge, RunDir: s.dir})
	s.run("ovsdb-tool", "create", s.path("conf.db"), "/usr/share/openvswitch/vswitch.ovsschema")
	s.start("ovsdb-server", s.path("conf.db"), "--remote=punix:"+s.path("db.sock"), "--unixctl="+s.path("server.ctl"), "-vconsole:off")
	s.eventually("ovsdb-server's socket", func() bool { return s.listens("db.sock") })
	s.startVswitchd()
	s.vsctl("--", "add-br", "br-phy", "--", "set", "bridge", "br-phy", "datapath_type=netdev",
		"--", "add-port", "br-phy", "underlay", "--", "set", "interface", "underlay", "type=internal",
		"--", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev", "fail_mode=secure",
		"--", "add-port", bridge, "vx", "--", "set", "interface", "vx", "type=vxlan", "ofport_request=1",
		"options:local_ip=192.0.2.1", "options:remote_ip=flow", "options:key=flow")
	s.inside("ip", "addr", "add", "192.0.2.1/24", "dev", "br-phy")
	s.inside("ip", "link", "set", "br-phy", "up")
	return s
}

// startVswitchd starts the datapath in a namespace of its own.
func (s *realSwitch) startVswitchd() {
	s.vswitchd = s.start("ovs-vswitchd", "unix:"+s.path("db.sock"), "--disable-system", "--unixctl="+s.path("vswitchd.ctl"), "--pidfile="+s.path("ovs-vswitchd.pid"), "-vconsole:off")
	s.eventually("ovs-vswitchd's socket", func() bool { return s.listens("vswitchd.ctl") })
}

func (s *realSwitch) path(name string) string { return filepath.Join(s.dir, name) }

// listens reports whether somebody takes connections: a socket is there a moment
// before that.
func (s *realSwitch) listens(name string) bool {
	conn, err := net.Dial("unix", s.path(name))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// addPorts makes internal ports p11, p12… numbered like that.
func (s *realSwitch) addPorts(count int) {
	s.t.Helper()
	args := []string{}
	for n := 11; n < 11+count; n++ {
		name := fmt.Sprintf("p%d", n)
		args = append(args, "--", "add-port", bridge, name, "--", "set", "interface", name, "type=internal", fmt.Sprintf("ofport_request=%d", n))
	}
	s.vsctl(args...)
}

func (s *realSwitch) vsctl(args ...string) string {
	s.t.Helper()
	return s.run("ovs-vsctl", append([]string{"--timeout=30", "--db=unix:" + s.path("db.sock")}, args...)...)
}

func (s *realSwitch) appctl(args ...string) string {
	s.t.Helper()
	return s.run("ovs-appctl", append([]string{"--timeout=30", "-t", s.path("vswitchd.ctl")}, args...)...)
}

// inside runs a command in the switch's network namespace.
func (s *realSwitch) inside(args ...string) string {
	s.t.Helper()
	return s.run("nsenter", append([]string{"--net=" + s.namespace()}, args...)...)
}

func (s *realSwitch) namespace() string {
	return fmt.Sprintf("/proc/%d/ns/net", s.vswitchd.process.Pid)
}

func (s *realSwitch) run(name string, args ...string) string {
	s.t.Helper()
	out, err := s.try(name, args...)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (s *realSwitch) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+s.dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// daemon is a process that the test started.
type daemon struct {
	process *os.Process
	gone    chan struct{}
}

// start runs a daemon in a network namespace of its own until the test ends,
// however this process ends. The signal at the parent's death is tied to the
// thread that started the child, so that one is kept.
func (s *realSwitch) start(name string, args ...string) *daemon {
	s.t.Helper()
	var output bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+s.dir, "OVS_LOGDIR="+s.dir, "OVS_DBDIR="+s.dir)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNET}
	started, d := make(chan error), &daemon{gone: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(d.gone)
		err := cmd.Start()
		d.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		s.t.Fatalf("start %s: %v", name, err)
	}
	s.t.Cleanup(d.end)
	return d
}

// end kills the daemon and waits until it is gone.
func (d *daemon) end() {
	_ = d.process.Kill()
	<-d.gone
}

// eventually polls until the condition holds. The agent rests up to 10 s from a contest.
func (s *realSwitch) eventually(what string, condition func() bool) {
	s.t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("gave up waiting for %s; in %s there is %v", what, s.dir, s.files())
		}
	}
}

func (s *realSwitch) files() []string {
	names, _ := filepath.Glob(filepath.Join(s.dir, "*"))
	return names
}

// trace returns where OVS would send the packet, sorted: names of ports, or
// "VTEP/VNI" for the tunnel, and not the underlay's port that this leads to;
// nothing where it is dropped.
func (s *realSwitch) trace(packet string) []string {
	s.t.Helper()
	text := s.appctl("ofproto/trace", bridge, packet)
	_, actions, found := strings.Cut(text, "Datapath actions: ")
	if !found {
		s.t.Fatalf("no verdict for %s:\n%s", packet, text)
	}
	var to []string
	for _, push := range regexp.MustCompile(`ipv4\(src=192\.0\.2\.1,dst=([0-9.]+),.*?vni=(0x[0-9a-f]+)\)`).FindAllStringSubmatch(actions, -1) {
		to = append(to, push[1]+"/"+push[2])
	}
	// What is in parentheses are operands; a number of its own is a port.
	for prior := ""; prior != actions; {
		prior, actions = actions, regexp.MustCompile(`\([^()]*\)`).ReplaceAllString(actions, "")
	}
	names := s.datapathPorts()
	for word := range strings.SplitSeq(strings.TrimSpace(strings.SplitN(actions, "\n", 2)[0]), ",") {
		if n, err := strconv.Atoi(word); err == nil && names[n] != "underlay" {
			to = append(to, names[n])
		}
	}
	slices.Sort(to)
	return to
}

// datapathPorts names the datapath's ports by number.
func (s *realSwitch) datapathPorts() map[int]string {
	names := map[int]string{}
	for _, line := range regexp.MustCompile(`(?m)^\s+(\S+) \d+/(\d+):`).FindAllStringSubmatch(s.appctl("dpif/show"), -1) {
		n, _ := strconv.Atoi(line[2])
		names[n] = line[1]
	}
	return names
}
