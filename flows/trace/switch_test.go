package trace_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ovsnet/ovsnet/flows"
	"github.com/ovsnet/ovsnet/flows/ofctl"
	"github.com/ovsnet/ovsnet/flows/trace"
)

// openVSwitch is a real one of a test's own: files in a temporary directory,
// links in a network namespace, the tunnel port numbered 1.
type openVSwitch struct {
	t         testing.TB
	dir       string
	namespace string
	control   net.Conn
	replies   *json.Decoder
}

const (
	bridge = "br0"
	tunnel = flows.PortNo(1)
	// firstPort to lastPort are the endpoints' ports.
	firstPort, lastPort = 11, 18
)

// newOpenVSwitch starts one, with ports, and with an underlay in which all of
// 192.0.2.0/24 and 2001:db8::/64 has neighbours where asked.
func newOpenVSwitch(t testing.TB, neighbours ...string) *openVSwitch {
	t.Helper()
	needTools(t)
	s := &openVSwitch{t: t, dir: t.TempDir()}
	s.run("ovsdb-tool", "create", s.path("conf.db"), "/usr/share/openvswitch/vswitch.ovsschema")
	s.daemon("ovsdb-server", s.path("conf.db"), "--remote=punix:"+s.path("db.sock"), "--unixctl="+s.path("server.ctl"), "-vconsole:off")
	s.poll("db.sock")
	pid := s.daemon("ovs-vswitchd", "unix:"+s.path("db.sock"), "--disable-system", "--unixctl="+s.path("vswitchd.ctl"), "-vconsole:off")
	s.poll("vswitchd.ctl")
	s.namespace = fmt.Sprintf("/proc/%d/ns/net", pid)
	s.vsctl("--", "add-br", "br-phy", "--", "set", "bridge", "br-phy", "datapath_type=netdev",
		"--", "add-port", "br-phy", "underlay", "--", "set", "interface", "underlay", "type=internal",
		"--", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev", "fail_mode=secure",
		"--", "add-port", bridge, "vx", "--", "set", "interface", "vx", "type=vxlan", "ofport_request=1",
		"options:remote_ip=flow", "options:key=flow")
	var ports []string
	for n := firstPort; n <= lastPort; n++ {
		name := fmt.Sprintf("p%d", n)
		ports = append(ports, "--", "add-port", bridge, name, "--", "set", "interface", name, "type=internal", fmt.Sprintf("ofport_request=%d", n))
	}
	s.vsctl(ports...)
	for _, args := range [][]string{
		{"addr", "add", "192.0.2.1/24", "dev", "br-phy"}, {"-6", "addr", "add", "2001:db8::1/64", "dev", "br-phy", "nodad"}, {"link", "set", "br-phy", "up"},
	} {
		s.run("nsenter", append([]string{"--net=" + s.namespace, "ip"}, args...)...)
	}
	s.dial()
	for _, n := range neighbours {
		s.call("tnl/neigh/set", "br-phy", n, "02:00:00:00:00:99")
	}
	return s
}

func needTools(t testing.TB) {
	t.Helper()
	lacking := ""
	if os.Geteuid() != 0 {
		lacking = "needs root, for a network namespace"
	}
	for _, tool := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacking = "needs Open vSwitch: " + err.Error()
		}
	}
	switch {
	case lacking != "" && os.Getenv("CI") == "true":
		t.Fatal(lacking)
	case lacking != "":
		t.Skip(lacking)
	}
}

func (s *openVSwitch) path(name string) string { return filepath.Join(s.dir, name) }

func (s *openVSwitch) vsctl(args ...string) {
	s.t.Helper()
	s.run("ovs-vsctl", append([]string{"--timeout=30", "--db=unix:" + s.path("db.sock")}, args...)...)
}

func (s *openVSwitch) run(name string, args ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+s.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// daemon starts a process that ends with the test, or with this process; the
// kernel ties the latter to the thread that started it, so that thread stays.
func (s *openVSwitch) daemon(name string, args ...string) (pid int) {
	s.t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+s.dir, "OVS_LOGDIR="+s.dir, "OVS_DBDIR="+s.dir)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNET}
	started, gone := make(chan error), make(chan struct{})
	go func() {
		defer close(gone)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		s.t.Fatalf("start %s: %v", name, err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
	})
	return cmd.Process.Pid
}

// poll waits for a socket.
func (s *openVSwitch) poll(name string) {
	s.t.Helper()
	tick, end := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("unix", s.path(name)); err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-end:
			there, _ := os.ReadDir(s.dir)
			s.t.Fatalf("gave up waiting for %s; there is %v", name, there)
		}
	}
}

// dial opens the control socket, because a process for each of thousands of
// packets would take minutes.
func (s *openVSwitch) dial() {
	s.t.Helper()
	conn, err := net.Dial("unix", s.path("vswitchd.ctl"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	s.control, s.replies = conn, json.NewDecoder(conn)
}

// call does what ovs-appctl does (JSON-RPC, ovs-appctl(8)).
func (s *openVSwitch) call(method string, params ...string) string {
	s.t.Helper()
	if err := s.control.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	if err := json.NewEncoder(s.control).Encode(map[string]any{"method": method, "params": append([]string{}, params...), "id": 0}); err != nil {
		s.t.Fatal(err)
	}
	var reply struct {
		Result, Error *string
	}
	if err := s.replies.Decode(&reply); err != nil {
		s.t.Fatal(err)
	}
	if reply.Error != nil || reply.Result == nil {
		s.t.Fatalf("%s %s: %v", method, strings.Join(params, " "), *reply.Error)
	}
	return *reply.Result
}

// trace asks Open vSwitch where a packet goes.
func (s *openVSwitch) trace(p trace.Packet) (trace.OFProto, string) {
	s.t.Helper()
	text := s.call("ofproto/trace", bridge, p.String())
	read, err := trace.ParseOFProto(text)
	if err != nil {
		s.t.Fatalf("%v\nin\n%s", err, text)
	}
	return read, text
}

func (s *openVSwitch) ports() (trace.Ports, trace.Datapath) {
	s.t.Helper()
	ports, datapath, err := trace.ParsePorts(s.call("dpif/show"), bridge)
	if err != nil {
		s.t.Fatal(err)
	}
	return ports, datapath
}

// install makes the bridge's flows those, and returns them as it shows them.
func (s *openVSwitch) install(set []flows.Flow) []flows.Flow {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := ofctl.New(ofctl.Config{Bridge: bridge, RunDir: s.dir})
	s.run("ovs-ofctl", "-O", "OpenFlow15", "del-flows", bridge)
	if err := client.Apply(ctx, flows.Delta{Add: set}); err != nil {
		s.t.Fatal(err)
	}
	dumped, err := client.Dump(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	shown := make([]flows.Flow, 0, len(dumped))
	for _, f := range dumped {
		if f.Unread != nil {
			s.t.Fatal(f.Unread)
		}
		shown = append(shown, f.Flow)
	}
	slices.SortFunc(shown, flows.Compare)
	return shown
}
