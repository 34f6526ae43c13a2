package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

// Datapath is the kind of OVS datapath that the hosts use.
type Datapath string

// The datapaths: the kernel's module, or the one inside ovs-vswitchd, or the first of them that the machine has.
const (
	Auto   Datapath = "auto"
	System Datapath = "system"
	Netdev Datapath = "netdev"
)

// EtcdMode says where etcd runs.
type EtcdMode string

// Where etcd runs: in h1's agent, or as a process of its own (Debian's etcd-server) on the machine net.
const (
	EtcdEmbedded EtcdMode = "embedded"
	EtcdExternal EtcdMode = "external"
)

// DefaultName and DefaultStateDir are what an empty Name and StateDir mean.
const (
	DefaultName     = "lab"
	DefaultStateDir = "/var/lib/ovsnet-lab"
)

const (
	defaultHosts = 2
	maxHosts     = 250
	defaultMTU   = 1500
	minMTU       = 576
	maxMTU       = 9216
)

// Options say what lab to bring up. The zero value is two hosts with everything.
type Options struct {
	// Name tells labs of one machine apart: 1–32 lower-case letters, digits and dashes. Empty is DefaultName.
	Name string
	// StateDir is the directory below which the lab keeps its files, in StateDir/Name. Empty is DefaultStateDir.
	StateDir string
	// Hosts is the number of hosts, 1–250. 0 is 2.
	Hosts int
	// Datapath is which OVS datapath the hosts use. Empty is Auto.
	Datapath Datapath
	// MTU is that of the underlay in bytes, 576–9216. 0 is 1500.
	MTU int
	// Etcd says where etcd runs. Empty is EtcdEmbedded.
	Etcd EtcdMode
	// NoDocker leaves dockerd out, NoAgent the agent and etcd.
	NoDocker, NoAgent bool
	// Binaries are the project's own programs. Empty paths are next to the running program.
	Binaries Binaries
	// Agents changes the agents of single hosts, by host name.
	Agents map[string]AgentOptions
	// Keep leaves everything in place when Up fails, to be looked at.
	Keep bool
	// Progress gets a line for each step. Nil is silence.
	Progress io.Writer `json:"-"`
}

// Binaries are paths of the project's programs.
type Binaries struct {
	// Lab is ovsnet-lab, which the library runs to make and enter machines. Ovsnet is the agent and CLI.
	Lab, Ovsnet string
}

// BinariesIn names the programs where `make build` puts them.
func BinariesIn(dir string) Binaries {
	return Binaries{Lab: filepath.Join(dir, "ovsnet-lab"), Ovsnet: filepath.Join(dir, "ovsnet")}
}

// AgentOptions change one host's agent.
type AgentOptions struct {
	// Binary replaces Binaries.Ovsnet for the agent (not for the CLI on that host).
	Binary string
	// Args follow the lab's own, and so win over them.
	Args []string
	// Etcd is the URL by which the agent reaches etcd in place of the lab's; among Args --etcd would come beside it.
	Etcd string
	// Env are NAME=VALUE settings beside the lab's own.
	Env []string
}

// complete fills in the defaults and checks what was given. auto resolves the datapath Auto; self is the running
// program's path.
func (o Options) complete(self string, auto func() Datapath) (Options, error) {
	o.Name = or(o.Name, DefaultName)
	o.StateDir = or(o.StateDir, DefaultStateDir)
	o.Hosts = or(o.Hosts, defaultHosts)
	o.MTU = or(o.MTU, defaultMTU)
	o.Etcd = or(o.Etcd, EtcdEmbedded)
	o.Datapath = or(o.Datapath, Auto)
	beside := BinariesIn(filepath.Dir(self))
	o.Binaries.Lab = or(o.Binaries.Lab, beside.Lab)
	o.Binaries.Ovsnet = or(o.Binaries.Ovsnet, beside.Ovsnet)
	if err := o.check(); err != nil {
		return Options{}, err
	}
	if o.Datapath == Auto {
		o.Datapath = auto()
	}
	return o, o.absolute()
}

func or[T comparable](given, fallback T) T {
	var zero T
	if given == zero {
		return fallback
	}
	return given
}

func (o *Options) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := checkName(o.Name); err != nil {
		errs = append(errs, err)
	}
	if o.Hosts < 1 || o.Hosts > maxHosts {
		wrong("%d hosts: use 1 to %d", o.Hosts, maxHosts)
	}
	if o.MTU < minMTU || o.MTU > maxMTU {
		wrong("underlay MTU %d: use %d to %d", o.MTU, minMTU, maxMTU)
	}
	if o.Datapath != Auto && o.Datapath != System && o.Datapath != Netdev {
		wrong("datapath %q: use auto, system or netdev", o.Datapath)
	}
	if o.Etcd != EtcdEmbedded && o.Etcd != EtcdExternal {
		wrong("etcd %q: use embedded or external", o.Etcd)
	}
	for host := range o.Agents {
		if hostNumber(host, o.Hosts) == 0 {
			wrong("options for the agent of %q: the hosts are h1 to h%d", host, o.Hosts)
		}
	}
	return errors.Join(errs...)
}

func checkName(name string) error {
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`).MatchString(name) {
		return fmt.Errorf("lab name %q: use 1 to 32 lower-case letters, digits and dashes, not starting with a dash", name)
	}
	return nil
}

// absolute makes all paths independent of the working directory.
func (o *Options) absolute() error {
	agents := make(map[string]AgentOptions, len(o.Agents))
	for host, a := range o.Agents {
		if err := makeAbsolute(&a.Binary); err != nil {
			return err
		}
		agents[host] = a
	}
	o.Agents = agents
	return makeAbsolute(&o.StateDir, &o.Binaries.Lab, &o.Binaries.Ovsnet)
}

func makeAbsolute(paths ...*string) error {
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return fmt.Errorf("find the working directory for %s: %w", *p, err)
		}
		*p = abs
	}
	return nil
}

// executable is the running program's path, or nothing where that cannot be known.
func executable() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return path
}
