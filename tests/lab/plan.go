package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ovsnet/ovsnet/tests/lab/machine"
)

// ProcessName names a process of a host; its log is named after it.
type ProcessName string

// The processes of a host, in the order in which they start. Etcd runs on the machine net.
const (
	OVSDBServer ProcessName = "ovsdb-server"
	VSwitchd    ProcessName = "ovs-vswitchd"
	Dockerd     ProcessName = "dockerd"
	Agent       ProcessName = "agent"
	Etcd        ProcessName = "etcd"
)

// NetHost is the name of the machine that holds the underlay.
const NetHost = "net"

// Names and places that are the same on every host.
const (
	uplink         = "eth0"
	underlayBridge = "underlay"
	phyBridge      = "br-phy"
	gatewayNumber  = 254
	etcdPort       = 2379
	ovsdbSocket    = "/run/openvswitch/db.sock"
	dockerSocket   = "/run/docker.sock"
	certsInside    = "/etc/ovsnet"
	schemaFile     = "/usr/share/openvswitch/vswitch.ovsschema"
)

// Plan is everything about a lab that can be known before it runs.
type Plan struct {
	Options
	// Dir holds the lab's files.
	Dir string
	// Net is the machine that holds the underlay; Hosts are the hosts in order.
	Net   HostPlan
	Hosts []HostPlan
}

// HostPlan is what one machine of the lab is made of.
type HostPlan struct {
	Name string
	// Dir holds the host's files.
	Dir string
	// Address is the host's address on the underlay, its VTEP.
	Address netip.Prefix
	// LinkMAC is the MAC of the link to the underlay, PhyMAC that of br-phy on the netdev datapath.
	LinkMAC, PhyMAC net.HardwareAddr
	// Processes are the host's daemons in the order in which they start.
	Processes []ProcessPlan
	// Env is what commands in the host find in their environment.
	Env []string
}

// ProcessPlan is how one daemon is run.
type ProcessPlan struct {
	Name ProcessName
	Argv []string
	// Env is the daemon's whole environment.
	Env []string
	// Log is the file that gets its output.
	Log string
}

// NewPlan computes the plan of a lab from complete options.
func NewPlan(o Options) Plan {
	p := Plan{Options: o, Dir: filepath.Join(o.StateDir, o.Name)}
	p.Net = p.host(NetHost, gatewayNumber)
	if o.Etcd == EtcdExternal && !o.NoAgent {
		p.Net.Processes = []ProcessPlan{p.etcd(p.Net)}
	}
	for n := 1; n <= o.Hosts; n++ {
		h := p.host("h"+strconv.Itoa(n), n)
		h.Processes = p.processes(h)
		p.Hosts = append(p.Hosts, h)
	}
	return p
}

// hostNumber gives N of hN, or 0 when name is none of the hosts h1 to hMost.
func hostNumber(name string, most int) int {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "h"))
	if err != nil || n < 1 || n > most || name != "h"+strconv.Itoa(n) {
		return 0
	}
	return n
}

func (p Plan) host(name string, number int) HostPlan {
	return HostPlan{
		Name:    name,
		Dir:     filepath.Join(p.Dir, name),
		Address: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(number)}), 24),
		LinkMAC: net.HardwareAddr{0x02, 0x0a, 0, 0, 0, byte(number)},
		PhyMAC:  net.HardwareAddr{0x02, 0x0b, 0, 0, 0, byte(number)},
		Env:     p.environment(),
	}
}

// path is where programs are looked for in a host. /usr/local comes last: another docker client than the engine's own
// may be there.
func (p Plan) path() string {
	return "PATH=" + filepath.Dir(p.Binaries.Ovsnet) + ":/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
}

// environment is what the CLI needs on a host.
func (p Plan) environment() []string {
	env := []string{p.path()}
	if p.NoAgent {
		return env
	}
	return append(env,
		"OVSNET_ETCD="+p.etcdURL(),
		"OVSNET_ETCD_CA="+certsInside+"/ca.crt",
		"OVSNET_ETCD_CERT="+certsInside+"/host.crt",
		"OVSNET_ETCD_KEY="+certsInside+"/host.key")
}

// etcdURL is where etcd is reached from any host.
func (p Plan) etcdURL() string {
	number := 1
	if p.Etcd == EtcdExternal {
		number = gatewayNumber
	}
	return fmt.Sprintf("https://192.0.2.%d:%d", number, etcdPort)
}

func (p Plan) processes(h HostPlan) []ProcessPlan {
	list := []ProcessPlan{p.ovsdbServer(h), p.vswitchd(h)}
	if !p.NoDocker {
		list = append(list, p.dockerd(h))
	}
	if !p.NoAgent {
		list = append(list, p.agent(h))
	}
	return list
}

