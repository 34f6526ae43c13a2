package lab

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func complete(t *testing.T, o Options) Options {
	t.Helper()
	o, err := o.complete("/opt/bin/ovsnet-lab", func() Datapath { return Netdev })
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// describe writes a plan down for the golden files.
func describe(p Plan) string {
	var b strings.Builder
	for _, h := range append([]HostPlan{p.Net}, p.Hosts...) {
		fmt.Fprintf(&b, "%s: %s link %s br-phy %s in %s\n", h.Name, h.Address, h.LinkMAC, h.PhyMAC, h.Dir)
		for _, e := range h.Env {
			fmt.Fprintf(&b, "  env %s\n", e)
		}
		for _, process := range h.Processes {
			fmt.Fprintf(&b, "  %s > %s\n", process.Name, process.Log)
			for _, e := range process.Env {
				fmt.Fprintf(&b, "    env %s\n", e)
			}
			for _, arg := range process.Argv {
				fmt.Fprintf(&b, "    %s\n", arg)
			}
		}
	}
	files := p.etcFiles("h1")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "h1 /etc/%s:\n%s", name, files[name])
	}
	return b.String()
}

func TestPlan(t *testing.T) {
	update := flag.Lookup("update") != nil && flag.Lookup("update").Value.String() == "true"
	for name, o := range map[string]Options{
		"default":        {},
		"external-etcd":  {Name: "two", Hosts: 1, Etcd: EtcdExternal, Datapath: System, MTU: 9000, StateDir: "/state"},
		"ovs-only":       {Hosts: 1, NoAgent: true, NoDocker: true, Etcd: EtcdExternal},
		"another-agent":  {Hosts: 2, NoDocker: true, Agents: map[string]AgentOptions{"h2": {Binary: "/opt/old/ovsnet", Args: []string{"--alive-ttl", "2s"}, Env: []string{"A=b"}}}},
		"other-binaries": {Hosts: 1, Binaries: Binaries{Lab: "/a/ovsnet-lab", Ovsnet: "/b/ovsnet"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := describe(NewPlan(complete(t, o)))
			golden := filepath.Join("testdata", name+".golden")
			if update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; make it with: go test ./tests/lab -update", err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the plan differs from %s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// Every host of the largest lab has its own address, MACs and directory, and link names that the kernel takes.
func TestPlanOfManyHosts(t *testing.T) {
	p := NewPlan(complete(t, Options{Hosts: maxHosts}))
	seen := map[string]string{}
	for _, h := range append([]HostPlan{p.Net}, p.Hosts...) {
		for _, own := range []string{h.Name, h.Address.String(), h.LinkMAC.String(), h.PhyMAC.String(), h.Dir} {
			if seen[own] != "" {
				t.Errorf("%s and %s both have %s", seen[own], h.Name, own)
			}
			seen[own] = h.Name
		}
		if len(h.Name) > 15 || !h.Address.Addr().IsValid() || h.Address.Masked() != p.Net.Address.Masked() {
			t.Errorf("unusable plan of %s: %s", h.Name, h.Address)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"many hosts":      {Options{Hosts: maxHosts + 1}, "251 hosts: use 1 to 250"},
		"negative hosts":  {Options{Hosts: -1}, "use 1 to 250"},
		"small mtu":       {Options{MTU: 100}, "underlay MTU 100: use 576 to 9216"},
		"datapath":        {Options{Datapath: "dpdk"}, `datapath "dpdk": use auto, system or netdev`},
		"etcd":            {Options{Etcd: "none"}, `etcd "none": use embedded or external`},
		"upper case":      {Options{Name: "Lab"}, `lab name "Lab"`},
		"name with slash": {Options{Name: "../x"}, `lab name "../x"`},
		"long name":       {Options{Name: strings.Repeat("x", 33)}, "use 1 to 32"},
		"agent of no one": {Options{Agents: map[string]AgentOptions{"h3": {}}}, `the agent of "h3": the hosts are h1 to h2`},
		"several":         {Options{MTU: 1, Etcd: "none"}, "\netcd"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.options.complete("/bin/x", func() Datapath { return Netdev })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestHostNumber(t *testing.T) {
	for name, want := range map[string]int{"h1": 1, "h5": 5, "h6": 0, "h0": 0, "h01": 0, "1": 0, "h": 0, "": 0, "h-1": 0, "hh1": 0, "net": 0, "h+1": 0} {
		if got := hostNumber(name, 5); got != want {
			t.Errorf("hostNumber(%q) is %d, want %d", name, got, want)
		}
	}
}

func TestMissing(t *testing.T) {
	o := Options{Datapath: Netdev, Etcd: EtcdExternal}
	there := func(string) (string, error) { return "/bin/x", nil }
	if err := missing(needs(o), there); err != nil {
		t.Error(err)
	}
	without := func(names ...string) func(string) (string, error) {
		return func(name string) (string, error) {
			if strings.Contains(" "+strings.Join(names, " ")+" ", " "+name+" ") {
				return "", os.ErrNotExist
			}
			return "/bin/" + name, nil
		}
	}
	const want = "these programs are missing: ovs-vswitchd ovs-vsctl etcd; on Debian: apt-get install openvswitch-switch etcd-server"
	if err := missing(needs(o), without("etcd", "ovs-vsctl", "ovs-vswitchd")); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := missing(needs(Options{NoDocker: true, Datapath: System}), without("etcd", "dockerd", "busybox", "ethtool")); err != nil {
		t.Errorf("a lab without Docker and etcd needs neither: %v", err)
	}
}