func (p Plan) process(h HostPlan, name ProcessName, argv ...string) ProcessPlan {
	return ProcessPlan{
		Name: name, Argv: argv, Log: filepath.Join(h.Dir, "log", string(name)+".log"),
		// What a daemon leaves in its temporary directory when it is killed must go with the host.
		Env: []string{p.path(), "HOME=/root", "LANG=C.UTF-8", "TMPDIR=/run/tmp"},
	}
}

func (p Plan) ovsdbServer(h HostPlan) ProcessPlan {
	return p.process(h, OVSDBServer, "ovsdb-server", "/etc/openvswitch/conf.db",
		"--remote=punix:"+ovsdbSocket, "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
		"--pidfile", "--unixctl=/run/openvswitch/ovsdb-server.ctl", "-vconsole:info", "-vsyslog:off")
}

func (p Plan) vswitchd(h HostPlan) ProcessPlan {
	argv := []string{"ovs-vswitchd", "unix:" + ovsdbSocket, "--pidfile", "-vconsole:info", "-vsyslog:off"}
	if p.Datapath == Netdev {
		argv = append(argv, "--disable-system")
	}
	return p.process(h, VSwitchd, argv...)
}

func (p Plan) dockerd(h HostPlan) ProcessPlan {
	return p.process(h, Dockerd, "dockerd", "--data-root="+filepath.Join(h.Dir, "docker"),
		"--exec-opt=native.cgroupdriver=cgroupfs", "--cgroup-parent=/"+filepath.Join(cgroupTop, p.Name, h.Name))
}

func (p Plan) agent(h HostPlan) ProcessPlan {
	own := p.Agents[h.Name]
	argv := []string{or(own.Binary, p.Binaries.Ovsnet), "agent", "--node", h.Name, "--vtep", h.Address.Addr().String(), "--datapath", string(p.Datapath)}
	embedded := p.Etcd == EtcdEmbedded && h.Name == "h1"
	if embedded {
		argv = append(argv, "--etcd-embedded", filepath.Join(h.Dir, "etcd"), "--etcd-listen", p.etcdURL())
	}
	if !embedded || own.Etcd != "" {
		argv = append(argv, "--etcd", or(own.Etcd, p.etcdURL()))
	}
	argv = append(argv, "--etcd-ca", certsInside+"/ca.crt", "--etcd-cert", certsInside+"/host.crt", "--etcd-key", certsInside+"/host.key",
		"--log-level", "debug")
	process := p.process(h, Agent, append(argv, own.Args...)...)
	process.Env = append(process.Env, own.Env...)
	return process
}

// etcd listens on loopback too, for etcdctl on the machine net.
func (p Plan) etcd(h HostPlan) ProcessPlan {
	return p.process(h, Etcd, "etcd", "--name=lab", "--data-dir="+filepath.Join(h.Dir, "etcd"),
		fmt.Sprintf("--listen-client-urls=%s,https://127.0.0.1:%d", p.etcdURL(), etcdPort), "--advertise-client-urls="+p.etcdURL(),
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=lab=http://127.0.0.1:2380", "--client-cert-auth", "--trusted-ca-file="+certsInside+"/ca.crt",
		"--cert-file="+certsInside+"/host.crt", "--key-file="+certsInside+"/host.key")
}

// spec is what the host's machine is made of.
func (h HostPlan) spec() machine.Spec {
	return machine.Spec{
		Hostname: h.Name,
		EtcUpper: filepath.Join(h.Dir, "etc"),
		EtcWork:  filepath.Join(h.Dir, "etc.work"),
		RunDirs:  []string{"docker/plugins", "lock", "openvswitch", "ovsnet", "tmp"},
		Binds:    []machine.Bind{{Source: filepath.Join(h.Dir, "openvswitch"), Target: "/etc/openvswitch"}},
	}
}

// etcFiles are the files of a machine's /etc that differ from those of the machine that the lab runs on. The hosts reach
// no name server, and asking one that does not answer takes long.
func (p Plan) etcFiles(name string) map[string]string {
	id := sha256.Sum256([]byte(p.Name + "/" + name))
	return map[string]string{
		"hostname":    name + "\n",
		"hosts":       p.hostsFile(),
		"machine-id":  hex.EncodeToString(id[:16]) + "\n",
		"resolv.conf": "# no name server in the lab\n",
	}
}

// hostsFile is /etc/hosts: all machines of the lab by name.
func (p Plan) hostsFile() string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost\n")
	for _, h := range append([]HostPlan{p.Net}, p.Hosts...) {
		fmt.Fprintf(&b, "%s %s\n", h.Address.Addr(), h.Name)
	}
	return b.String()
}
